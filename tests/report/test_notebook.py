"""Notebooks run for real through papermill: what reaches the page, the terminal and the caller."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from browsing import Page, assert_whole_by_itself

from brainlib.errors import UsageError
from brainlib.papers.loading import paper_ids
from brainlib.report.notebook import SECTIONS, run_notebook, run_notebooks, sections

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PARAMETERS = 'data: str = "phantoms"\nnote = ""\nseed: int = 0\n'

# A one-pixel PNG with a text, as figures.Plot has it.
FIGURE = """\
from IPython.display import Javascript, display
png = (b"\\x89PNG\\r\\n\\x1a\\n\\0\\0\\0\\rIHDR\\0\\0\\0\\x01\\0\\0\\0\\x01\\x08\\0\\0\\0\\0"
       b":~\\x9bU\\0\\0\\0\\nIDATx\\x9cc`\\0\\0\\0\\x02\\0\\x01H\\xaf\\xa4q\\0\\0\\0\\0IEND\\xaeB`\\x82")
import base64
data = {"image/png": base64.b64encode(png).decode(), "text/plain": "a figure"}
alt = {"image/png": {"alt": "Learning curves of <two> models"}}
display(data, raw=True, metadata=alt)
data["image/svg+xml"] = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(3)"/>'
display(data, raw=True, metadata=alt | {"image/svg+xml": {"alt": "A <drawn> curve", "width": 864}})"""


def write_notebook(path: Path, *cells: str) -> Path:
    """A notebook with parameters and code cells; those that begin with "# " are markdown."""
    kernel = {"name": "python3", "display_name": "", "language": "python"}
    new = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    new.cells.append(nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    for text in cells:
        make = nbformat.v4.new_markdown_cell if text.startswith("# ") else nbformat.v4.new_code_cell
        new.cells.append(make(text))
    nbformat.write(new, path)
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A notebook that succeeds, run where the user's own kernel "python3" is another one."""
    folder = tmp_path_factory.mktemp("ran")
    other = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "", "language": "python"}))
    data = folder / "my images"
    notebook = write_notebook(
        folder / "jardim.ipynb",
        "# A **small** CNN against `ResNet`\n\nSome prose.",
        "import sys\nprint('interpreter', sys.executable)\nsys.stderr.write('epoch 1/30\\n')",
        "import os\nprint('in', os.getcwd(), 'from', data, 'note', note)",
        "names = 'BRAINLIB_PROGRESS', 'TF_CPP_MIN_LOG_LEVEL', 'TF_FORCE_GPU_ALLOW_GROWTH'\n"
        "print('settings', *map(os.environ.get, names))",
        FIGURE,
        "display(Javascript('alert(1)'))\nprint('\\x1b[31mred\\x1b[0m')",
        "import pandas as pd\npd.DataFrame({'<b>x</b>': [1.5]})",
    )
    heard = (folder / "stderr").open("w+")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        patch.setattr(sys, "stderr", heard)
        for name in ("TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH"):
            patch.delenv(name, raising=False)
        stale = folder / "out" / "results" / "jardim.json"
        stale.parent.mkdir(parents=True)
        stale.write_text("{}")
        parameters = {"data": str(data), "note": "<script>alert(2)</script>"}
        outcome = run_notebook(notebook, parameters, folder / "out")
    heard.seek(0)
    return outcome, outcome.html.read_text(), heard.read(), folder


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failed")
    notebook = write_notebook(
        folder / "lu.ipynb",
        "# Five backbones",
        "print('before the failure')",
        "from brainlib.errors import DataError\nraise DataError(f'{data}/br35h: expected a folder, found none')",
        "print('reached afterwards')",
    )
    outcome = run_notebook(notebook, {"data": str(folder / "mri")}, folder / "out")
    return outcome, outcome.html.read_text(), folder


def test_a_notebook_that_ends_well_leaves_its_page_and_the_executed_notebook(ran):
    outcome, _, _, folder = ran
    assert (outcome.name, outcome.ok, outcome.error) == ("jardim", True, None)
    assert outcome.html == folder / "out" / "jardim.html"
    path = folder / "out" / "notebooks" / "jardim.ipynb"
    executed = nbformat.read(path, as_version=4)
    assert all(c.execution_count for c in executed.cells if c.cell_type == "code")
    # The kernel is this interpreter with its settings, whatever kernels the user has.
    assert Path(sys.executable).name in re.search(r"interpreter ([^\\]*)", path.read_text())[1]
    assert "settings lines 3 true" in path.read_text()
    assert not list((folder / "out").rglob("*.tmp"))
    # What an earlier run left is not taken for a result of this one.
    assert not (folder / "out" / "results" / "jardim.json").exists()


@pytest.mark.fault("7d", "scripts and escape sequences in what a notebook shows", "none reaches its page")
def test_a_page_loads_nothing_runs_no_script_and_shows_no_progress_or_escape_sequences(ran, failed):
    assert ran[2].splitlines() == ["jardim: epoch 1/30"]  # in the terminal
    for html in (ran[1], failed[1]):
        assert_whole_by_itself(html)
        outputs = re.sub(r'<(details|div) class="(parameters|input)".*?</\1>\s*</?div', "", html, flags=re.DOTALL)
        assert "\x1b" not in outputs and "epoch 1/30" not in outputs and not re.search(r"\[[\d;]*m", outputs)


def test_a_page_has_its_title_a_way_back_and_headings_with_ids(ran):
    page = Page(ran[1])
    assert page.lang == "en" and "index.html" in page.links
    assert "<title>A small CNN against ResNet</title>" in ran[1]
    assert '<h1 id="A-small-CNN-against-ResNet">' in ran[1]
    assert not re.search(r"<h[1-6]>", ran[1]) and "¶" not in ran[1]
    row = re.search(r"<tr><th scope=\"row\">note</th>.*?</tr>", ran[1])[0]
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in row


PAGE = b'<h2 id="Training">T</h2><h3 id="Learning-curves-(Graphics-1)">x</h3><h2 id="Verdict">y</h2><h2>Verdict</h2>'


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"<h2>Verdict</h2>", PAGE])
def test_sections_of_a_page_are_links_and_missing_ones_have_none(tmp_path, content):
    page = tmp_path / "my paper.html"
    if content is not None:
        page.write_bytes(content)
    found = {"learning curves": "my%20paper.html#Learning-curves-(Graphics-1)", "verdicts": "my%20paper.html#Verdict"}
    assert sections(page) == (found if content == PAGE else {})


@pytest.mark.parametrize("paper", paper_ids())
def test_notebooks_have_the_headings_that_the_index_links_to(paper):
    cells = nbformat.read(NOTEBOOKS / f"{paper}.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    there = {re.sub(r" \(.*\)$", "", heading) for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}
    # Some papers show no heat maps and no t-test, and some curves have no heading of their own.
    assert SECTIONS.keys() - there <= {"Grad-CAM", "The t-test", "Learning curves"}


def test_no_folder_of_this_machine_is_in_what_may_be_shared(ran, failed):
    for html, folder in ((ran[1], ran[3]), (failed[1], failed[2])):
        name = {"out/notebooks/" + path.name for path in (folder / "out/notebooks").iterdir()}
        for text in (html, (folder / name.pop()).read_text()):
            for private in (folder, Path.cwd(), Path.home(), Path(sys.prefix)):
                assert f"{private}/" not in text and f"'{private}'" not in text
    assert "…/my images" in ran[1]


def test_images_keep_their_alternative_text(ran):
    assert Page(ran[1]).without_alt == []
    assert 'alt="Learning curves of &lt;two&gt; models"' in ran[1]
    # Of a figure that is both, the drawing is shown, and shown as an image, whose scripts never run.
    picture, drawing = re.findall(r"<img[^>]*>", ran[1])
    assert 'src="data:image/png' in picture and 'src="data:image/svg+xml' in drawing
    assert 'alt="A &lt;drawn&gt; curve"' in drawing and 'width="864"' in drawing


def test_a_failure_is_one_line_and_the_page_shows_how_far_the_notebook_came(failed):
    outcome, html, _ = failed
    assert not outcome.ok
    assert outcome.error == "…/mri/br35h: expected a folder, found none"
    assert "before the failure" in html and "This notebook failed" in html
    assert "Traceback (most recent call last)" in html
    assert "reached afterwards" not in html and "1 later cell was not run" in html


@pytest.mark.slow
@pytest.mark.fault(
    "2c", "SIGKILL of a notebook's process", "the notebook has failed, in one line; its page shows how far it came"
)
def test_an_error_that_is_not_ours_is_shown_with_its_type_and_a_killed_kernel_is_a_failure(tmp_path):
    fails = (
        "import pandas as pd\ndef fail(x):\n    raise ValueError('first\\nlast line\\n  ^')\npd.Series([1]).map(fail)"
    )
    outcome = run_notebook(write_notebook(tmp_path / "yim.ipynb", fails), {}, tmp_path)
    assert outcome.error == "ValueError: last line"
    html = outcome.html.read_text()
    assert "site-packages/pandas" in html and f"{sys.prefix}/" not in html
    killed = write_notebook(tmp_path / "lu.ipynb", "import os\nos.kill(os.getpid(), 9)")
    outcome = run_notebook(killed, {}, tmp_path / "out")
    assert not outcome.ok and "was killed" in outcome.error and outcome.html.exists()


@pytest.mark.slow
@pytest.mark.fault("6u", "a port is taken before a notebook's process binds it", "it needs none")
def test_a_notebook_needs_no_port_and_its_sockets_are_for_this_user_only(tmp_path, monkeypatch):
    look = """
import os, pathlib
from ipykernel.connect import get_connection_info
info = get_connection_info(unpack=True)
folder = pathlib.Path(info["ip"]).parent
print(info["transport"], oct(folder.stat().st_mode)[-3:], len(list(folder.glob("kernel-ipc-*"))))"""
    for name in ("", "folder " * 18):
        temporary = tmp_path / name
        temporary.mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        outcome = run_notebook(write_notebook(tmp_path / "lu.ipynb", look), {}, tmp_path / "out")
        assert outcome.error is None
        assert "ipc 700 5" in outcome.html.read_text()
        assert list(temporary.glob("tmp*")) == []


@pytest.mark.fault("16g", "a notebook is given an unknown parameter", "refused in one line before anything runs")
def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    notebook = write_notebook(tmp_path / "lu.ipynb", f"open({str(tmp_path / 'x')!r}, 'w')")
    with pytest.raises(UsageError) as error:
        run_notebook(notebook, {"seeed": 1}, tmp_path / "out")
    assert str(error.value) == ("lu.ipynb: unknown parameter 'seeed'; expected one of data, note, seed")
    assert os.listdir(tmp_path) == ["lu.ipynb"]


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b'{"cells": 3}'])
@pytest.mark.fault("16h", "a notebook that is missing or unreadable", "it has failed, in one line")
def test_a_notebook_that_cannot_be_read_is_a_failure_and_not_a_crash(tmp_path, content):
    path = tmp_path / "kruszyk.ipynb"
    if content is not None:
        path.write_bytes(content)
    outcome = run_notebook(path, {}, tmp_path / "out")
    assert not outcome.ok and outcome.error and "\n" not in outcome.error
    assert not outcome.html.exists()


@pytest.fixture
def interruptible():
    """Heed Ctrl-C, which a shell has its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_kernels_and_reaches_the_caller(tmp_path, capfd):
    pids = {name: tmp_path / name for name in ("lu", "yim")}
    cell = "import os, pathlib, signal, time\npathlib.Path({!r}).write_text(str(os.getpid()))\n{}\ntime.sleep(60)"
    both = f"while not all(os.path.exists(path) for path in {[str(path) for path in pids.values()]}): time.sleep(0.1)"
    ends = {"lu": f"{both}\nos.kill(os.getppid(), signal.SIGINT)", "yim": ""}
    notebooks = {
        write_notebook(tmp_path / f"{name}.ipynb", cell.format(str(pids[name]), ends[name])): {} for name in pids
    }
    with pytest.raises(KeyboardInterrupt):
        run_notebooks(notebooks, tmp_path / "out")
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr().err.splitlines() == ["lu: running lu.ipynb", "yim: running yim.ipynb"]


@pytest.mark.slow
def test_notebooks_run_side_by_side_and_one_that_fails_takes_no_other_along(tmp_path, capfd):
    waits = "import pathlib, sys, time\n{}\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.1)\n"
    waits += "print(2, file=sys.stderr)"
    # The first waits for what the second leaves, and the second for what the third leaves before it fails.
    paths = [str(tmp_path / name) for name in ("first", "second", "third")]
    touch = "pathlib.Path({!r}).touch()".format
    cells = {
        "jardim": waits.format(touch(paths[0]), paths[1]),
        "lu": waits.format(touch(paths[1]), paths[2]),
        "yim": f"import pathlib\n{touch(paths[2])}\n1 / 0",
    }
    given = {write_notebook(tmp_path / f"{name}.ipynb", cell): {} for name, cell in cells.items()}
    found = run_notebooks(given, tmp_path / "out")
    assert [(each.name, each.error) for each in found] == [
        ("jardim", None),
        ("lu", None),
        ("yim", "ZeroDivisionError: division by zero"),
    ]
    assert {"jardim: 2", "lu: 2"} <= set(capfd.readouterr().err.splitlines())
