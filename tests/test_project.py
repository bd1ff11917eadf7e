"""Promises about the project as a whole, held by counting: what must not grow, and what must agree."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.infra_files.manifests import MANIFESTS

PROJECT = Path(__file__).parents[1]
PYTHON_FOLDERS = ("pipeline", "infra", "jobs", "tests", "benchmarks")
PYTHON_FILES = sorted(path for folder in PYTHON_FOLDERS for path in (PROJECT / folder).rglob("*.py"))
MOST_LINES = 400
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "manager", "managers"}
HEAVY = {"torch", "ray", "deepspeed", "transformers", "datasets", "wandb", "numba", "ftfy", "py3langid"}

LOAD_RECIPES = """
import importlib, json, pkgutil, sys
import jobs
names = [module.name for module in pkgutil.walk_packages(jobs.__path__, "jobs.")]
for name in names:
    recipe = getattr(importlib.import_module(name), "RECIPE", None)
    if recipe is not None and not getattr(recipe, "sources", ()):
        [step.address for step in getattr(recipe, "targets", ())]
print(json.dumps({"names": names, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def requirements(project: dict[str, Any]) -> list[str]:
    extras = project["project"]["optional-dependencies"].values()
    return [*project["project"]["dependencies"], *(requirement for extra in extras for requirement in extra)]


def pin(project: dict[str, Any], package: str) -> str:
    """The version that pyproject.toml pins a package to."""
    pinned = (re.fullmatch(rf"{package}(?:\[\w+\])?==(\S+)", requirement) for requirement in requirements(project))
    return next(match[1] for match in pinned if match)


def test_every_file_says_what_it_is_for() -> None:
    silent = [path for path in PYTHON_FILES if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None]
    assert silent == []


def test_no_file_grows_beyond_what_one_can_read_at_once() -> None:
    assert [path for path in PYTHON_FILES if len(path.read_text().splitlines()) > MOST_LINES] == []


def test_nothing_has_a_name_that_says_nothing() -> None:
    parts = {(path, part) for path in PYTHON_FILES for part in path.relative_to(PROJECT).with_suffix("").parts}
    assert [path for path, part in parts if VAGUE_NAMES & set(part.lower().split("_"))] == []


def test_imports_run_one_way_and_what_is_computed_knows_nothing_of_where() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_looking_at_a_recipe_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD_RECIPES], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert {"jobs.pretrain", "jobs.corpus"} <= set(seen["names"])
    assert HEAVY & set(seen["loaded"]) == set()


def test_every_dependency_is_pinned_exactly(project: dict[str, Any]) -> None:
    assert [requirement for requirement in requirements(project) if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", requirement)] == []


def test_exact_versions_stand_in_pyproject_alone() -> None:
    others = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", ".ci/run", "infra/Containerfile", "infra/cluster.yaml")]
    others += sorted((PROJECT / "infra/kubernetes").iterdir())
    assert [path for path in others if re.search(r"[\w\]]==\d", path.read_text())] == []
    assert list(PROJECT.glob("*requirements*.txt")) == []


def test_the_cluster_files_name_the_versions_that_pyproject_pins(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    assert {cluster["rayVersion"] for manifest in MANIFESTS if (cluster := manifest.cluster)} == {pin(project, "ray")}
    for manifest in MANIFESTS:
        images = set(re.findall(r"registry\.example\.com/\S+", manifest.path.read_text()))
        assert {image for image in images if ":" in image} == {f"registry.example.com/millrace:{version}"}
    assert f"--tag registry.example.com/millrace:{version} " in (PROJECT / "infra/Containerfile").read_text()


def test_the_licence_is_the_one_that_the_project_names(project: dict[str, Any]) -> None:
    text = (PROJECT / "LICENSE").read_text()
    assert project["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_ci_installs_and_runs_what_the_readme_says() -> None:
    script = (PROJECT / ".ci/run").read_text()
    assert "pip install -e '.[test]'" in (PROJECT / "README.md").read_text()
    assert "pip install --quiet -e '.[test]'" in script
    for check in ("ruff check", "ruff format --check", "mypy", "lint-imports", "python -m pytest"):
        assert re.search(rf"^{re.escape(check)}", script, re.MULTILINE), f".ci/run does not run {check}"


def test_decisions_are_numbered_one_by_one() -> None:
    numbers = [int(path.name[:3]) for path in sorted((PROJECT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
