"""Synthetic slices with known truth, in the place of public images: tests and a first run need no download.

`make_phantoms` draws slices (module `draw`) of a schematic head (module `anatomy`). Module `dataset` writes them as
files in the layout of a registered set.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__, submod_attrs={"draw": ["ALTERATIONS", "KINDS", "Phantoms", "alter", "make_phantoms"]}
)
