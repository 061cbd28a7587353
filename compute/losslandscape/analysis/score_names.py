"""Is a quantity of this name best where it is largest, as an accuracy is?"""

from __future__ import annotations

import re

_SCORES = {
    "accuracy", "accuracies", "acc", "auc", "auroc", "auprc", "ap", "bleu", "dice", "f1", "fscore",
    "iou", "miou", "jaccard", "kappa", "mcc", "precision", "psnr", "r2", "recall", "return",
    "returns", "reward", "rewards", "rouge", "specificity", "ssim",
}  # fmt: skip
# with one of these words, the quantity is best where it is smallest, or is no score
_TURNED = {
    "loss", "losses", "error", "errors", "err", "cost", "distance", "risk", "regret", "gap",
    "minus", "neg", "negative", "negated", "inverse", "deviation", "variance", "bits",
}  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+")  # also of camelCase


def best_where_largest(name: str) -> bool:
    """Whether a name says that the quantity is best where it is largest.

    Examples
    --------
    >>> [best_where_largest(name) for name in ("test_accuracy", "Acc@1", "valF1", "R-2", "mAP")]
    [True, True, True, True, True]
    >>> [best_where_largest(name) for name in ("loss", "top-5", "dice_loss", "1 - accuracy")]
    [False, False, False, False]
    """
    parts = [word.lower() for word in _WORDS.findall(name)]
    numbered = {f"{one}{other}" for one, other in zip(parts, parts[1:]) if other.isdigit()}
    words = {*parts, *numbered, *re.split(r"[\W_]+", name.lower())}
    if words & _TURNED or parts[:1] == ["1"]:  # 1 - accuracy
        return False
    return bool(words & _SCORES)
