"""The container file: instructions that exist, sources that exist, a base that stays what it is, and no root."""

import re
import tomllib
from pathlib import Path

from tests.infra_files.containerfile import instructions

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "infra/Containerfile"
INSTRUCTIONS = instructions(FILE)
KNOWN = {"FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "ARG", "LABEL", "EXPOSE", "ENTRYPOINT", "CMD"}


def test_every_instruction_is_one_that_builders_know() -> None:
    assert INSTRUCTIONS[0].name == "FROM"
    assert {instruction.name for instruction in INSTRUCTIONS} <= KNOWN


def test_the_base_is_a_fixed_version_of_a_python_that_the_project_allows() -> None:
    bases = [instruction.arguments for instruction in INSTRUCTIONS if instruction.name == "FROM"]
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base) for base in bases)
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11,<3.13"


def test_everything_that_is_copied_exists_and_travels_to_the_builder() -> None:
    copied = [word for instruction in INSTRUCTIONS if instruction.name == "COPY" for word in instruction.words[:-1]]
    assert set(copied) == {"LICENSE", "README.md", "pyproject.toml", "pipeline", "infra", "jobs"}
    assert all((PROJECT / name).exists() for name in copied)
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}


def test_dependencies_are_a_layer_that_a_change_of_code_leaves_alone() -> None:
    names = [f"{instruction.name} {instruction.arguments}" for instruction in INSTRUCTIONS]
    installed = next(place for place, name in enumerate(names) if name.startswith("RUN pip install"))
    assert all(place > installed for place, name in enumerate(names) if name.startswith("COPY ") and "pyproject.toml" not in name)
    assert all("--no-deps" in name for name in names[installed + 1 :] if "pip install" in name)


def test_no_layer_keeps_what_only_the_build_needed() -> None:
    commands = [instruction.arguments for instruction in INSTRUCTIONS if instruction.name == "RUN"]
    assert all("rm -rf /var/lib/apt/lists/*" in command for command in commands if "apt-get update" in command)
    assert all("--no-cache-dir" in command for command in commands if "pip install" in command)


def test_the_container_does_not_run_as_root() -> None:
    users = [instruction.arguments for instruction in INSTRUCTIONS if instruction.name == "USER"]
    user, group = users[-1].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert INSTRUCTIONS[-1].name == "USER"
