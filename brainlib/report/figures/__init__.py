"""Figures of the notebooks and the index: each is a `Plot`, a Matplotlib figure with its alternative text.

`curves` draws histories of training, `scores` ROC curves, metrics beside the printed ones, confusion matrices and
calibration, `multiverse` a score by the reading of the paper, `checklist` what papers report, and `images` how sets
overlap, groups of duplicates, slices of each class, and slices with their heat maps. `style` holds `Plot` and what the
figures share. Each alternative text is composed of the plotted data, so it cannot contradict the figure. Whatever has
nothing to draw raises a UsageError.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "checklist": ["reporting"],
        "curves": ["learning_curves"],
        "multiverse": ["specification_curve"],
        "images": ["duplicate_montage", "grad_cam_panel", "overlap_map", "samples"],
        "scores": ["confusion", "forest", "metrics", "reliability", "roc"],
        "style": ["Plot"],
    },
)
