"""The KubeRay job: its fields exist, it keeps no secrets, it runs unprivileged, and its groups suit its command."""

import copy
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PROJECT = Path(__file__).parents[2]
MANIFESTS = sorted((PROJECT / "infra/kubernetes").glob("*.yaml"))
SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


@pytest.fixture(params=MANIFESTS, ids=lambda path: path.name)
def manifest(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text())
    return loaded


def groups(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every pod template that the job brings about, by the role of its pods."""
    cluster = manifest["spec"]["rayClusterSpec"]
    workers = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], "submitter": manifest["spec"]["submitterPodTemplate"], **workers}


def pods(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for template in groups(manifest).values():
        yield template["spec"]


def containers(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for pod in pods(manifest):
        yield from pod["containers"]


def misspellings(value: Any) -> Iterator[Any]:
    """Copies of a tree, in each of which one key is misspelled."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {(f"{name}x" if name == key else name): copy.deepcopy(other) for name, other in value.items()}
            for wrong in misspellings(item):
                yield {**value, key: wrong}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            for wrong in misspellings(item):
                yield [*value[:place], wrong, *value[place + 1 :]]


def test_there_is_a_job_for_pretraining() -> None:
    assert "pretrain.yaml" in [path.name for path in MANIFESTS]


def test_every_field_is_one_that_kuberay_knows(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, SCHEMA)


def test_a_misspelled_field_is_caught_wherever_it_stands(manifest: dict[str, Any]) -> None:
    wrong = list(misspellings(manifest))
    assert len(wrong) > 100
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [form for form in wrong if validator.is_valid(form)] == []


def test_the_head_does_no_work(manifest: dict[str, Any]) -> None:
    assert manifest["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_training_group_has_a_gpu_for_every_worker_of_the_command(manifest: dict[str, Any]) -> None:
    words = shlex.split(manifest["spec"]["entrypoint"])
    workers = int(words[words.index("--compute.workers") + 1])
    cluster = manifest["spec"]["rayClusterSpec"]
    gpus = sum(
        group["maxReplicas"] * int(container["resources"]["limits"].get("nvidia.com/gpu", 0))
        for group in cluster["workerGroupSpecs"]
        for container in group["template"]["spec"]["containers"]
    )
    assert workers <= gpus


def test_the_data_group_grows_and_shrinks_with_the_work_and_needs_no_gpu(manifest: dict[str, Any]) -> None:
    cluster = manifest["spec"]["rayClusterSpec"]
    data = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "data")
    assert cluster["enableInTreeAutoscaling"]
    assert data["minReplicas"] < data["maxReplicas"]
    assert not any("nvidia.com/gpu" in container["resources"]["limits"] for container in data["template"]["spec"]["containers"])


def test_the_root_is_an_object_store_that_every_node_reaches(manifest: dict[str, Any]) -> None:
    words = shlex.split(manifest["spec"]["entrypoint"])
    assert words[words.index("--root") + 1].startswith("s3://")


def test_secrets_come_by_reference_alone(manifest: dict[str, Any]) -> None:
    variables = [variable for container in containers(manifest) for variable in container.get("env", ())]
    secret = [variable for variable in variables if SECRET_NAME.search(variable["name"])]
    assert {variable["name"] for variable in secret} >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"}
    assert all("secretKeyRef" in variable["valueFrom"] for variable in secret)


def test_the_cluster_asks_for_a_token(manifest: dict[str, Any]) -> None:
    assert manifest["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_no_container_may_be_root_or_become_it(manifest: dict[str, Any]) -> None:
    for pod in pods(manifest):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] != 0
    autoscaler = manifest["spec"]["rayClusterSpec"]["autoscalerOptions"]
    for container in [*containers(manifest), autoscaler]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_every_container_has_requests_and_limits_and_its_memory_is_not_overcommitted(manifest: dict[str, Any]) -> None:
    for container in containers(manifest):
        resources = container["resources"]
        assert resources["requests"].keys() == resources["limits"].keys()
        if container["name"] != "ray-job-submitter":
            assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_every_mount_has_its_volume_and_nodes_have_shared_memory(manifest: dict[str, Any]) -> None:
    for role, template in groups(manifest).items():
        pod = template["spec"]
        volumes = {volume["name"]: volume["emptyDir"] for volume in pod.get("volumes", ())}
        mounts = {mount["mountPath"]: mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
        assert set(mounts.values()) == volumes.keys()
        if role != "submitter":
            assert volumes[mounts["/dev/shm"]]["medium"] == "Memory"


def test_what_a_finished_job_leaves_is_cleaned_up(manifest: dict[str, Any]) -> None:
    assert manifest["spec"]["shutdownAfterJobFinishes"] is True
    assert manifest["spec"]["ttlSecondsAfterFinished"] > 0
