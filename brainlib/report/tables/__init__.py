"""Tables of the notebooks and the index: each function returns a `Table` with a frame of numbers.

`study` shows a run, its images and its results, `paper` the protocol and the printed numbers, `scores` the scores of
each arm, `comparisons` arms and scores compared, `leakage` splits by patient and tests on other sets, `claims` the
verdicts, `multiverse` other readings of the paper, and `audit` what the image sets hold.
"""

import lazy_loader as lazy

_NAMES = dict(
    audit="audit_by_class audit_shortcuts audits contradictions overlaps planted quality_flags",
    claims="conclusions conditions seeds verdicts",
    comparisons="calibration calibrations controls duplicates equivalence lesion_thirds lesions same_images sanity "
    "shortcuts t_by_seed t_tests",
    multiverse="multiverse multiverse_effects",
    leakage="external_validation patient_leakage",
    paper="averaging consistency exhibits implied layers protocol reporting split_sizes",
    scores="best_epochs comparison counts folds missed_tumours other_work per_class test_scores times",
    study="data errors networks overview summary",
)
__getattr__, __dir__, __all__ = lazy.attach(
    __name__, submod_attrs={module: names.split() for module, names in _NAMES.items()}
)
