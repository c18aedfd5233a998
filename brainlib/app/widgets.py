"""The program: choose a trained model and an image, and see what the model says of it.

`notebooks/app.ipynb` shows a `Program`; Voilà serves it as a page. Everything that is computed comes
from `viewing`; here are the widgets and the words.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import traceback
from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

from brainlib.app import html
from brainlib.app import viewer as viewing
from brainlib.app.viewer import Viewer
from brainlib.data import images
from brainlib.errors import BrainlibError, DataError
from brainlib.report import exporting
from brainlib.report.table import percent
from brainlib.study.options import PHANTOMS, Options

_TEMPLATES = Path(__file__).parent / "templates"
_ACCEPTED = ",".join(sorted(images.SUFFIXES))
_FIRST = Options(profile="demo", data=PHANTOMS)  # what is trained where nothing is: jardim's CNN


class Chooser(anywidget.AnyWidget):
    """Where a file is chosen or dropped; `count` grows when `name`, `size` and `content` are another's."""

    _esm = _TEMPLATES / "upload.js"
    label = traitlets.Unicode("Your own image").tag(sync=True)
    accept = traitlets.Unicode(_ACCEPTED).tag(sync=True)
    most_bytes = traitlets.Int(viewing.MAX_UPLOAD_BYTES).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    # What arrives is a memoryview; it need not go back to the page.
    content = traitlets.CBytes(b"").tag(sync=True, echo_update=False)
    count = traitlets.Int(0).tag(sync=True)


class Slider(anywidget.AnyWidget):
    """A percentage that is moved."""

    _esm = _TEMPLATES / "slider.js"
    label = traitlets.Unicode("Strength").tag(sync=True)
    value = traitlets.Int(50).tag(sync=True)


def _told(method):
    """Say in the page whatever goes wrong in answer to a click; the details go to the terminal."""

    @functools.wraps(method)
    def answered(self, *_):
        if self._quiet:
            return
        self.alarm.value = ""
        try:
            method(self)
        except BrainlibError as error:
            self._say_alarm(str(error))
        except Exception as error:  # noqa: BLE001 - a click must end in words, whatever happens
            traceback.print_exc(file=sys.__stderr__)
            self._say_alarm(f"{type(error).__name__}: {error}. This is a fault of the program; the terminal says more.")
        finally:
            self._say("")

    return answered


class Program:
    """The whole page.

    Parameters
    ----------
    out : str
        Folder of the reports, whose store has the models.
    data : str
        Folder of the data sets; "" takes that of BRAINLIB_DATA, else phantoms alone.
    """

    def __init__(self, out: str = "reports", data: str = ""):
        options = Options(out=out, data=data)
        self.store, self.source = options.store, options.source
        self.viewer: Viewer | None = None
        self.picture: viewing.Picture | None = None
        self.pixels = self.heat = None
        self.alarm, self.status = widgets.HTML(), widgets.HTML()
        self.about, self.result, self.near = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.pictures, self.warning = widgets.HTML(), widgets.HTML()
        self.choice = _dropdown("Model")
        self.shelf, self.kind, self.path = _dropdown("Images of"), _dropdown("Kind"), _dropdown("Image")
        self.chooser = Chooser()
        self.explained = _dropdown("Explain")
        self.strength = Slider()
        self.train = widgets.Button(
            description="Train the small CNN on phantoms", button_style="primary", layout=widgets.Layout(width="auto")
        )
        self.first = widgets.VBox()
        self.asking = widgets.VBox(
            [
                _heading("1. Model"),
                self.choice,
                self.about,
                _heading("2. Image"),
                self.chooser,
                self.shelf,
                self.kind,
                self.path,
            ]
        )
        self.answer = widgets.VBox(
            [
                _heading("3. What the model says"),
                self.warning,
                self.result,
                self.pictures,
                self.explained,
                self.strength,
                self.near,
            ]
        )
        both = widgets.Box([self.asking, self.answer])
        both.add_class("columns")
        self.page = widgets.VBox(
            [
                widgets.HTML(f"<style>{(_TEMPLATES / 'app.css').read_text()}</style>{html.NOTICE}"),
                self.first,
                self.alarm,
                self.status,
                both,
            ]
        )
        self.page.add_class("brainlib")
        self._quiet = False  # while the program itself changes what is chosen
        for widget, method in (
            (self.choice, self._choose_model),
            (self.shelf, self._choose_shelf),
            (self.kind, self._choose_kind),
            (self.path, self._open_path),
            (self.explained, self._explain),
            (self.strength, self._draw),
        ):
            widget.observe(method, "value")
        self.chooser.observe(self._open_upload, "count")
        self.train.on_click(self._train_first)
        self._list_models()
        # TensorFlow takes a while to load: it does so while a person reads and chooses.
        self._loading = threading.Thread(target=_load_tensorflow, daemon=True)
        self._loading.start()

    def _repr_mimebundle_(self, **kwargs):
        return self.page._repr_mimebundle_(**kwargs)

    @contextlib.contextmanager
    def _quietly(self):
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _offer(self, widget, options) -> None:
        """Give a list its choices, with none of them chosen."""
        with self._quietly():
            widget.options = options
            widget.value = None

    # What is said

    def _say(self, sentence: str) -> None:
        self.status.value = html.status(sentence)

    def _say_alarm(self, sentence: str) -> None:
        self.alarm.value = html.alarm(sentence)

    # The model

    def _list_models(self, wanted: str = "") -> None:
        found = exporting.stored_models(self.store)
        self.models = {each.key: each for each in found}
        labels = [self._label(each) for each in found]
        options = [  # two of one name may differ in their seed or their split: the key tells them apart
            (label if labels.count(label) == 1 else f"{label} ({each.key[:8]})", each.key)
            for label, each in zip(labels, found, strict=True)
        ]
        _show(self.asking, bool(found))
        _show(self.answer, False)
        self.first.children = (
            ()
            if found
            else (
                widgets.HTML(html.nothing_trained(self.store.parent.name)),
                self.train,
            )
        )
        if found:
            self._offer(self.choice, options)
            self.choice.value = wanted if wanted in self.models else found[0].key

    def _label(self, stored):
        try:
            viewer = Viewer(self.store, stored, self.source)
            clean = viewer.accuracy.get("without copies of training images")
            apart = ", copies kept apart" if viewer.trial["split"]["by"] == "group" else ""
            said = f"clean accuracy {percent(clean['value'], 1)}" if clean else "no clean test image"
            return f"{stored.name}: {viewer.trained_on}{apart}, {said}"
        except Exception:  # noqa: BLE001 - a damaged or foreign result must not hide the others
            return f"{stored.name}: cannot be read"

    @_told
    def _choose_model(self):
        self.viewer, self.about.value, self.shelves = None, "", []
        picture = self.picture
        self._forget()
        for widget in (self.shelf, self.kind, self.path):
            self._offer(widget, [])
            _show(widget, False)
        if self.choice.value is None:
            return
        viewer = Viewer(self.store, self.models[self.choice.value], self.source)
        self.about.value = html.about(viewer)
        self._offer(self.explained, [(name, n) for n, name in enumerate(viewer.classes)])
        self.viewer = viewer
        self._say("Looking for its images…")
        own = [viewer.own_shelf] if viewer.own_shelf else []
        self.about.value += "" if own else html.no_images(viewer)
        self.shelves = own + viewing.other_shelves(self.source)
        self._offer(self.shelf, [(each.title, n) for n, each in enumerate(self.shelves)])
        _show(self.shelf, bool(self.shelves))
        if picture:
            # What another model's shelf said of it is not so of this one's.
            self.picture = picture._replace(kind="")
            self._answer()

    def _forget(self):
        """Show no answer: the one that is there belongs to another picture or model."""
        _show(self.answer, False)
        self.picture = self.pixels = self.heat = None

    # The image

    @_told
    def _choose_shelf(self):
        if self.shelf.value is None:
            return
        kinds = self.shelves[self.shelf.value].table["kind"]
        counts = kinds.value_counts()
        self._offer(self.kind, [(f"{kind} ({counts[kind]})", kind) for kind in dict.fromkeys(kinds)])
        _show(self.kind, True)
        _show(self.path, False)

    @_told
    def _choose_kind(self):
        if self.kind.value is None:
            return
        table = self.shelves[self.shelf.value].table
        self._offer(self.path, list(table.loc[table["kind"] == self.kind.value, "path"]))
        _show(self.path, True)

    @_told
    def _open_path(self):
        self._forget()
        if self.path.value is not None:
            self.picture = self.shelves[self.shelf.value].open(self.path.value)
            self._answer()

    @_told
    def _open_upload(self):
        chosen = self.chooser
        self._forget()
        with self._quietly():  # so that the same image of a set can be chosen after it
            self.path.value = None
        self._say("Reading the file…")
        if chosen.size > viewing.MAX_UPLOAD_BYTES:
            raise viewing.too_large(chosen.name, chosen.size)
        if len(chosen.content) != chosen.size:
            raise DataError(
                f"{viewing.printable(chosen.name)}: expected {chosen.size} bytes, received {len(chosen.content)}; choose it again"
            )
        self.picture = viewing.open_upload(chosen.name, chosen.content)
        self._answer()

    # The answer

    def _answer(self):
        if self.viewer is None:
            raise DataError(f"{self.picture.name}: expected a model to show it to; choose one above")
        if self._loading.is_alive():
            self._say("Loading TensorFlow…")
            self._loading.join()
        self._say("Asking the model…")
        viewer, self.warning.value, self.near.value = self.viewer, "", ""
        self.pixels = viewer.pixels(self.picture)
        said = viewer.probabilities(self.pixels)
        self.result.value = html.probabilities(self.picture, viewer.classes, said)
        with self._quietly():
            self.explained.value = int(said.argmax())
        self._explain_now()
        _show(self.answer, True)
        if viewer.dataset is not None:
            self._say("Comparing it with the training images…")
            self.warning.value, self.near.value = html.neighbours(viewer, self.picture)

    def _explain_now(self):
        if self.pixels is not None and self.explained.value is not None:
            self.heat = self.viewer.heat_map(self.pixels, self.explained.value)
            self._draw_now()

    def _draw_now(self):
        from brainlib.models import gradcam

        if self.heat is None:
            return
        laid = gradcam.overlay(self.pixels, self.heat, self.strength.value / 100)[0]
        self.pictures.value = html.pictures(
            self.viewer, self.picture, self.pixels[0], laid, self.explained.value, bool(self.heat.any())
        )

    _explain, _draw = _told(_explain_now), _told(_draw_now)

    # Nothing trained yet

    @_told
    def _train_first(self):
        from brainlib.study.study import Study
        from brainlib.trials import run

        if self.models:  # a second click, which waited for the first one's end
            return
        self.train.disabled = True
        try:
            self._moved(0, "Drawing phantoms and loading TensorFlow…")
            study = Study("jardim", **(_FIRST.model_dump() | {"arms": ["cnn"], "out": str(self.store.parent)}))
            (final,) = [trial for trial in study.trials() if trial.stage == "final"]
            data = study.dataset
            self._loading.join()
            self._moved(0, "Training: the first epoch takes the longest…")
            run.run_trials([final], data, self.store, log=lambda line: None, on_progress=self._moved)
        finally:
            self.train.disabled = False
        self._list_models(final.key)

    def _moved(self, fraction: float, line: str) -> None:
        self.status.value = html.progress(fraction, line)


def _load_tensorflow():
    import brainlib.models._tensorflow  # noqa: F401


def _heading(text):
    return widgets.HTML(f"<h2>{text}</h2>")


def _dropdown(description):
    return widgets.Dropdown(description=description, style={"description_width": "7rem"})


def _show(widget, wanted):
    widget.layout.display = None if wanted else "none"
