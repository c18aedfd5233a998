"""What sets of images hold: duplicates, contradictory labels, leaked test images, files that are no slices.

`audit_folder` audits any folder of class folders, or a registered set (module `findings`); `audit_sets` audits several
sets and the overlap between them (`overview`). Near-duplicates are found by `find_near_duplicates`
(`near_duplicates`), which registers candidates by affine maps (`alignment`). `planted` measures recall with planted
duplicates, `shortcuts` whether a label can be told without a look at the brain, and `NoveltyDetector` (`novelty`)
compares any image with those that a model was trained on. Everything here returns numbers; `brainlib.report.tables`
shows them.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "findings": ["Audit", "SetAudit", "audit_folder", "audit_scan", "duplicate_groups"],
        "near_duplicates": ["NearDuplicates", "find_near_duplicates"],
        "novelty": ["Neighbour", "NoveltyDetector"],
        "overview": ["DataAudit", "Overview", "audit_sets"],
        "planted": ["PhantomPairs", "Planted", "plant"],
    },
)
