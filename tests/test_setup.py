"""The project's frame: pins, packaging, habits, layers, the network guard and the notebook contract."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import pydoc
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pytest_socket import SocketConnectBlockedError

import brainlib
from brainlib.papers.loading import load_paper
from brainlib.study.options import Options

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAPERS = sorted((ROOT / "brainlib" / "papers").glob("*.yaml"))


def requirement_lines(name: str = "requirements.txt") -> list[str]:
    """Lines of a file of pins that are not comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def direct_dependencies(*parts: str) -> list[Requirement]:
    """What pyproject.toml asks for: of the named parts ("core" or an extra), or of all."""
    project = PROJECT["project"]
    asked = {"core": project["dependencies"], **project["optional-dependencies"]}
    return [Requirement(line) for part in parts or asked for line in asked[part]]


# Pins and packaging


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-cuda.txt"])
def test_requirements_are_exact_pins_without_addresses_or_paths(name):
    assert [line for line in requirement_lines(name) if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_conda_and_pip_users_get_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert pip["pip"] == [*requirement_lines(), "--editable ."]
    python = next(line for line in conda if line.startswith("python="))
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["project"]["requires-python"])


def test_every_direct_dependency_is_pinned_within_its_bound_and_says_why_it_is_there():
    pins = dict(line.split("==") for line in requirement_lines())
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for wanted in direct_dependencies():
        assert [clause.operator for clause in wanted.specifier] == [">="], wanted
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, wanted
        at = next(n for n, line in enumerate(lines) if line.strip() == f'"{wanted}",')
        assert lines[at - 1].strip().startswith("# "), wanted


def test_the_pins_of_cuda_are_those_that_the_pinned_tensorflow_asks_for():
    pins = dict(line.split("==") for line in requirement_lines("requirements-cuda.txt"))
    asked = [Requirement(line) for line in importlib.metadata.requires("tensorflow") if "and-cuda" in line]
    assert {wanted.name for wanted in asked} <= set(pins)
    assert [wanted for wanted in asked if pins[wanted.name] not in wanted.specifier] == []


def imported_by(module: Path) -> set[str]:
    """Top-level names that a module imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def test_brainlib_imports_only_what_it_declares():
    declared = {canonicalize_name(wanted.name) for wanted in direct_dependencies("core")}
    declared.add("distributed")  # what dask[distributed] stands for
    notebook = {canonicalize_name(wanted.name) for wanted in direct_dependencies("notebook")}
    providers = importlib.metadata.packages_distributions()
    for module in sorted((ROOT / "brainlib").rglob("*.py")):
        # Only the graphical program needs the extra, and says so.
        allowed = declared | notebook if "app" in module.relative_to(ROOT / "brainlib").parts else declared
        for name in sorted(imported_by(module) - sys.stdlib_module_names - {"brainlib"}):
            owners = {canonicalize_name(owner) for owner in providers[name]}
            assert owners & allowed, f"{module} imports {name}: pyproject.toml lacks {owners}"


def test_every_file_of_the_package_that_is_not_python_is_package_data():
    package = ROOT / "brainlib"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["brainlib"]
    packed = {path for pattern in patterns for path in package.glob(pattern.replace("**", "**/*"))}
    files = {path for path in package.rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} <= packed
    assert set(PAPERS) <= packed and PAPERS


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["project"]["version"] == brainlib.__version__ == citation["version"]


def test_the_workflow_and_a_commit_make_the_documented_checks():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = {step.get("run") for job in workflow["jobs"].values() for step in job["steps"]}
    assert steps >= {"./run_all.sh --profile smoke", "./run_all.sh test", "./run_all.sh docs"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "nbstripout"]


# Habits


def tool(*command: str) -> subprocess.CompletedProcess:
    """Run Python with these arguments in the project's folder."""
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        "ruff check --no-cache",
        "ruff format --check --no-cache",
        "nbstripout --keep-id --verify " + " ".join(f"notebooks/{path.name}" for path in NOTEBOOKS),
    ],
    ids=["lint", "format", "outputs of notebooks"],
)
def test_a_check_before_a_commit_finds_nothing(command):
    done = tool("-m", *command.split())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_api_pages_can_be_built(tmp_path):
    done = tool("-m", "pdoc", "--docformat", "numpy", "--output-directory", str(tmp_path), "brainlib")
    assert done.returncode == 0, done.stderr
    pages = {path.name for path in (tmp_path / "brainlib").glob("*.html")}
    assert pages >= {f"{wing}.html" for wing in ("data", "stats", "papers", "models", "audit", "trials", "study")}


# The front door and the layers


FRONT_DOOR = {"Options", "Study", "audit_folder", "grad_cam", "load_dataset", "load_paper", "score"}
WINGS = {path.parent.name for path in (ROOT / "brainlib").glob("*/__init__.py")}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = tool("-c", code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_brainlib_loads_no_heavy_library():
    assert not loaded_after("import brainlib") & {"tensorflow", "keras", "pandas", "numpy", "pydantic"}
    assert "tensorflow" not in loaded_after("import brainlib; help(brainlib)")
    assert "tensorflow" not in loaded_after("import brainlib.study.kept, brainlib.report.verifying")


def test_the_front_door_offers_its_names_and_the_wings():
    assert set(dir(brainlib)) == FRONT_DOOR | WINGS
    for name in FRONT_DOOR:
        assert f"brainlib.{name}" in brainlib.__doc__
    page = pydoc.plain(pydoc.render_doc(brainlib))
    assert len(page.splitlines()) < 80
    assert [wing for wing in WINGS if f"brainlib.{wing} " not in page] == []


@pytest.mark.parametrize("door", [brainlib, *(importlib.import_module(f"brainlib.{wing}") for wing in sorted(WINGS))])
def test_a_door_says_what_it_is_for_and_offers_at_most_fifteen_documented_names(door):
    names = FRONT_DOOR if door is brainlib else door.__all__
    assert len(door.__doc__.split()) > 20 and 0 < len(names) <= 15
    assert [name for name in names if not getattr(door, name).__doc__] == []


def test_the_layers_hold():
    # In a process of its own: import-linter keeps the console that it first printed on.
    done = tool("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")
    assert done.returncode == 0, done.stdout


# The network


def test_a_test_that_connects_to_the_internet_is_stopped():
    with pytest.warns(UserWarning, match="192.0.2.1"), pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 443), timeout=1)


# The notebook contract


def cells_of(notebook: Path, **kept: str) -> list[str]:
    """The sources of a notebook's cells, of one type or all."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if kept.items() <= cell.items()]


def parameters_of(notebook: Path) -> list[str]:
    return cells_of(notebook, cell_type="code", metadata={"tags": ["parameters"]})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_header_one_cell_of_parameters_one_of_imports_and_short_cells(notebook):
    assert cells_of(notebook)[0].startswith("# ")
    assert len(parameters_of(notebook)) == 1
    code = cells_of(notebook, cell_type="code")
    assert len([cell for cell in code if re.search(r"^\s*(import|from) ", cell, re.MULTILINE)]) == 1
    assert [cell for cell in code if len(cell.splitlines()) > 20] == []


@pytest.mark.parametrize("name", [path.stem for path in PAPERS])
def test_a_papers_notebook_takes_the_options_and_ends_with_its_verdict(name):
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    (source,) = parameters_of(notebook)
    given = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}
    assert set(given) == set(Options.model_fields)
    assert Options.of(given).profile == "demo"
    prose = "\n".join(cells_of(notebook, cell_type="markdown"))
    assert re.findall(r"^##? +(.+?)\s*$", prose, re.MULTILINE)[-1] == "Verdict"


@pytest.mark.parametrize("name", [path.stem for path in PAPERS])
def test_every_table_and_figure_of_a_paper_is_named_in_the_section_that_shows_its_counterpart(name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    sections, heading = {}, ""
    for kind, source in ((cell["cell_type"], "".join(cell["source"])) for cell in cells):
        if kind == "markdown" and (found := re.match(r"##+ ([^(\n]+)", source)):
            heading = found[1].strip()
        sections[heading] = sections.get(heading, "") + source * (kind == "code")
    exhibits = load_paper(name).exhibits
    assert len({each.name for each in exhibits}) == len(exhibits) > 2
    for each in exhibits:
        if each.section:
            code = sections[each.section]
            assert f'"{each.name}"' in code or f'exhibits_in("{each.section}")' in code, each.name
