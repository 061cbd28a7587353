"""Names of a model's tensors, with and without what wrappers add to them.

``DistributedDataParallel`` and ``DataParallel`` put ``module.`` before the names,
``torch.compile`` puts ``_orig_mod.`` before or inside of them, FSDP and activation checkpointing
add parts of their own.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from torch import Tensor

# Parts that wrappers add to names: data parallelism, torch.compile, FSDP, activation checkpointing,
# and PEFT, whose models name the adapter in use and whose files do not.
_WRAPPERS = {
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "default",
}


def bare_name(name: str) -> str:
    """The name without what wrappers add to it."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def bare_names(first_names: dict[str, str]) -> dict[str, str]:
    """Map names without wrappers' parts to the tensor's first name; two tensors of one: neither."""
    tensors: dict[str, set[str]] = {}
    for name, first in first_names.items():
        tensors.setdefault(bare_name(name), set()).add(first)
    return {bare: next(iter(firsts)) for bare, firsts in tensors.items() if len(firsts) == 1}


def renaming(own: Iterable[str], wanted: Iterable[str]) -> "Optional[dict[str, str]]":
    """Map each name to the wanted name of the same tensor; None if one has no or several partners.

    Examples
    --------
    >>> renaming(["module.0.weight", "module.0.bias"], ["0.weight", "0.bias", "1.weight"])
    {'module.0.weight': '0.weight', 'module.0.bias': '0.bias'}
    >>> renaming(["0.weight"], ["encoder.weight"]) is None
    True
    """
    own, wanted = list(own), list(wanted)
    if set(own).issubset(wanted):
        return {name: name for name in own}
    partners = bare_names({name: name for name in wanted})
    found = {name: partners.get(bare_name(name), "") for name in own}
    if "" in found.values() or len(set(found.values())) < len(found):
        return None
    return found


def partners(own: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Map names to the wanted names of the same tensors, if all of one side have a partner.

    Examples
    --------
    >>> partners(["module.a", "module.b"], ["a"]), partners(["a"], ["b"])
    ({'module.a': 'a'}, {})
    """
    own, wanted = list(own), list(wanted)
    found = renaming(own, wanted)
    if found is None:
        found = {name: other for other, name in (renaming(wanted, own) or {}).items()}
    return found


def renamed(tensors: "Mapping[str, Tensor]", names: "Mapping[str, str]") -> "dict[str, Tensor]":
    """The tensors under other names; those without another name keep theirs."""
    return {names.get(name, name): tensor for name, tensor in tensors.items()}
