"""Every command that the files for clusters, and the pages for people, show is one that there is."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.infra_files.containerfile import instructions
from tests.infra_files.manifests import MANIFESTS, WITH_A_CLUSTER, Manifest

PROJECT = Path(__file__).parents[2]
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "infra").rglob("*.yaml")),
    PROJECT / "infra/Containerfile",
]
JOB_COMMAND = re.compile(r"python\S* (?:\S+/)?jobs/(?P<job>[a-z_]+)\.py(?P<arguments>[^\n`;|&]*)")


def text_of(page: Path) -> str:
    """A page's text with continued lines joined, comment marks and a folded entrypoint laid flat."""
    text = re.sub(r"\\\n[ \t#]*", " ", page.read_text())
    return re.sub(r"\n[ \t]+--", " --", text)


def job_commands() -> list[tuple[str, str, str]]:
    """The (page, job, arguments) of every job that a page shows."""
    return [(page.name, found["job"], found["arguments"].strip()) for page in PAGES for found in JOB_COMMAND.finditer(text_of(page))]


def shell_snippets() -> list[tuple[str, str]]:
    """The (name, text) of everything that a shell will read."""
    cluster = yaml.safe_load((PROJECT / "infra/cluster.yaml").read_text())
    snippets = [(key, command) for key, commands in cluster.items() if key.endswith("_commands") for command in commands]
    snippets += [("entrypoint", manifest.job["entrypoint"]) for manifest in WITH_A_CLUSTER]
    snippets += [("RUN", step.arguments) for step in instructions(PROJECT / "infra/Containerfile") if step.name == "RUN"]
    return [*snippets, (".ci/run", (PROJECT / ".ci/run").read_text())]


@cache
def help_of(job: str, recipe: str | None) -> str:
    """What a job says of its options; those of the model are a recipe's."""
    done = subprocess.run(
        [sys.executable, f"jobs/{job}.py", *([recipe] if recipe else ()), "--help"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "240", "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cluster_files_show_how_to_pretrain_and_to_refresh() -> None:
    shown = {(page, job) for page, job, _ in job_commands()}
    assert {("pretrain.yaml", "pretrain"), ("cluster.yaml", "pretrain")} <= shown
    assert {("refresh.yaml", "refresh"), ("refresh-cronjob.yaml", "refresh")} <= shown


@pytest.mark.parametrize(("page", "job", "arguments"), job_commands(), ids=lambda value: str(value)[:40])
def test_every_job_that_is_shown_exists_and_has_the_options_that_are_shown(page: str, job: str, arguments: str) -> None:
    assert (PROJECT / "jobs" / f"{job}.py").is_file(), f"{page} shows jobs/{job}.py, which is not there"
    words = arguments.split()
    recipe = words[0] if words and (PROJECT / "jobs/recipes" / f"{words[0].replace('-', '_')}.py").is_file() else None
    shown = [word.partition("=")[0].rstrip(".,:)'\"") for word in words if word.startswith("--")]
    unknown = [option for option in shown if not re.search(rf"(?<![\w.-]){re.escape(option)}(?![\w.-])", help_of(job, recipe))]
    assert unknown == [], f"{page} shows options that jobs/{job}.py does not have"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.path.name)
def test_the_command_of_a_manifest_is_a_request_that_can_be_planned(manifest: Manifest, tmp_path: Path) -> None:
    words = manifest.command
    source = tmp_path / "corpus.txt"
    source.write_text("A corpus of one line.\n")
    for option, value in {"--root": tmp_path / "root", "--sources": source}.items():
        words[words.index(option) + 1] = str(value)
    done = subprocess.run([sys.executable, *words[1:], "--plan"], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(("name", "snippet"), shell_snippets(), ids=lambda value: str(value)[:30])
def test_what_a_shell_will_read_is_a_shell_s_language(name: str, snippet: str) -> None:
    done = subprocess.run(["bash", "-n"], input=snippet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr}"
