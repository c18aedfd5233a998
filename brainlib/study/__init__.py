"""A study: one paper under the options of one run, from its trials to a verdict on every printed number.

`study` plans and runs the trials, by `options`; `variation` changes one setting of a protocol; `conditions` finds what
keeps a number from being comparable with the printed one. `results` computes scores from stored predictions,
`duplicates` what is left of them without duplicates, `controls` what the protocol scores on altered images, `saliency`
whether heat maps lie on lesions and depend on the training. `verdicts` judges each claim.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "controls": ["run_controls"],
        "duplicates": ["duplicate_effects"],
        "options": ["Options"],
        "results": ["Results", "WithoutDuplicates"],
        "study": ["Study"],
        "verdicts": ["judge", "verdict"],
    },
)
