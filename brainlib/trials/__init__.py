"""Trials: models trained once, stored, and taken from the store ever after.

`run` takes results from the store or has them trained, by `jobs` in processes of their own.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "run": ["Asked", "heat_maps", "run_trials"],
        "store": ["load_model"],
        "trial": ["Trial", "TrialResult"],
        "workers": ["connected", "local_cluster"],
    },
)
