"""A study: one paper under the options of one run, from its trials to a verdict on every printed number.

`study` plans and runs the trials, by `options`; `variation` changes one setting of a protocol; `conditions` finds what
keeps a number from being comparable with the printed one. `results` computes scores from stored predictions,
`comparisons` tests of two arms, `duplicates` what is left of a score without duplicates, `controls` what the protocol
scores on altered images, `saliency` whether heat maps lie on lesions and depend on the training. `verdicts` judges
each claim, `records` is what a run stores of all this, and `data_audit` audits the data sets of a run. `scoring` scores
predictions of any other program, which `prediction_files` reads.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "comparisons": ["compare"],
        "controls": ["run_controls"],
        "duplicates": ["duplicate_effects"],
        "options": ["Options"],
        "records": ["PaperResult"],
        "results": ["Results"],
        "saliency": ["grad_cam_rows"],
        "scoring": ["score_files"],
        "study": ["Study"],
        "verdicts": ["judge", "verdict"],
    },
)
