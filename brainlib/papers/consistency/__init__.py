"""Whether a paper's printed numbers are possible, and agree with each other, before any training.

`check_paper` makes every check: of scores that come from one confusion matrix (`confusion`), of numbers of
images (`sizes`) and of statistics of folds (`folds`). `checks` says what a `Check` is, `arithmetic` has the
searches behind them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "methods": ["check_paper"],
        "checks": ["Check", "CONSISTENT", "CONDITIONAL", "IMPOSSIBLE", "FINDINGS"],
    },
)
