"""The graphical program: trained models classify and explain images that a person chooses.

`viewer` computes (probabilities, Grad-CAM, novelty, nearest training images) without a widget, `html` has the
words, `widgets` the page, and `server` serves `notebooks/app.ipynb` on this machine.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={"server": ["serve"], "viewer": ["InputImage", "Viewer", "open_upload"], "widgets": ["Program"]},
)
