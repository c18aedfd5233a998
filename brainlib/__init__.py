"""Reproduction and audit of brain-tumour MRI classification studies.

A tour::

    import brainlib

    paper = brainlib.load_paper("jardim")             # protocol and printed numbers, with their provenance
    study = brainlib.Study("jardim", profile="smoke") # the paper under the options of a run
    study.with_arm("mine", build, like="cnn")         # with a model of your own: build(size, classes) -> keras.Model
    study.trials()[0].split                           # which images train, validate and test
    results = study.run()                             # trains what is not stored yet
    results.fold_values("cnn", "accuracy")            # floats, one for each fold
    results.estimate("cnn", "test", "auc")            # a score with its 95 % interval
    results.errors("cnn")                             # the test images that the CNN got wrong
    brainlib.score(labels, probabilities, "auc")      # a score of any model's predictions, with its interval
    brainlib.grad_cam(model, images)                  # heat maps of any Keras model
    brainlib.load_dataset("br35h", "data")            # a registered set: its table, its files, its groups
    brainlib.load_dataset("my_images")                # your own, with one folder for each class (docs/own_data.md)
    brainlib.audit_folder("my_images").groups("near") # duplicates in any folder with one folder for each class

Options are the same on the command line, in the notebooks and here: see `brainlib.Options`.

Where things live, from the bottom up:

=================  ==================================================================================================
brainlib.data      data sets, the scan of a folder, images, splits, phantoms
brainlib.stats     metrics, intervals, tests (DeLong, McNemar, t over folds), calibration: numbers from predictions
brainlib.papers    the papers with provenance, printed numbers, whether these are arithmetically possible
brainlib.models    backbones, networks, training, Grad-CAM
brainlib.audit     near-duplicates, leaked test images, contradictory labels, novelty
brainlib.trials    models trained once, stored, in processes or on a cluster
brainlib.study     a paper under the options of a run: its results, verdicts, negative controls
brainlib.report    tables, figures, pages, model cards
brainlib.app       the graphical program
=================  ==================================================================================================

``help(brainlib.stats)`` and so on say what each wing offers; docs/examples.md has worked examples.
"""

import lazy_loader as lazy

# There is no __all__, so that help(brainlib) stays a page: it would print every method of what __all__ names.
__getattr__, __dir__, _ = lazy.attach(
    __name__,
    submodules=["app", "audit", "data", "models", "papers", "report", "stats", "study", "trials"],
    submod_attrs={
        "audit.findings": ["audit_folder"],
        "data.datasets": ["load_dataset"],
        "models.gradcam": ["grad_cam"],
        "papers.loading": ["load_paper"],
        "stats.estimates": ["score"],
        "study.options": ["Options"],
        "study.study": ["Study"],
    },
)

__version__ = "0.1.0"
