"""Pages of the commands: each verb's parser as Markdown with Sphinx's ``option`` directives.

sphinx-argparse is not used: it omits the value of an option (``--grid N``), and puts every group of
options at the level of the page's title.
"""

import argparse
import os
import re
from unittest import mock

from losslandscape import cli


def parsers():
    """The parser of each verb, by name, in the order of the help."""
    whole = cli._parser(cli._available_verbs())
    verbs = next(a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    return dict(verbs.choices)


def command_page(verb, parser):
    """The page of a verb: its description, usage, examples, and options by group."""
    program = f"losslandscape {verb}"
    with mock.patch.dict(os.environ, COLUMNS="88"):  # independent of the terminal's width
        usage = parser.format_usage().strip("\n")
    return "\n".join(
        [
            f"# {program}",
            "",
            _description(parser.description),
            "",
            *_literal(usage),
            *_literal((parser.epilog or "").strip("\n")),
            f"```{{program}} {program}",
            "```",
            "",
            *(line for group in parser._action_groups for line in _group(group, parser)),
        ]
    )


def _group(group, parser):
    shown = [
        action
        for action in group._group_actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
    ]
    if not shown:
        return
    title = group.title[:1].upper() + group.title[1:]
    yield from (f"## {plain(title)}", "")
    if group.description:
        yield from (plain(group.description), "")
    for action in shown:
        # the parser's help text with defaults and choices filled in
        words = parser._get_formatter()._expand_help(action) if action.help else ""
        yield from (f":::{{option}} {_names(action, parser)}", plain(words), ":::", "")


def _names(action, parser):
    """An option with its value, such as ``--output PATH``, or the name of a positional argument."""
    formatter = parser._get_formatter()
    if not action.option_strings:
        return formatter._metavar_formatter(action, action.dest)(1)[0]
    after = ""
    if action.nargs != 0:
        after = " " + formatter._format_args(action, action.dest.upper())
    return ", ".join(name + after for name in action.option_strings)


def _literal(text):
    return ["```text", text, "```", ""] if text else []


def _description(text):
    """A description of several lines unchanged; a one-line help as a sentence."""
    text = plain(text.strip())
    if "\n" in text:
        return text
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def plain(text):
    """Text escaped for Markdown, so that every character is shown."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", text)
