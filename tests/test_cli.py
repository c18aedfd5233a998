"""The command line: what goes in, what is refused in one line, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from pngs import write_image

from brainlib import cli
from brainlib.errors import StoreError, UsageError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.report import index
from brainlib.report import notebook as report_notebook
from brainlib.study.options import Options
from brainlib.trials import workers


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("BRAINLIB_DATA", "BRAINLIB_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data(tmp_path):
    """A folder of two images a class, which is all that a check of the input looks at."""
    random = np.random.default_rng(0)
    for name in ("br35h/yes", "br35h/no", "navoneel/yes", "navoneel/no"):
        for number in range(2):
            pixels = random.integers(0, 256, (40, 30), dtype=np.uint8)
            write_image(tmp_path / "data" / name / f"{number}.png", pixels)
    return tmp_path / "data"


def tree(folder: Path) -> list[tuple[str, int]]:
    """Every path, and when each file was written."""
    paths = sorted(folder.rglob("*"))
    return [(str(path), path.is_file() and path.lstat().st_mtime_ns) for path in paths]


def refused(capsys, tmp_path, *arguments) -> str:
    """Run, and return the one line that says why it does not; nothing may have been written."""
    before = tree(tmp_path)
    status = cli.main(["run", "--out", str(tmp_path / "reports"), *arguments])
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1), said.err
    assert tree(tmp_path) == before
    return said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--papers smith", ["smith", "hajhashem, jardim"]),
        ("--papers jardim.yaml", ["jardim.yaml", "hajhashem, jardim"]),
        ("--profile tiny", ["profile", "'smoke', 'demo' or 'full'", "tiny"]),
        ("--seed x", ["--seed", "'x'"]),
        ("--jobs 0", ["--jobs", "1 or more", "0"]),
        ("--backbone resnet50v2", ["--backbone", "A=B", "resnet50v2"]),
        ("--backbone vgg99=vgg19", ["vgg99", "no paper"]),
        ("--backbone resnet50v2=resnet51", ["unknown backbone 'resnet51'", "resnet50v2"]),
        ("--arms cnn,resnet51", ["--arms", "resnet51", "any of all, cnn", "mobilenet"]),
        ("--weights nowhere", ["nowhere", "imagenet", "random"]),
        ("--papers jardim --weights {}", ["{}", "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5", "random"]),
        ("--data nowhere", ["nowhere", "data folder", "nothing"]),
        ("--papers jardim --out {}/file", ["{}/file"]),
        ("--epochs 3", ["--epochs", "--help"]),
        ("--profil smoke", ["--profil", "--help"]),  # no abbreviations
    ],
)
@pytest.mark.fault("6a", "--out is a file", "refused in one line, before anything is written")
@pytest.mark.fault(
    "16b",
    "unknown papers, profiles, backbones, weights and folders, and impossible numbers",
    "refused in one line; nothing is written",
)
def test_a_value_that_cannot_be_is_refused_in_one_line(capsys, tmp_path, arguments, words):
    (tmp_path / "file").touch()
    said = refused(capsys, tmp_path, *arguments.format(tmp_path).split())
    assert said.startswith("brainlib: error: ")
    for word in words:
        assert word.format(tmp_path) in said


def damage(data: Path) -> Path:
    """Cut the data of an image off, and return its path."""
    image = data / "br35h" / "yes" / "1.png"
    image.write_bytes(image.read_bytes()[:50])
    return image


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.fault("7b", "a run on a set with one cut image", "refused in one line that names it; nothing is written")
def test_bad_data_is_named_and_nothing_is_written(capsys, tmp_path, data, missing):
    named = damage(data)
    if missing:
        shutil.rmtree(named.parent)
        named = data / "br35h"
    said = refused(capsys, tmp_path, "--papers", "jardim", "--data", str(data), "--weights", "random")
    assert str(named) in said
    assert "expected" in said and "received" in said


def test_own_images_need_the_papers_classes_from_their_folders_or_from_a_file(capsys, tmp_path, data):
    (data / "br35h").rename(tmp_path / "mine")
    (tmp_path / "mine" / "yes").rename(tmp_path / "mine" / "sick")
    arguments = ["--papers", "jardim", "--weights", "random", "--data"]
    said = refused(capsys, tmp_path, *arguments, str(tmp_path / "mine"))
    assert "jardim needs classes no (no tumour), yes; mine has no, sick" in said and "YAML" in said
    (tmp_path / "mine.yaml").write_text("root: mine\nclasses: {no: no, sick: yes}\nlabels: {}")
    said = refused(capsys, tmp_path, *arguments, str(tmp_path / "mine.yaml"))
    assert "mine.yaml: labels: expected no key of this name" in said


@pytest.mark.fault("6s", "--out lies among own images, which its phantoms would join", "refused in one line")
def test_a_report_among_own_images_is_refused(capsys, tmp_path, data):
    (data / "br35h").rename(tmp_path / "mine")
    out = tmp_path / "mine" / "reports"
    arguments = ["--papers", "jardim", "--weights", "random", "--data", str(tmp_path / "mine"), "--out", str(out)]
    assert f"--out {out}: expected a folder outside of the images" in refused(capsys, tmp_path, *arguments)


@pytest.mark.parametrize("out", ["reports", "new/deeper/reports"])
def test_a_second_paper_with_bad_data_undoes_what_the_first_one_wrote(capsys, tmp_path, data, out):
    damage(data)  # br35h, which comes after hajhashem's navoneel
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "index.html").write_text("an earlier report")
    arguments = ["--out", str(tmp_path / out), "--papers", "hajhashem,jardim", "--data", str(data)]
    refused(capsys, tmp_path, *arguments, "--weights", "random")


@pytest.mark.fault(
    "5f", "a run is refused while another stores results in the same folder", "what the other stored stays"
)
def test_a_refused_run_leaves_alone_what_another_run_stores_meanwhile(capsys, tmp_path, data, monkeypatch):
    trial = tmp_path / "reports" / "store" / "trials" / "abc"

    def silent(scheduler, patience):
        trial.mkdir(parents=True)
        (trial / "facts.json").write_text("hours of training")
        raise UsageError(f"--scheduler {scheduler}: none answered there")

    monkeypatch.setattr(workers, "connected", silent)
    arguments = f"--papers hajhashem,jardim --data {data} --weights random --scheduler tcp://127.0.0.1:9"
    assert cli.main(["run", "--out", str(tmp_path / "reports"), *arguments.split()]) == 2
    assert "none answered" in capsys.readouterr().err
    assert [path for path in (tmp_path / "reports").rglob("*") if path.is_file()] == [trial / "facts.json"]


def test_checks_and_refusals_need_no_tensorflow(tmp_path, data):
    damage(data)
    run = ["run", "--papers", "jardim", "--data", str(data), "--weights", "random", "--out", str(tmp_path / "reports")]
    program = (
        "import sys; from brainlib.cli import main; "
        f"print(main(['check', 'kruszyk']), main({run!r}), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split()[-3:] == ["0", "2", "False"]


def test_help_names_and_describes_every_option(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["run", "--help"])
    assert left.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in Options.model_fields.items():
        assert f"--{name} " in shown
        assert " ".join(field.description.split()) in shown


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("", "COMMAND"),
        ("export --ou x a b", "--ou"),  # no abbreviations
        ("check --js x", "--js"),
        ("app --no-b", "--no-b"),
    ],
)
@pytest.mark.fault("16a", "abbreviated and unknown options", "refused in one line")
def test_a_command_that_cannot_be_is_refused_in_one_line(capsys, command, word):
    assert cli.main(command.split()) == 2
    message = capsys.readouterr().err
    assert word in message and message.count("\n") == 1


def test_the_documentation_of_the_options_names_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    documented = (Path(__file__).parents[1] / "docs" / "options.md").read_text(encoding="utf-8")
    assert set(commands) == set(re.findall(r"`brainlib (\w+)", documented)) and len(commands) == 8


SOURCES = {
    # Of the data: it finds no set.
    "00_data_audit": """from pathlib import Path
Path(out, "results").mkdir(parents=True, exist_ok=True)
Path(out, "sets").write_text(" ".join(sets))
Path(out, "results", "00_data_audit.json").write_text(
    '{"phantoms": true, "sets": {}, "overlaps": {}, "planted": [], "phantom_pairs": null}'
)""",
    "hajhashem": 'raise ValueError("no such luck")',
    "jardim": 'from pathlib import Path\nPath(out, "ran").write_text("yes")',
}


def notebook(path: Path) -> Path:
    """A notebook with the parameters of a run, a header and one cell of code."""
    given = {name: field.get_default() for name, field in Options.model_fields.items()} | {"sets": []}
    parameters = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    cells = [
        nbformat.v4.new_markdown_cell("# A paper"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(SOURCES[path.stem]),
    ]
    python = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python), path)
    return path


def test_words_reach_the_notebooks_as_they_are_and_folders_as_whole_paths(tmp_path, monkeypatch):
    def run_notebooks(notebooks, out):
        raise UsageError(
            "; ".join(f"{each['data']} {each.get('weights')} {each['out']}" for each in notebooks.values())
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_notebook, "run_notebooks", run_notebooks)
    monkeypatch.setattr(workers, "local_cluster", lambda *_, **__: contextlib.nullcontext(""))
    for weights in ("phantoms", "random"):
        words = ["--data", "phantoms", "--weights", weights, "--out", "reports"]
        arguments = cli.parser().parse_args(["run", "--papers", "jardim", *words])
        with pytest.raises(UsageError) as received:
            arguments.command(arguments)
        out = tmp_path / "reports"
        assert str(received.value).split("; ") == [f"phantoms None {out}", f"phantoms {weights} {out}"]


@pytest.mark.slow
@pytest.mark.fault("2k", "a notebook fails", "the others run; the index names it and the reason; exit status 1")
def test_a_notebook_that_fails_does_not_stop_the_others(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "_notebook", lambda name: notebook(tmp_path / f"{name}.ipynb"))
    monkeypatch.setattr(workers, "local_cluster", lambda jobs, warm: contextlib.nullcontext(""))
    out = tmp_path / "reports"
    assert cli.main(["run", "--papers", "hajhashem,jardim", "--out", str(out)]) == 1
    assert (out / "ran").read_text() == "yes"
    assert (out / "sets").read_text() == "navoneel br35h"  # the audit is of these papers' sets
    assert "hajhashem: FAILED: ValueError: no such luck" in capsys.readouterr().out
    assert "no such luck" in (out / "index.html").read_text()
    failed = json.loads((out / "results.json").read_text())["papers"]["hajhashem"]
    assert failed["status"] == "failed" and "no such luck" in failed["error"]
    crate = (out / "ro-crate-metadata.json").read_text()
    assert '"error": "ValueError: no such luck"' in crate and str(tmp_path) not in crate


def test_claims_are_printed_one_a_line_or_written_as_json(capsys, tmp_path):
    expected = [(paper, claim) for paper in paper_ids() for claim in load_paper(paper).claims]
    assert cli.main(["claims"]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line, (paper, claim) in zip(printed, expected, strict=False):
        assert paper in line and claim.id in line and claim.printed in line
    concluded = [(paper, each) for paper in paper_ids() for each in load_paper(paper).conclusions]
    for line, (paper, each) in zip(printed[len(expected) :], concluded, strict=True):
        assert paper in line and each.id in line and each.quote in line
    file = tmp_path / "claims.json"
    assert cli.main(["claims", "jardim,yim", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    expected = [(paper, claim.id) for paper, claim in expected if paper in ("jardim", "yim")]
    assert [(row["paper"], row["id"]) for row in rows] == expected
    t = next(row for row in rows if row["id"] == "text.t")
    assert (t["printed"], t["where"], t["n"]) == ("T ≈ 0.3977", "Results, t-test", None)


@pytest.mark.fault("16f", "the reader of a pipe ends before the last line", "exit status 0, and no traceback")
def test_the_module_is_the_program_and_a_closed_pipe_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "brainlib", "claims"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    refused = subprocess.run([*command, "smith"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.fault("15q", "what is printed has letters that the terminal's encoding lacks", "their numbers are printed")
def test_letters_that_a_terminal_lacks_are_printed_by_their_numbers(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    assert cli.main(["claims", "jardim"]) == 0
    assert rb"T \u2248 0.3977" in printed.buffer.getvalue()


@pytest.mark.fault("3r", "standard output is a file on a full disk", "one line, status 2")
def test_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "brainlib", "claims"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "No space left" in done.stderr


@pytest.mark.fault("3s", "the index cannot be written when the notebooks have run", "one line, status 1")
def test_an_index_that_cannot_be_written_is_a_run_that_failed(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(report_notebook, "run_notebooks", lambda notebooks, out: [None, None])
    monkeypatch.setattr(workers, "local_cluster", lambda *_, **__: contextlib.nullcontext(""))

    def full(*_):
        raise StoreError("expected to write results.json, received No space left on device")

    monkeypatch.setattr(index, "write_results", full)
    assert cli.main(["run", "--papers", "hajhashem", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        "brainlib: error: expected to write results.json, received No space left on device\n"
    )


@pytest.mark.fault("6v", "the current folder was removed, or a name is longer than the system's", "one line, status 2")
def test_what_the_system_refuses_is_one_line(capsys, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.main(["run"]) == 2
    assert "No such file or directory" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "--out", "x" * 5000]) == 2
    said = capsys.readouterr().err
    assert said.startswith("brainlib: error: ") and "File name too long" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(
    "6t", "a folder of a user who does not exist, or of one without a home (~nobody)", "taken as it is named"
)
@pytest.mark.parametrize("option", ["--data", "--weights"])
def test_a_home_that_is_not_known_is_no_traceback(capsys, tmp_path, option):
    assert "~no-such-user" in refused(capsys, tmp_path, "--papers", "jardim", option, "~no-such-user/x")


def test_checks_are_printed_with_what_is_wrong_or_written_as_data_and_as_a_page(capsys, tmp_path):
    assert cli.main(["check", "hajhashem"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"hajhashem: \d+ checks, 0 impossible, \d+ conditional, \d+ consistent", first)
    assert any("25 positives and 26 negatives" in line for line in others)
    # Checks that found nothing are listed as well, below.
    assert sum(line.startswith(("  consistent: ", "  conditional: ")) for line in others) == int(first.split()[1])
    assert others[-1].startswith('  conclusion does not hold: "high sensitivity and specificity"')
    data, page = tmp_path / "checks.json", tmp_path / "checks.html"
    assert cli.main(["check", "yim", "--json", str(data), "--html", str(page)]) == 0
    rows = json.loads(data.read_text())
    assert {"claims", "method", "finding", "sentence"} <= set(rows[0]) and {row["paper"] for row in rows} == {"yim"}
    assert {"quote", "verdict", "p_false"} <= set(rows[-1])
    assert "Deep Learning-Based Brain Tumor Classification" in page.read_text()
