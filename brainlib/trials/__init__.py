"""Trials: models trained once, stored, and taken from the store ever after.

`trial` describes a trial and its result, `run` takes results from the store or has them trained,
`store` keeps and verifies them, `jobs` is what a process of its own does, `processes` starts such a
process, and `workers` distributes jobs over a Dask cluster.
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
