"""The program: choose a trained model and an image, and see the model's prediction, heat map and novelty.

`notebooks/app.ipynb` shows a `Program`; Voilà serves it as a page. `viewer` computes everything, `html` has the
words; here are the widgets, and what a click does.
"""

from __future__ import annotations

import contextlib
import importlib
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
from brainlib.models import gradcam
from brainlib.study.options import PHANTOMS, Options
from brainlib.trials.stored import stored_models

_NEAREST = 6  # training images that are shown
_TEMPLATES = Path(__file__).parent / "templates"


class Chooser(anywidget.AnyWidget):
    """A file input; `count` grows when `name`, `size` and `content` are those of another file."""

    _esm = _TEMPLATES / "upload.js"
    accept = traitlets.Unicode(",".join(sorted(images.SUFFIXES))).tag(sync=True)
    most_bytes = traitlets.Int(viewing.MAX_UPLOAD_BYTES).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    # A memoryview arrives; it need not go back to the page.
    content = traitlets.CBytes(b"").tag(sync=True, echo_update=False)
    count = traitlets.Int(0).tag(sync=True)


class Slider(anywidget.AnyWidget):
    """A percentage that a slider sets."""

    _esm = _TEMPLATES / "slider.js"
    value = traitlets.Int(50).tag(sync=True)


class Examples(anywidget.AnyWidget):
    """Images to click; `count` grows when one is chosen, by its number in `items` (see `html.examples`)."""

    _esm = _TEMPLATES / "examples.js"
    items = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)


class Program:
    """The whole page, with the models of the store in `out`, the folder of the reports.

    `data` is the folder of the data sets or own images; "" takes that of BRAINLIB_DATA, else phantoms alone.
    """

    def __init__(self, out: str = "reports", data: str = ""):
        options = Options(out=out, data=data)
        self.store, self.source = options.store, options.source
        self.models, self.collections = {}, []
        self.viewer = self.image = self.pixels = self.heat = None
        self._quiet = False  # while the program itself changes what is chosen
        self._build()
        self._list_models()
        # TensorFlow takes a while to load: it does so while a person reads and chooses, not before the page is shown.
        self._loading = threading.Thread(
            target=importlib.import_module, args=["brainlib.models._tensorflow"], daemon=True
        )
        self.chooser.on_msg(self._shown)

    def _build(self):
        """Make the widgets, and connect each to what a change of it does."""
        self.alarm, self.status, self.about, self.warning = (widgets.HTML() for _ in range(4))
        self.result, self.images, self.near, self.saved = (widgets.HTML() for _ in range(4))
        names = ("Model", "Or any image of", "Kind", "Image", "Explain")
        lists = [widgets.Dropdown(description=name) for name in names]
        self.model, self.collection, self.kind, self.path, self.explained = lists
        self.chooser, self.examples, self.strength = Chooser(), Examples(), Slider()
        self.train = widgets.Button(description="Train the small CNN on phantoms", button_style="primary")
        self.first = widgets.VBox()
        headings = [widgets.HTML(f"<h2>{text}</h2>") for text in ("1. Model", "2. Image", "3. Prediction")]
        # Messages stand right below the file input, in sight on a narrow screen too.
        image = (self.chooser, self.alarm, self.status, self.examples, self.collection, self.kind, self.path)
        self.choices = widgets.VBox([headings[0], self.model, self.about, headings[1], *image])
        heat = (self.images, self.explained, self.strength)
        self.answer = widgets.VBox([headings[2], self.warning, self.result, *heat, self.saved, self.near])
        self.alarm.add_class("messages")
        self.answer.add_class("answer")
        columns = widgets.Box([self.choices, self.answer])
        columns.add_class("columns")
        style = f"<style>{(_TEMPLATES / 'app.css').read_text()}</style>"
        self.page = widgets.VBox([widgets.HTML(f"{style}{html.parts.notice()}"), self.first, columns])
        self.page.add_class("brainlib")
        for widget, method in (
            (self.model, self._choose_model),
            (self.collection, self._choose_collection),
            (self.kind, self._choose_kind),
            (self.path, self._open_path),
            (self.explained, self._explain),
            (self.strength, self._draw),
        ):
            widget.observe(self._guarded(method), "value")
        self.chooser.observe(self._guarded(self._open_upload), "count")
        self.examples.observe(self._guarded(self._open_example), "count")
        self.train.on_click(self._guarded(self._train_first))

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

    def _guarded(self, method):
        """Return a callback that shows any error in the page; the details go to the terminal."""

        def callback(_):
            if self._quiet:
                return
            self.alarm.value = ""
            try:
                method()
            except BrainlibError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - a click must end in words, whatever happens
                traceback.print_exc(file=sys.__stderr__)
                what = f"{type(error).__name__}: {error}"
                self._fail(f"{what}. This is a fault of the program; the terminal has the details.")
            finally:
                self._say("")

        return callback

    def _fail(self, sentence: str) -> None:
        self.alarm.value = html.parts.alarm(sentence)
        self.chooser.send({"show": "messages"})  # where a narrow screen does not show them

    def _say(self, sentence: str) -> None:
        self.status.value = html.parts.status(sentence)

    def _progress(self, fraction: float, line: str) -> None:
        self.status.value = html.parts.progress(fraction, line)

    def _shown(self, *_):
        """Begin what a page needs; since its kernel was started ahead of it, models may have been stored."""
        if self._loading.ident is None:
            self._loading.start()
            if set(self.models) != {each.key for each in stored_models(self.store)}:
                self._list_models()

    def _list_models(self, wanted: str = "") -> None:
        """List the models of the store, the most accurate first, and choose one."""
        self.models = {each.key: each for each in stored_models(self.store)}
        ranks, labels = {}, {}
        for key, each in self.models.items():
            try:
                viewer = Viewer(self.store, each, self.source)
                # One that gives every image the same class is worth less than its accuracy.
                ranks[key] = (viewer.score is None, viewer.collapsed is not None, -(viewer.score or 0))
                labels[key] = html.model_label(viewer)
            except BrainlibError:  # choosing it says what is wrong
                ranks[key], labels[key] = (True, True), each.name
        found, shown = sorted(self.models, key=ranks.get), list(labels.values())
        options = [  # two with one label may differ in their seed or their split: the key distinguishes them
            (labels[key] if shown.count(labels[key]) == 1 else f"{labels[key]} ({key[:8]})", key) for key in found
        ]
        self._offer(self.model, options)  # before the list is shown: it would be seen empty for a moment
        _show(self.choices, bool(found))
        _show(self.answer, False)
        nothing = widgets.HTML(html.parts.nothing_trained(self.store.parent.name))
        self.first.children = () if found else (nothing, self.train, self.alarm, self.status)
        if found:
            self.model.value = wanted if wanted in self.models else found[0]

    def _choose_model(self):
        self.viewer, self.about.value, self.collections = None, "", []
        image = self.image
        self._forget(self.chooser)  # its file is shown to the other model too
        self.examples.items = []
        for widget in (self.collection, self.kind, self.path):
            self._offer(widget, [])
            _show(widget, False)
        self._say("Reading the model…")
        viewer = Viewer(self.store, self.models[self.model.value], self.source)
        self.about.value = html.parts.about(viewer)
        self._offer(self.explained, [(viewer.class_name(name), n) for n, name in enumerate(viewer.classes)])
        self.viewer = viewer
        self.examples.items = html.examples(viewer)
        own = [viewer.own_images] if viewer.own_images else []
        self.collections = own + viewing.other_sets(self.source, self.store)
        self._offer(self.collection, [(each.title, n) for n, each in enumerate(self.collections)])
        _show(self.collection, bool(self.collections))
        if image:
            # Another model was trained on other images.
            self.image = image._replace(kind="", seen=False)
            self._answer()

    def _forget(self, chosen: widgets.Widget) -> None:
        """Remove the answer, which belongs to another image or model, and what other choice it came from."""
        _show(self.answer, False)
        self.image = self.pixels = self.heat = None
        if chosen is not self.chooser:
            self.chooser.name = ""
        if chosen is not self.path:  # the same image of a set can be chosen again
            with self._quietly():
                self.path.value = None

    def _choose_collection(self):
        kinds = self.collections[self.collection.value].table["kind"]
        counts = kinds.value_counts()
        self._offer(self.kind, [(f"{kind} ({counts[kind]})", kind) for kind in dict.fromkeys(kinds)])
        _show(self.kind, True)
        _show(self.path, False)

    def _choose_kind(self):
        table = self.collections[self.collection.value].table
        self._offer(self.path, list(table.loc[table["kind"] == self.kind.value, "path"]))
        _show(self.path, True)

    def _open_path(self):
        self._forget(self.path)
        self.image = self.collections[self.collection.value].open(self.path.value)
        self._answer()

    def _open_example(self):
        self._forget(self.examples)
        self.image = self.collections[0].open(self.examples.items[self.examples.chosen]["path"])
        self._answer()

    def _open_upload(self):
        file = self.chooser
        self._forget(file)
        self._say("Reading the file…")
        self.image = viewing.open_upload(file.name, file.content, file.size)
        self._answer()

    def _answer(self):
        if self.viewer is None:
            raise DataError(f"{self.image.name}: expected a model to classify it; choose one above")
        if self._loading.is_alive():
            self._say("Loading TensorFlow…")
            self._loading.join()
        self._say("Computing the prediction…")
        viewer, self.warning.value, self.near.value, self.saved.value = self.viewer, "", "", ""
        self.pixels = viewer.pixels(self.image)
        probabilities = viewer.probabilities(self.pixels)
        self.result.value = html.parts.probabilities(viewer, self.image, probabilities)
        with self._quietly():
            self.explained.value = int(probabilities.argmax())
        self._explain()
        _show(self.answer, True)
        self.chooser.send({"show": "answer"})
        self._say("Comparing it with the training images…")
        novelty, near = viewer.neighbours(self.image, _NEAREST)
        self.warning.value = html.parts.warning(self.image, novelty, near)
        if viewer.dataset is not None:
            self.near.value = html.parts.neighbours(viewer, self.image, novelty, near)
        self.saved.value = html.parts.saved(viewer, self.image, probabilities, novelty)

    def _explain(self):
        if self.pixels is not None:
            self.heat = self.viewer.heat_map(self.pixels, self.explained.value)
            self._draw()

    def _draw(self):
        if self.heat is None:
            return
        overlay = gradcam.overlay(self.pixels, self.heat, self.strength.value / 100)[0]
        name, empty = self.viewer.class_name(self.viewer.classes[self.explained.value]), not self.heat.any()
        self.images.value = html.parts.heat_map(self.viewer, self.image, self.pixels[0], overlay, name, empty)

    def _train_first(self):
        from brainlib.study.study import Study
        from brainlib.trials import run

        if self.models:  # a second click, which waited for the first one's end
            return
        self.train.disabled = True
        try:
            self._progress(0, "Drawing phantoms…")
            study = Study("jardim", profile="demo", data=PHANTOMS, arms=["cnn"], out=str(self.store.parent))
            (final,) = [trial for trial in study.trials() if trial.stage == "final"]
            self._progress(0, "Training: the first epoch takes the longest…")
            run.run_trials([final], study.dataset, self.store, on_progress=self._progress)
        finally:
            self.train.disabled = False
        self._list_models(final.key)


def _show(widget, wanted):
    widget.layout.display = None if wanted else "none"
