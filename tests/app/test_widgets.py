"""The program: its answers without a browser, and in one from the start to the heat map."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from browsing import Watched, violations
from PIL import Image
from serving import serving
from uploads import BAD, GREY, saved

from brainlib import cli
from brainlib.app import viewer, widgets
from brainlib.errors import DataError, StoreError
from brainlib.models import gradcam
from brainlib.study import Study
from brainlib.trials import stored

ROOT = Path(__file__).parents[2]
SMOKE = {"profile": "smoke"}
IN_SIGHT = """selector => {
    const box = document.querySelector(selector)?.getBoundingClientRect();
    return box && box.height > 0 && box.top >= 0 && box.bottom <= window.innerHeight;
}"""
LONG = 120_000  # ms: TensorFlow alone may take a minute on a busy machine


@pytest.fixture(scope="module")
def out(trained):
    """Reports with two small models, of seeds 0 and 1."""
    return trained[0]


def program(out):
    return widgets.Program(str(out), "phantoms")


def choose(shown):
    """Choose the first test image of the model's own set."""
    shown.collection.value = 0
    shown.kind.value = "test: tumour"
    shown.path.value = shown.path.options[0]


def upload(shown, name, content, size=None):
    chosen = shown.chooser
    chosen.name, chosen.content = name, content
    chosen.size = len(content) if size is None else size
    chosen.count += 1


def raising(error):
    """A function that raises an error, whatever it is given."""

    def function(*_, **__):
        raise error

    return function


def test_a_model_is_described_before_any_image_is_chosen(out):
    shown = program(out)
    labels = [label for label, _ in shown.model.options]
    assert len(set(labels)) == 2 and all("phantoms in the layout of Br35H" in label for label in labels)
    for words in ("CNN without transfer learning", "synthetic images", "Without duplicates", "2 of 30 epochs"):
        assert words in shown.about.value
    assert "For research use only" in "".join(child.value for child in shown.page.children if hasattr(child, "value"))


def test_an_answer_has_probabilities_a_heat_map_and_the_nearest_training_images(out):
    shown = program(out)
    choose(shown)
    assert shown.alarm.value == ""
    shares = [float(value) for value in re.findall(r"([\d.]+)\xa0%</td>", shown.result.value)]
    assert len(shares) == 2 and sum(shares) == pytest.approx(100, abs=0.1)
    assert shown.images.value.count("<img") == 3 and shown.near.value.count("<img") == 6
    before = shown.images.value
    shown.strength.value = 0  # the grey image
    assert shown.images.value != before
    other = ("no tumour", "tumour")[1 - shown.explained.value]
    shown.explained.value = 1 - shown.explained.value
    assert f"Grad-CAM for {other} over" in shown.images.value


def test_an_example_is_answered_beside_its_true_class_and_saved(out):
    shown = program(out)
    truth = [item["label"] for item in shown.examples.items]
    assert set(truth) == {"tumour", "no tumour"}
    for number, label in enumerate(truth):
        shown.examples.chosen = number
        shown.examples.count += 1
        predicted = re.search(r"<strong>(.*?)</strong>", shown.result.value)[1]
        assert ("✓ correct" in shown.result.value) == (predicted == label)
        assert (f"the true class is {label}" in shown.result.value) == (predicted != label)
        answer = json.loads(unquote(re.search(r'json,([^"]+)"', shown.saved.value)[1]))
        assert answer["true"] == {"tumour": "yes", "no tumour": "no"}[label] and answer["novelty"] > 0
        assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["predicted"]
    upload(shown, "disc.png", saved(GREY))
    assert "✓" not in shown.result.value and "✗" not in shown.result.value  # nobody knows its class


def test_a_warning_is_said_once_and_no_rate_is_of_a_few_images(out):
    shown = program(out)
    shown.collection.value = 0
    shown.kind.value = next(kind for _, kind in shown.kind.options if kind.startswith("training"))
    shown.path.value = shown.path.options[0]
    assert (shown.warning.value + shown.near.value).count("The model was trained on this image") == 1
    assert "too few for a rate" in shown.about.value and not re.search(r"\d\s%.* of \d+ images", shown.about.value)


def test_noise_is_novel(out):
    shown = program(out)
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
    upload(shown, "noise.png", saved(Image.fromarray(noise)))
    assert "Unlike the training images." in shown.warning.value
    assert "false alarms" not in shown.near.value  # so few test images give no rate


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_ends_in_a_sentence_and_shows_no_old_answer(out, name):
    shown = program(out)
    choose(shown)
    upload(shown, name, BAD[name][0])
    assert BAD[name][1] in shown.alarm.value and "Traceback" not in shown.alarm.value
    assert shown.answer.layout.display == "none"


def test_a_file_that_is_too_large_was_not_even_sent(out):
    shown = program(out)
    upload(shown, "film.mp4", b"", size=3 * 2**30)
    assert "film.mp4: expected an image of at most 8 MB, received one of 3072.0 MB" in shown.alarm.value


def test_the_same_image_of_a_set_can_be_chosen_again_after_an_upload(out):
    shown = program(out)
    choose(shown)
    first, path = shown.result.value, shown.path.value
    upload(shown, "disc.png", saved(GREY))
    assert shown.path.value is None and shown.chooser.name == "disc.png"
    shown.path.value = path
    assert shown.result.value == first and shown.answer.layout.display is None
    assert shown.chooser.name == ""  # the name beside the file input would be that of another image


def test_an_image_or_model_that_cannot_be_read_leaves_nothing_of_the_one_before(out, monkeypatch):
    shown = program(out)
    choose(shown)
    monkeypatch.setattr(viewer.Collection, "open", raising(DataError("expected a whole image")))
    shown.path.value = shown.path.options[1]
    assert "expected a whole image" in shown.alarm.value and shown.answer.layout.display == "none"
    monkeypatch.undo()
    shown.path.value = shown.path.options[0]
    monkeypatch.setattr(viewer.Viewer, "__init__", raising(StoreError("of another version")))
    shown.model.value = shown.model.options[1][1]
    assert shown.about.value == "" and shown.collection.options == () and shown.answer.layout.display == "none"
    assert "of another version" in shown.alarm.value


def test_the_colour_bar_has_the_colours_of_the_overlay():
    grey = np.zeros((1, 1, 9, 1), np.uint8)
    ((colours,),) = gradcam.overlay(grey, np.linspace(0, 1, 9, dtype=np.float32)[None, None], alpha=1)
    bar = (ROOT / "brainlib/app/templates/app.css").read_text().split("linear-gradient(to right, ")[1].split(")")[0]
    written = np.array([list(bytes.fromhex(colour[1:])) for colour in bar.split(", ")])
    # Where the map is 0 the overlay is the image itself; elsewhere its colour is mixed in by the value of the map.
    shares = np.linspace(0, 1, 9)[:, None]
    assert abs(colours - shares * written).max() <= 1


@pytest.mark.fault("11l", "HTML in the name of an upload", "shown as text")
def test_a_file_name_is_no_html(out):
    shown = program(out)
    upload(shown, "<img src=x onerror=alert(1)>.png", saved(GREY))
    assert "<img src=x" not in shown.result.value + shown.images.value


def test_another_model_classifies_the_same_image(out):
    shown = program(out)
    upload(shown, "disc.png", saved(GREY))
    first = shown.viewer.probabilities(shown.pixels)
    shown.model.value = shown.model.options[1][1]
    assert "disc.png" in shown.result.value and shown.answer.layout.display is None
    assert abs(shown.viewer.probabilities(shown.pixels) - first).max() > 1e-6


@pytest.mark.fault("11k", "a damaged model is chosen in the program", "a sentence says that it does not verify")
def test_damaged_models_are_listed_and_are_an_error_when_chosen(out, tmp_path):
    shutil.copytree(out, tmp_path / "reports")
    first, second = sorted((tmp_path / "reports" / "store" / "trials").iterdir())
    (first / "predictions.parquet").write_bytes(b"damaged")
    (second / "model.keras").write_bytes(b"damaged")
    shown = program(tmp_path / "reports")
    shown.model.value = first.name
    assert "expected a stored result, found none that verifies" in shown.alarm.value
    shown.model.value = second.name
    upload(shown, "disc.png", saved(GREY))
    assert "expected a trained model that verifies" in shown.alarm.value


def test_a_page_whose_kernel_was_started_ahead_of_it_offers_what_was_stored_since(out, tmp_path):
    (tmp_path / "store").mkdir()
    shown = program(tmp_path)
    assert shown.first.children and not shown.model.options
    shutil.copytree(out / "store", tmp_path / "store", dirs_exist_ok=True)
    shown.chooser._handle_custom_msg("shown", [])
    assert len(shown.model.options) == 2 and not shown.first.children
    upload(shown, "disc.png", saved(GREY))
    before = shown.result.value
    shown.chooser._handle_custom_msg("shown", [])  # a second view in JupyterLab, say
    assert shown.result.value == before and shown.answer.layout.display is None


def test_from_nothing_a_small_model_is_trained_and_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr("brainlib.study.study.Study", lambda *given, **also: Study(*given, **also | SMOKE))
    shown, lines = program(tmp_path), []
    shown.status.observe(lambda change: lines.append(change.new), "value")
    assert {shown.alarm, shown.status} < set(shown.first.children)  # the lists, with their messages, are hidden
    shown.train.click()
    assert shown.alarm.value == "" and any('aria-label="Training"' in line and "epoch" in line for line in lines)
    assert not shown.first.children and shown.viewer.accuracy and shown.choices.layout.display is None


def test_listing_the_models_opens_no_table_and_hashes_nothing(out, monkeypatch):
    refused = raising(AssertionError("read while listing"))
    monkeypatch.setattr("pandas.read_parquet", refused)
    monkeypatch.setattr("brainlib.trials.store._verified", refused)
    found = stored.stored_models(out / "store")
    assert sorted(each.trial["seed"] for each in found) == [0, 1]
    with pytest.raises(AssertionError, match="read while listing"):
        viewer.Viewer(out / "store", found[0], "phantoms")


@pytest.mark.fault("11m", "the program has a fault of its own", "a sentence that says so")
def test_an_unexpected_error_is_a_sentence_too(out, monkeypatch):
    shown = program(out)
    monkeypatch.setattr(viewer.Viewer, "probabilities", raising(ZeroDivisionError("by nothing")))
    upload(shown, "disc.png", saved(GREY))
    assert "ZeroDivisionError: by nothing" in shown.alarm.value and "fault of the program" in shown.alarm.value


def test_a_folder_that_is_none_is_refused_before_anything_is_served(tmp_path, capsys):
    assert cli.main(["app", "--data", str(tmp_path / "none")]) == 2
    assert cli.main(["app", "--port", "70000"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "--data: expected a folder" in first and "--port: expected 1 to 65535" in second


# In a browser


@pytest.fixture(scope="module")
def served(out, tmp_path_factory):
    """The program on a store with two small models: its address, and the folder of the reports."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(out, folder / "reports")
    with serving(folder) as address:
        yield address, folder / "reports"


def options_of(page, label):
    """What a list offers, once it offers something; ipywidgets writes its spaces as no-break ones."""
    options = page.get_by_label(label, exact=True).locator("option")
    options.first.wait_for(state="attached")
    found = options.all_inner_texts()
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def test_from_an_address_to_a_heat_map_with_good_and_bad_uploads(served, browser, tmp_path):
    address, out = served
    good = next(out.glob("store/phantoms/*/yes/yes_1.png"))
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    with Watched(browser, 1200, "light") as page:
        page.set_default_timeout(LONG)
        page.goto(address)
        page.get_by_text("For research use only.").wait_for()
        assert all("phantoms in the layout of Br35H" in text for text in options_of(page, "Model"))

        page.get_by_label("Your own image").set_input_files(good)
        page.get_by_role("heading", name="Is it like the training images?").wait_for()
        overlay = page.get_by_role("img", name="Grad-CAM for")
        first = overlay.get_attribute("src")
        assert page.get_by_role("img", name="training image").count() == 6
        page.get_by_label("Strength").press("End")
        page.wait_for_function("old => document.querySelector('img[alt^=Grad-CAM]').src !== old", arg=first)
        explained = page.get_by_label("Explain")
        chosen = explained.evaluate("e => e.selectedOptions[0].text").replace("\N{NO-BREAK SPACE}", " ")
        other = "tumour" if chosen == "no tumour" else "no tumour"
        explained.select_option(label=other)
        page.get_by_role("img", name=f"Grad-CAM for {other} over").wait_for()
        with page.expect_download() as saved_file:
            page.get_by_role("link", name="Save the answer").click()
        answer = json.loads(Path(saved_file.value.path()).read_text())
        assert sum(answer["probabilities"].values()) == pytest.approx(1) and answer["image"]["name"] == "yes_1.png"
        assert violations(page) == []

        for name, (_, sentence) in BAD.items():
            page.get_by_label("Your own image").set_input_files(tmp_path / name)
            page.get_by_role("alert").filter(has_text=sentence).wait_for()
            overlay.wait_for(state="hidden")
        # On a narrow screen, too, the reason is in sight without scrolling, and then the answer.
        page.set_viewport_size({"width": 400, "height": 900})
        page.get_by_label("Your own image").set_input_files(tmp_path / name)
        page.wait_for_function(IN_SIGHT, arg=".messages [role=alert]")
        assert violations(page) == []
        assert "Traceback" not in page.inner_text("body")

        # The keyboard alone: an example, and any image of the set.
        page.get_by_role("group", name="Examples").get_by_role("button", name="no tumour").first.press("Enter")
        page.wait_for_function(IN_SIGHT, arg=".answer .predicted")
        page.emulate_media(color_scheme="dark")
        assert violations(page) == []
        page.get_by_label("Or any image of").select_option(index=0)
        kinds = options_of(page, "Kind")
        page.get_by_label("Kind").select_option(index=[kind.startswith("training") for kind in kinds].index(True))
        assert options_of(page, "Image")
        page.get_by_label("Image", exact=True).select_option(index=0)
        page.get_by_role("alert").filter(has_text="A duplicate of a training image.").wait_for()
        page.get_by_text("duplicate", exact=True).first.wait_for()
        for width in (1600, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.get_by_label("Model", exact=True).bounding_box()["height"] < 50
    # What another host was to give was refused by the page's own policy, not fetched.
    assert [message for message in page.errors if "Content Security Policy" not in message] == []
    assert not list((out / "store" / "trials").glob(".*"))
