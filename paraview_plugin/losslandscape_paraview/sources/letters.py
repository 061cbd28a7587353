"""Letters that ParaView's font lacks: they are formulas where there are such, or else named.

ParaView draws a letter that its font lacks as nothing. Its formulas are matplotlib's, whose font
has Greek letters and mathematical signs.
"""

import re

# from alpha on, in Unicode's order; matplotlib has no omicron, which looks like an o
_NAMES = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi"),
    *("chi", "psi", "omega"),
)
# those that do not look like a Latin letter
_CAPITALS = ("Gamma", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")
_SIGNS = {
    "nabla": "\u2207",
    "infty": "\u221e",
    "approx": "\u2248",
    "propto": "\u221d",
    "in": "\u2208",
    "cdot": "\u22c5",
    "ell": "\u2113",
    "leftarrow": "\u2190",
    "rightarrow": "\u2192",
    "leftrightarrow": "\u2194",
    "Vert": "\u2016",
    "minus": "\u2212",
}
# name of a formula -> the letter
GREEK = {name: chr(0x3B1 + number) for number, name in enumerate(_NAMES) if name}
_LETTERS = {
    **GREEK,
    **{name: chr(ord(GREEK[name.lower()]) - 0x20) for name in _CAPITALS},
    **_SIGNS,
}
_WRITTEN = {letter: f"$\\{name}$" for name, letter in _LETTERS.items()}
_WRITTEN.update({"\u2212": "-", "\u03bf": "o", "\u2009": " ", "\u202f": " ", "\u2011": "-"})
# what the font has beside ASCII and Latin-1
_HAS = (
    *((0xA1, 0x107), (0x10C, 0x113), (0x116, 0x11B), (0x11E, 0x11F), (0x122, 0x123)),
    *((0x12A, 0x12B), (0x12E, 0x131), (0x136, 0x137), (0x139, 0x13E), (0x141, 0x148)),
    *((0x14C, 0x14D), (0x150, 0x15B), (0x15E, 0x165), (0x16A, 0x16B), (0x16E, 0x173)),
    *((0x178, 0x17E), (0x192, 0x192), (0x218, 0x21B), (0x2C6, 0x2C7), (0x2C9, 0x2C9)),
    *((0x2D8, 0x2DD), (0x394, 0x394), (0x2013, 0x2014), (0x2018, 0x201A), (0x201C, 0x201E)),
    *((0x2020, 0x2022), (0x2026, 0x2026), (0x2030, 0x2030), (0x2039, 0x203A), (0x20AC, 0x20AC)),
    *((0x2122, 0x2122), (0x2202, 0x2202), (0x2206, 0x2206), (0x2211, 0x2211), (0x221A, 0x221A)),
    *((0x2260, 0x2260), (0x2264, 0x2265)),
)


def with_formulas(text):
    r"""A text whose letters ParaView draws, as far as that can be, and those that it cannot.

    >>> with_formulas("caf\u00e9, \u2207L at \u03b1 = 1")
    ('café, $\\nabla$L at $\\alpha$ = 1', [])
    >>> with_formulas("\u640d\u5931 loss")[1]
    ['損', '失']
    """
    written = "".join(
        letter if _is_in_font(letter) else _WRITTEN.get(letter, letter) for letter in text
    )
    missing = [
        letter for letter in dict.fromkeys(text) if not (_is_in_font(letter) or letter in _WRITTEN)
    ]
    return written, missing


def without_formulas(text):
    r"""The letters in the place of formulas of one letter; other formulas stay.

    >>> without_formulas("$\\alpha$ (80% var.), $x^2$")
    'α (80% var.), $x^2$'
    """
    return re.sub(r"(?<!\\)\$\\(\w+)\$", lambda found: _LETTERS.get(found[1], found[0]), text)


def _is_in_font(letter):
    code = ord(letter)
    return code < 0xA1 or any(first <= code <= last for first, last in _HAS)
