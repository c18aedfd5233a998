"""What `app` says and shows, as HTML: every word of it, escaped."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from brainlib.app.viewer import Picture, Viewer
from brainlib.data import images
from brainlib.errors import DataError
from brainlib.report.table import percent, with_limits
from brainlib.stats.intervals import wilson_interval

NOTICE = """<p class="notice" role="note"><strong>For research only.</strong> This is no medical device. What it shows
must not be used to diagnose or treat anyone; the models repeat published experiments, some of which do not hold.</p>"""
_NEAREST = 6  # training images that are shown
_SMALL = 136  # pixels of each


def status(sentence: str) -> str:
    """What the program is doing; said to who does not see it, too."""
    return f'<p class="soft" role="status">{escape(sentence)}</p>'


def alarm(sentence: str) -> str:
    """Why something could not be done."""
    return f'<p class="alarm" role="alert"><strong>Not possible.</strong> {escape(sentence)}</p>'


def progress(fraction: float, line: str) -> str:
    """A bar, and what is being done."""
    # Not ipywidgets' own bar, which has neither a role nor a name.
    return f'<progress value="{fraction:.4f}" aria-label="Training"></progress> {escape(line)}'


def nothing_trained(folder: str) -> str:
    """What to do where the store has no model."""
    return (
        f"<p>Nothing is trained yet in <code>{escape(folder)}</code>. <code>./run_all.sh</code> trains the papers' models. "
        "To look around now, train one on phantoms, synthetic images that say nothing of patients, in about a minute:</p>"
    )


def about(viewer: Viewer) -> str:
    """What must be known of a model before it is asked."""
    trial, paper = viewer.trial, viewer.paper
    rows = {
        "Paper": f"{', '.join(paper.citation.authors)}: {paper.citation.title}",
        "Arm": paper.arms[trial["arm"]].title,
        "Trained on": viewer.trained_on
        + (": synthetic pictures, which say nothing of patients" if viewer.phantom else ""),
        "Classes": f"{', '.join(viewer.classes)} (the names of the set's folders)",
        "Weights": _weights(trial),
        "Test accuracy, clean": _accuracy(viewer, "without copies of training images"),
        "Test accuracy, as published": _accuracy(viewer, "as published"),
        "Differs from the paper": "; ".join(viewer.differences) or "in nothing that is known",
    }
    body = "".join(f'<tr><th scope="row">{name}</th><td>{escape(text)}</td></tr>' for name, text in rows.items())
    return (
        f'<table class="about">{body}</table><p class="soft">Clean: without the test images that are copies of training images. '
        "95 % intervals.</p>"
    )


def _weights(trial):
    weights, backbone = trial["weights"], trial["model"]["backbone"]
    if weights["source"] == "none":
        return "none to start from: trained from scratch"
    start = "random" if weights["source"] == "random" else weights["file"] or weights["source"]
    return f"{backbone}, started from {start}"


def _accuracy(viewer, which):
    found = viewer.accuracy.get(which)
    if not found or found["value"] is None:
        return "no such image"
    return f"{with_limits(found['value'], found['low'], found['high'])} of {found['n']} images"


def no_images(viewer: Viewer) -> str:
    """Why nothing can be said of how like the training images a picture is."""
    do = "" if viewer.phantom else " Give the folder of the data sets as <code>--data</code>."
    return (
        '<p class="soft">The images that this model was trained on are not at hand, so nothing can be said of how like '
        f"them a picture is: {escape(viewer.missing)}.{do}</p>"
    )


def probabilities(picture: Picture, classes: list[str], said: np.ndarray) -> str:
    """What the model says of a picture, and what is to be said of its file."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{percent(value, 1)}</td>'
        f'<td><span class="bar" aria-hidden="true"><span style="width:{100 * value:.1f}%"></span></span></td></tr>'
        for name, value in zip(classes, said, strict=True)
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in picture.notes)
    return (
        f"<p><strong>{escape(picture.name)}</strong>: the model says <strong>{escape(classes[int(said.argmax())])}"
        f"</strong>.</p><table>{rows}</table>{notes}"
    )


def neighbours(viewer: Viewer, picture: Picture) -> tuple[str, str]:
    """Whether a picture is like the training images: a warning or "", and the score with the nearest ones."""
    title = "<h2>Is it like the training images?</h2>"
    if viewer.familiar is None:
        return "", f"{title}<p>That cannot be said: all training images are copies of one.</p>"
    unlike, found = viewer.neighbours(picture, _NEAREST)
    copied, audited = found[0][2].duplicate is not None, "trained on" in picture.kind
    if copied or audited:
        said, why = "A copy of a training image.", "The model has seen this picture: its answer tests memory only."
    elif unlike > 1:
        said, why = (
            "Unlike the training images.",
            "The model has seen nothing like it: there is little reason to trust the answer.",
        )
    else:
        said, why = (
            "",
            "Not noticed as unlike, which does not mean that the model knows its like: slices of other sets often pass.",
        )
    warning = f'<p class="alarm" role="alert"><strong>{said}</strong> {why}</p>' if said else ""
    alarms, n = viewer.false_alarms
    rate = ""
    if n:
        limits = wilson_interval(alarms, n)
        rate = (
            f" By mistake {alarms} of this model's own {n} test images without a copy in training count as unlike too, "
            f"{with_limits(alarms / n, limits.low, limits.high, 1)}."
        )
    unknown = "" if viewer.phantom else " Patients are not known: of new ones more may be called unlike."
    return warning, (
        f"{title}<p><strong>{said}</strong> {why}</p>"
        f'<p class="soft">Score {unlike:.2f}; above 1 a picture counts as unlike.{rate}{unknown} The score is the distance '
        "to the nearest training image, in brightness and detail by place, over the distance that 95 % of these have to "
        "their own nearest. It knows nothing of anatomy.</p>"
        f"<p>The {len(found)} nearest training images, each with its distance:</p>"
        '<div class="pictures near">' + "".join(_near_figure(*each) for each in found) + "</div>"
    )


def pictures(viewer: Viewer, picture: Picture, pixels: np.ndarray, laid: np.ndarray, target: int, speaks: bool) -> str:
    """A picture as the model sees it, and its heat map laid over it.

    Parameters
    ----------
    viewer, picture
    pixels : uint8 array of shape (size, size, channels)
    laid : uint8 array of shape (size, size, 3)
    target : int
        The class that is explained.
    speaks : bool
        Whether anything is hot.
    """
    size, name = viewer.trial["size"], viewer.classes[target]
    said = (
        f"Grad-CAM: what speaks for {name}, the brighter the more."
        if speaks
        else (f"Grad-CAM: nothing speaks for {name}, the map is empty.")
    )
    return (
        '<div class="pictures">'
        + _figure(pixels, f"{picture.name} as the model sees it", f"As the model sees it: {size} by {size} pixels")
        + _figure(laid, f"Grad-CAM for {name} over {picture.name}", escape(said))
        + "</div>"
    )


def _near_figure(path, label, neighbour):
    name = path.name
    try:
        pixels = np.asarray(images.decode(path).convert("RGB").resize((_SMALL, _SMALL)))
    except DataError:
        pixels = np.zeros((_SMALL, _SMALL, 3), np.uint8)
    copy = f"<b>copy</b>, correlation {neighbour.duplicate:.2f}<br>" if neighbour.duplicate is not None else ""
    return _figure(
        pixels, f"training image {name}", f"{copy}{escape(label)}, {neighbour.novelty:.2f}<br>{escape(name)}"
    )


def _figure(pixels, alternative, caption):
    """A picture; the caption is HTML."""
    array = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    source = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(alternative)}" src="data:image/png;base64,{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
