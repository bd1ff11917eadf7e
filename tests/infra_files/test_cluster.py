"""The file for `ray up`: the launcher's own schema and checks hold, and nothing of it is open to the world."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "infra/cluster.yaml"
PREPARE = """
import sys, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
validate_config(prepare_config(yaml.safe_load(open(sys.argv[1]))))
"""
RAY_START_OPTIONS = """
from ray.scripts.scripts import start
print(*(option for parameter in start.params for option in parameter.opts))
"""


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def start_commands(cluster: dict[str, Any]) -> list[str]:
    commands = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    return [command for command in commands if "ray start" in command]


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_fits_the_schema_that_ray_ships(cluster: dict[str, Any]) -> None:
    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    schema = json.loads(Path(ray.origin).with_name("autoscaler").joinpath("ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)


def test_the_launcher_accepts_the_file() -> None:
    run_python(PREPARE, str(FILE))


def test_ray_start_has_every_option_that_it_is_given(cluster: dict[str, Any]) -> None:
    known = set(run_python(RAY_START_OPTIONS).split())
    given = {option for command in start_commands(cluster) for option in re.findall(r"(?<=\s)--[a-z-]+", command)}
    assert given
    assert given <= known


def test_the_head_does_no_work(cluster: dict[str, Any]) -> None:
    assert cluster["available_node_types"][cluster["head_node_type"]]["resources"]["CPU"] == 0
    assert "--num-cpus=0" in next(command for command in start_commands(cluster) if "--head" in command)


def test_there_are_workers_for_data_and_for_training_within_the_cluster_s_size(cluster: dict[str, Any]) -> None:
    workers = {name: node for name, node in cluster["available_node_types"].items() if name != cluster["head_node_type"]}
    assert workers.keys() == {"data", "training"}
    assert sum(node["max_workers"] for node in workers.values()) <= cluster["max_workers"]


def test_the_dashboard_listens_on_loopback_and_every_node_asks_for_a_token(cluster: dict[str, Any]) -> None:
    assert "--dashboard-host=127.0.0.1" in next(command for command in start_commands(cluster) if "--head" in command)
    assert all("RAY_AUTH_MODE=token" in command for command in start_commands(cluster))
    assert "chmod 600 ~/.ray/auth_token" in cluster["setup_commands"]


def test_the_nodes_get_what_the_project_is_installed_from(cluster: dict[str, Any]) -> None:
    mounted = {remote: local for remote, local in cluster["file_mounts"].items() if remote.startswith("/home/ubuntu/millrace/")}
    assert {"pyproject.toml", "README.md", "LICENSE", "pipeline", "infra", "jobs"} == set(mounted.values())
    assert all((PROJECT / local).exists() and remote == f"/home/ubuntu/millrace/{local}" for remote, local in mounted.items())
    assert any("pip install --editable ~/millrace" in command for command in cluster["setup_commands"])
