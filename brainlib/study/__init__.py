"""A study: one paper under the options of one run, from its trials to a verdict on every printed number.

`Study` plans and runs the trials, `Results` computes scores from their stored predictions, `judge` compares these with
the printed numbers, and `records` is what a run stores of all this. `score_files` does so for any other predictions.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "comparisons": ["compare"],
        "controls": ["run_controls"],
        "duplicates": ["duplicate_effects"],
        "external": ["external_validation"],
        "leakage": ["patient_leakage"],
        "options": ["Options"],
        "records": ["PaperResult"],
        "results": ["Results"],
        "saliency": ["grad_cam_rows"],
        "shortcuts": ["run_shortcuts"],
        "scoring": ["score_files"],
        "study": ["Study"],
        "verdicts": ["judge", "verdict"],
    },
)
