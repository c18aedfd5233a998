"""Figures draw the numbers they are given, and their alternative texts state them."""

from __future__ import annotations

import base64
import io
import math

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

from brainlib.errors import UsageError
from brainlib.report import figures
from brainlib.report.figures import style
from brainlib.stats.calibration import Calibration
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Interval

pytestmark = pytest.mark.filterwarnings("error")

LONG = "ResNet50V2 with transfer learning [mobilenet_v2 in place of resnet50v2]"


def history(losses, val_losses, accuracies, val_accuracies, phases=None) -> pd.DataFrame:
    curves = {"loss": losses, "accuracy": accuracies, "val_loss": val_losses, "val_accuracy": val_accuracies}
    return pd.DataFrame({"phase": phases or "head", "epoch": np.arange(1, len(losses) + 1), **curves, "seconds": 1.0})


FOLDS = {
    "fold 1": history([0.7, 0.4, 0.2], [0.8, 0.6, 0.5], [0.5, 0.7, 0.9], [0.5, 0.6, 0.75]),
    "fold 2": history([0.6, 0.5, 0.3], [0.9, 0.7, 0.4], [0.6, 0.8, 0.95], [0.4, 0.7, 0.875]),
}


def predictions(scores, positive) -> pd.DataFrame:
    scores = np.asarray(scores)
    about = {"path": [f"{i}.png" for i in range(len(scores))], "label": np.where(positive, "yes", "no"), "part": "test"}
    return pd.DataFrame(about | {"group": range(len(scores)), "p_no": 1 - scores, "p_yes": scores})


# Of the four pairs of a positive and a negative image three are in order.
THREE_OF_FOUR = predictions([0.9, 0.4, 0.6, 0.1], [True, True, False, False])


def table(cells, classes) -> pd.DataFrame:
    return pd.DataFrame(cells, pd.Index(classes, name="true"), pd.Index(classes, name="predicted"))


def overlays(shade) -> np.ndarray:
    return np.full((4, 4, 3), shade, dtype=np.uint8)


def every_plot() -> dict[str, figures.Plot]:
    estimate = Estimate(0.9, 0.8, 0.95, 60, "Wilson")
    rows = [("true positive, 0.98", overlays(7)[..., :1], {LONG: overlays(9)})]
    return {
        "learning_curves": figures.learning_curves({**FOLDS, LONG: FOLDS["fold 1"]}, "CNN"),
        "history": figures.history(FOLDS["fold 1"], LONG, "test"),
        "roc": figures.roc({LONG: THREE_OF_FOUR}, ("no", "yes"), "yes"),
        "metric_bars": figures.metric_bars({LONG: {"auc": estimate}}, {LONG: {"auc": 0.99}}),
        "confusion": figures.confusion(table([[3, 1], [0, 0]], ["no", "yes"]), LONG),
        "grad_cam_panel": figures.grad_cam_panel(rows),
    }


def line(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_learning_curves_draw_each_fold_and_say_the_range_after_the_last_epoch():
    plot = figures.learning_curves(FOLDS, "CNN", "test")
    panels = {
        "Training loss": "loss",
        "Test loss": "val_loss",
        "Training accuracy": "accuracy",
        "Test accuracy": "val_accuracy",
    }
    assert [axes.get_title() for axes in plot.figure.axes] == list(panels)
    for axes, column in zip(plot.figure.axes, panels.values(), strict=True):
        for fold, given in FOLDS.items():
            assert line(axes, fold).get_xdata().tolist() == [1, 2, 3]
            assert line(axes, fold).get_ydata().tolist() == given[column].tolist()
    assert plot.alt == (
        "Learning curves of CNN, fold 1, fold 2, over 3 epochs. After the last epoch: training loss "
        "0.200 to 0.300; test loss 0.400 to 0.500; training accuracy 0.900 to 0.950; "
        "test accuracy 0.750 to 0.875."
    )
    one = figures.history(FOLDS["fold 1"], "ResNet18", "test")
    assert line(one.figure.axes[0], "training").get_ydata().tolist() == [0.7, 0.4, 0.2]
    assert line(one.figure.axes[0], "test").get_ydata().tolist() == [0.8, 0.6, 0.5]
    assert one.alt == "ResNet18, 3 epochs: training loss from 0.700 to 0.200; test loss from 0.800 to 0.500."


@pytest.mark.parametrize("scale", [10.0, 1.0, 1e-6, 0.0])
def test_no_loss_lies_outside_its_panel(scale):
    given = history([0.6 * scale], [0.9 * scale], [0.5], [0.5])
    for plot in (figures.learning_curves({"only": given}, "CNN"), figures.history(given, "A", "test")):
        low, high = plot.figure.axes[0].get_ylim()
        assert low <= 0.6 * scale
        assert 0.9 * scale < high


def test_a_single_epoch_is_drawn_as_a_marker_and_one_that_is_undefined_is_not():
    plot = figures.learning_curves({"fold 1": history([0.6], [0.9], [0.5], [0.5])}, "CNN")
    for axes in plot.figure.axes:
        assert line(axes, "fold 1").get_marker() not in ("", "None", None)
        assert [t for t in axes.get_xticks() if 0.5 <= t <= 1.5] == [1]
    assert "over 1 epoch. After the last epoch: training loss 0.600; validation" in plot.alt
    # A loss of nan leaves a gap.
    given = history([0.7, math.nan, math.nan], [0.8, 0.6, math.nan], [0.5] * 3, [0.5] * 3)
    plot = figures.learning_curves({"a": given}, "CNN")
    assert np.isnan(line(plot.figure.axes[0], "a").get_ydata()).tolist() == [False, True, True]
    assert "training loss undefined; validation loss undefined" in plot.alt


def test_a_second_phase_is_marked_where_it_begins_and_a_single_one_is_not():
    phases = ["head", "head", "fine-tuning"]
    given = history([0.7, 0.4, 0.2], [0.8, 0.6, 0.5], [0.5] * 3, [0.5] * 3, phases)
    begins = "Phase 'fine-tuning' begins at epoch 3"
    for plot in (figures.learning_curves({"a": given}, "CNN"), figures.history(given, "A", "test")):
        assert line(plot.figure.axes[0], begins).get_xdata() == [2.5, 2.5]
        assert f" {begins}." in plot.alt
    one_phase = figures.learning_curves(FOLDS, "CNN")
    assert legend(one_phase.figure) == ["fold 1", "fold 2"]
    assert "Phase" not in one_phase.alt


@pytest.mark.parametrize(("smallest", "scale"), [(0.5, "linear"), (0.0, "linear"), (1e-3, "log")])
def test_losses_more_than_a_thousandfold_apart_get_an_axis_that_says_it_is_logarithmic(smallest, scale):
    given = history([5.0, smallest], [5.0, 0.9], [0.5, 0.5], [0.5, 0.5])
    axes = figures.history(given, "A", "test").figure.axes[0]
    assert axes.get_yscale() == scale
    assert axes.get_ylabel().endswith("log scale") == (scale == "log")


def test_the_roc_curve_of_four_images_is_the_one_drawn_by_hand_and_undefined_without_a_negative_one():
    plot = figures.roc({"CNN": THREE_OF_FOUR, LONG: THREE_OF_FOUR.query("label == 'yes'")}, ("no", "yes"), "yes")
    drawn = line(plot.figure.axes[0], "CNN\nAUC 0.750")
    assert drawn.get_xdata().tolist() == [0, 0, 0.5, 0.5, 1]
    assert drawn.get_ydata().tolist() == [0, 0.5, 0.5, 1, 1]
    assert "CNN: AUC 0.750 (2 of 4 images positive)" in plot.alt
    undefined = plot.figure.axes[0].get_lines()[1]
    assert undefined.get_label().endswith("AUC undefined")
    assert len(undefined.get_xdata()) == 0
    assert f"{LONG}: AUC undefined (2 of 2 images positive)" in plot.alt


def test_the_roc_curve_belongs_to_the_class_named_positive():
    # Two classes' scores mirror each other: only the label can tell, so use a third.
    given = THREE_OF_FOUR.assign(p_other=0.0)
    given.loc[3, ["p_no", "p_other"]] = [0.0, 0.9]
    plot = figures.roc({"CNN": given}, ("no", "yes", "other"), "no")
    # p_no is 0.1, 0.6 for the two others and 0.4, 0.0 for the two "no": one pair of four.
    assert "positive class no. CNN: AUC 0.250" in plot.alt


def test_the_reliability_curve_is_described_by_its_numbers():
    curve = pd.DataFrame(
        {"images": [6, 4], "confidence": [0.65, 0.85], "accuracy": [0.5, 0.75], "low": [0.2, 0.3], "high": [0.8, 0.9]}
    )
    limits = Interval(0.05, 0.2, "group bootstrap")
    plot = figures.reliability({"a model": Calibration(0.13, limits, 0.4, limits, curve)}, "a paper")
    assert "a model: expected calibration error 13.0 %" in plot.alt
    assert "of 4 images predicted with a mean confidence of 0.85, 75 % are correct" in plot.alt


def test_bars_whiskers_and_diamonds_stand_at_the_numbers_given():
    estimates = {
        "CNN": {"accuracy": Estimate(0.9, 0.85, 0.93, 60, "Wilson"), "auc": Estimate(0.95, 0.9, 0.99, 60, "DeLong")},
        "ResNet": {"accuracy": Estimate(0.8, 0.7, 0.88, 60, "Wilson")},
    }
    # A printed value counts also where the run has none.
    plot = figures.metric_bars(estimates, {"CNN": {"accuracy": 0.9794}, "ResNet": {"auc": 0.97}})
    axes = plot.figure.axes[0]
    assert axes.get_ylim()[0] == 0 and 1 <= axes.get_ylim()[1] < 1.1
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.95, 0.8]
    whiskers = [w.get_ydata().tolist() for w in axes.get_lines() if w.get_marker() == "_"]
    assert whiskers == [[0.85, 0.93], [0.9, 0.99], [0.7, 0.88]]
    diamonds = [d for d in axes.get_lines() if d.get_marker() == "D"]
    assert [d.get_ydata()[0] for d in diamonds] == [0.9794, 0.97]
    assert diamonds[0].get_xdata()[0] == pytest.approx(axes.patches[0].get_center()[0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Accuracy", "AUC"]
    assert legend(plot.figure) == ["CNN", "ResNet", "printed in the paper"]
    assert plot.alt == (
        "Scores with 95 % intervals. CNN: accuracy 0.900 (0.850 to 0.930), printed 0.979; "
        "AUC 0.950 (0.900 to 0.990). ResNet: accuracy 0.800 (0.700 to 0.880); AUC printed 0.970."
    )


def test_models_are_ranked_by_their_score_with_intervals_and_those_not_run_below():
    scores = {"A": Estimate(0.7, 0.6, 0.8, 60, "Wilson"), "B": Estimate(0.9, math.nan, math.nan, 60, "all agree")}
    plot = figures.ranking(scores, "accuracy", "Backbones", ["C"])
    axes = plot.figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["B", "A", "C"]
    assert [float(mark.get_xdata()[0]) for mark in axes.get_lines() if mark.get_marker() == "o"] == [0.9, 0.7]
    assert plot.alt == (
        "Backbones. Accuracy, from best to worst: B 0.900 without an interval; A 0.700 (0.600 to 0.800). Not run: C."
    )


def test_an_undefined_score_is_not_shown_as_zero_nor_an_interval_beside_its_value_moved():
    nan = math.nan
    estimates = {
        "precision": Estimate(nan, nan, nan, 0, "no positive prediction"),
        "f1": Estimate(1.0, 0.9, 0.98, 60, "bootstrap"),
        "auc": Estimate(1.0, nan, nan, 3, "all agree"),
    }
    plot = figures.metric_bars({"CNN": estimates})
    axes = plot.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["undefined"]
    assert [w.get_ydata().tolist() for w in axes.get_lines() if w.get_marker() == "_"] == [[0.9, 0.98]]
    assert "CNN: precision undefined" in plot.alt and "AUC 1.000 without an interval" in plot.alt


@pytest.mark.parametrize(
    ("arm", "printed", "error"),
    [("CNN", 97.94, "received 97.94; give fractions"), ("cnn", 0.9, "expected arms of CNN, received cnn")],
)
def test_percentages_and_printed_values_of_an_unknown_arm_are_refused(arm, printed, error):
    estimates = {"CNN": {"accuracy": Estimate(0.9, 0.85, 0.93, 60, "Wilson")}}
    with pytest.raises(UsageError, match=error):
        figures.metric_bars(estimates, {arm: {"accuracy": printed}})


def test_the_confusion_matrix_shows_counts_and_shares_of_each_true_class_that_has_an_image():
    plot = figures.confusion(table([[3, 1], [0, 5]], ["no", "yes"]), "CNN")
    axes = plot.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["3\n75.0 %", "1\n25.0 %", "0\n0.0 %", "5\n100.0 %"]
    assert axes.collections[0].get_array().ravel().tolist() == [75, 25, 0, 100]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no", "yes"]
    assert plot.alt == (
        "Confusion matrix, CNN: of 4 no, 3 predicted no, 1 predicted yes; of 5 yes, 0 predicted no, 5 predicted yes."
    )
    empty = figures.confusion(table([[3, 1], [0, 0]], ["no", "yes"]), "CNN")
    assert [text.get_text() for text in empty.figure.axes[0].texts][2:] == ["0\n-"] * 2


def test_the_grad_cam_panel_puts_each_overlay_under_its_model_beside_its_image():
    first, second, third = (overlays(shade) for shade in (1, 2, 3))
    image, captions = np.arange(16, dtype=np.uint8).reshape(4, 4, 1), ["true positive\n0.98", "true negative\n0.02"]
    rows = [(captions[0], image, {"CNN": first, "ResNet": second}), (captions[1], 9 + image, {"ResNet": third})]
    plot = figures.grad_cam_panel(rows)
    grid = np.reshape(plot.figure.axes, (2, 3))
    assert [axes.get_title() for axes in grid[0]] == ["Image", "CNN", "ResNet"]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == captions
    drawn = [[i.get_array().ravel().tolist() for i in axes.images] for axes in grid.flat]
    expected = [[image], [first], [second], [9 + image], [], [third]]
    assert drawn == [[a.ravel().tolist() for a in cell] for cell in expected]
    # A dark image must look dark: the grey scale is that of 8 bits, not the image's own range.
    assert grid[0, 0].images[0].get_clim() == (0, 255)
    assert plot.alt.endswith("of 2 images, by CNN, ResNet. Rows: true positive, 0.98; true negative, 0.02.")


@pytest.mark.parametrize("name", every_plot())
def test_nothing_that_is_written_runs_over_the_edge_of_the_figure(name):
    figure = every_plot()[name].figure
    figure.draw_without_rendering()
    outer, inner = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert inner.x0 >= outer.x0 - 1 and inner.x1 <= outer.x1 + 1
    assert inner.y0 >= outer.y0 - 1 and inner.y1 <= outer.y1 + 1
    assert figure.get_figwidth() * style.CSS_DPI <= 900


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.learning_curves({}, "CNN"),
        lambda: figures.learning_curves({"fold 1": FOLDS["fold 1"].iloc[:0]}, "CNN"),
        lambda: figures.history(FOLDS["fold 1"].iloc[:0], "CNN", "test"),
        lambda: figures.roc({}, ("no", "yes"), "yes"),
        lambda: figures.metric_bars({}),
        lambda: figures.metric_bars({"CNN": {}}),
        lambda: figures.grad_cam_panel([]),
        lambda: figures.forest([]),
        lambda: figures.ranking({}, "accuracy", "Backbones"),
        lambda: figures.reliability({}, "a paper"),
        lambda: figures.Plot(Figure(), " \n"),
    ],
)
def test_nothing_to_draw_or_to_say_of_it_is_an_error_not_an_empty_figure(draw):
    with pytest.raises(UsageError, match="to draw, received none|alternative text"):
        draw()


def test_drawing_and_showing_leave_no_open_figure_and_no_changed_style():
    import matplotlib.pyplot as plt

    opened, style = plt.get_fignums(), dict(matplotlib.rcParams)
    for plot in every_plot().values():
        plot._repr_mimebundle_()
    assert plt.get_fignums() == opened
    assert dict(matplotlib.rcParams) == style


def shown(plot):
    """What a notebook keeps of a figure: its PNG, its SVG if it has one, and their metadata."""
    data, metadata = DisplayFormatter().format(plot)
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("plot", outputs=[output])]))
    with PIL.Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        image.load()
    return image, data.get("image/svg+xml"), metadata


def test_a_figure_of_lines_is_also_a_drawing_that_repeats_and_names_no_font_or_date():
    plot = figures.confusion(table([[3, 1], [0, 5]], ["no", "yes"]), 'CNN "small" <1 MB> & fast')
    image, drawn, described = shown(plot)
    assert set(described) == {"image/png", "image/svg+xml"}
    for each in described.values():
        assert each == {"alt": plot.alt, "width": round(96 * plot.figure.get_figwidth())}
    assert image.width == 2 * described["image/png"]["width"]  # sharp on a screen of double density
    assert drawn == shown(plot)[1] and "<svg" in drawn
    assert "<text" not in drawn and "dc:date" not in drawn


def test_a_figure_of_images_has_no_svg_and_a_grey_one_no_colours():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (100, 100, 1), dtype=np.uint8)
    figure = style.figure(4, 3)
    for axes in figure.subplots(4, 5).ravel():
        axes.axis("off")
        axes.imshow(noise, cmap="gray", interpolation="none")
    image, drawn, _ = shown(figures.Plot(figure, "Noise."))
    assert drawn is None and image.mode == "L"
    assert np.asarray(image).std() > 30
