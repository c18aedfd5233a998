"""Images as data: registered sets, folders, splits, altered sets and synthetic slices.

`load_dataset` finds, downloads or draws a registered set, or takes a folder of your own, and indexes it (modules
`registry` with ``sets.yaml``, `own` and `datasets`); `scan_folder` does the same for any folder of images (module
`scan`). `load_images` turns files into one array (module `images`), `assign` divides them into training, validation and
test parts by a `Split` (module `splits`). `make_phantoms` draws slices whose truth is known (package `phantoms`).
`altered` makes the sets of the control experiments, `thumbnails` what an audit compares, `groups` joins groups of
duplicates and patients.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "datasets": ["DataSet", "load_dataset"],
        "images": ["decode", "load_images"],
        "phantoms.draw": ["Phantoms", "make_phantoms"],
        "registry": ["REGISTRY", "DataSetInfo", "info_of"],
        "scan": ["Scan", "scan_folder"],
        "splits": ["Split", "assign", "choose_images"],
    },
)
