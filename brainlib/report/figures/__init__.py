"""Figures of the notebooks and the index: each is a `Plot`, a Matplotlib figure with its alternative text.

`curves` draws histories of training, `scores` ROC curves, metrics, confusion matrices and calibration, `images`
slices with their heat maps, `audit` how sets overlap and groups of duplicates, and `accuracies` a forest plot of
printed accuracies and those of a run. `style` holds `Plot` and what the figures share. Each alternative text is
composed of the plotted data, so it cannot contradict the figure. Whatever has nothing to draw raises a UsageError.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "accuracies": ["forest"],
        "audit": ["duplicate_montage", "overlap_graph"],
        "curves": ["learning_curves"],
        "images": ["grad_cam_panel"],
        "scores": ["confusion", "metrics", "reliability", "roc"],
        "style": ["Plot"],
    },
)
