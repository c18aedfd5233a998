"""Statistics of stored predictions, as pure functions of arrays and tables.

`predictions` validates a table of predictions, `metrics` has the scores of confusion matrices, ranks and losses,
`intervals` the intervals of proportions, areas, means and resamples, `comparisons` the tests of two models (McNemar,
DeLong, t-tests, posteriors, equivalence, Holm's correction, power), `calibration` the reliability of probabilities, and
`estimates` a score with the interval that fits it.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "predictions": ["decide", "Decisions"],
        "intervals": ["proportion_interval", "auc_interval", "bootstrap_interval", "mean_interval"],
        "comparisons": ["mcnemar", "delong_test", "paired_t", "corrected_resampled_t", "posterior", "holm"],
        "estimates": ["estimate", "fold_estimate", "score"],
    },
)
