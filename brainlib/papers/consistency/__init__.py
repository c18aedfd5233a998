"""Whether a paper's printed numbers are possible, and agree with each other, before any training.

`check_paper` makes every check: of scores that come from one confusion matrix (`confusion`), of numbers of
images (`sizes`) and of statistics of folds (`folds`). `checks` says what a `Check` is, `arithmetic` has the
searches behind them.
"""

from dataclasses import replace
from functools import cache

from brainlib.papers.consistency import confusion, folds, sizes
from brainlib.papers.consistency.checks import Check
from brainlib.papers.schema import Paper

_METHODS = (
    confusion.places,
    confusion.proportions,
    confusion.binary_rows,
    confusion.weighted_rows,
    confusion.collapsed_rows,
    confusion.class_reports,
    sizes.totals,
    sizes.part_sizes,
    sizes.divisions,
    sizes.whose_set,
    sizes.confusion_counts,
    folds.means,
    folds.spreads,
    folds.t_values,
    folds.p_values,
)


@cache  # a notebook shows them, and every seed is judged by them
def check_paper(paper: Paper) -> tuple[Check, ...]:
    """Make every check that the claims of a paper allow, by method and in the order of the claims."""
    return tuple(replace(check, paper=paper.id) for method in _METHODS for check in method(paper))
