"""The manifests: their fields exist, they keep no secrets, they run unprivileged, and their pods and schedules suit their commands."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from infra.lease import SILENT_SECONDS
from infra.timetable import Timetable
from jobs.command import parse
from jobs.history.states import corpus_of
from jobs.recipe import CorpusRecipe, PretrainRecipe
from tests.infra_files.manifests import MANIFESTS, ON_A_SCHEDULE, WITH_A_CLUSTER, Manifest

SCHEMAS = {path.name: json.loads(path.read_text()) for path in Path(__file__).parent.glob("*.schema.json")}
REGISTRY: Registry[Any] = Registry().with_resources([(name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()])
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 10, 360
"""What Kubernetes waits before it tries a job again: twice as long each time."""


def name_of(manifest: Manifest) -> str:
    return manifest.path.name


each = pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
each_with_a_cluster = pytest.mark.parametrize("manifest", WITH_A_CLUSTER, ids=name_of)
each_on_a_schedule = pytest.mark.parametrize("manifest", ON_A_SCHEDULE, ids=name_of)
each_cron_job = pytest.mark.parametrize("manifest", [manifest for manifest in MANIFESTS if manifest.kind == "CronJob"], ids=name_of)


def validator(manifest: Manifest) -> jsonschema.Draft7Validator:
    """What the manifest's kind may hold."""
    return jsonschema.Draft7Validator(SCHEMAS[f"{manifest.kind.lower()}.schema.json"], registry=REGISTRY)


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


def seconds_between_runs(manifest: Manifest) -> float:
    timetable = Timetable(manifest.spec["schedule"])
    first = timetable.after(datetime(2026, 1, 1).astimezone())
    return (timetable.after(first) - first).total_seconds()


def corpus_of_command(manifest: Manifest) -> CorpusRecipe:
    """The corpus that a command is about, as jobs read command lines."""
    _, script, *arguments = manifest.command
    job = Path(script).stem
    known = {f"--{field.name.replace('_', '-')}" for field in fields(CorpusRecipe)}
    words = [word for option, value in zip(arguments[::2], arguments[1::2], strict=True) if option in known for word in (option, value)]
    return corpus_of(parse(job, PretrainRecipe, words, "python_library").recipe)


def test_there_is_a_job_for_pretraining_and_there_are_two_ways_to_refresh() -> None:
    shown = {(manifest.kind, manifest.command[1]) for manifest in MANIFESTS}
    assert shown == {("RayJob", "jobs/pretrain.py"), ("RayCronJob", "jobs/refresh.py"), ("CronJob", "jobs/refresh.py")}


@each
def test_every_field_is_one_that_its_kind_knows(manifest: Manifest) -> None:
    validator(manifest).validate(manifest.tree)


@each
def test_a_misspelled_field_is_caught_wherever_it_stands(manifest: Manifest) -> None:
    wrong = list(misspellings(manifest.tree))
    assert len(wrong) > 75
    valid = validator(manifest).is_valid
    assert [form for form in wrong if valid(form)] == []


@each_with_a_cluster
def test_the_head_does_no_work(manifest: Manifest) -> None:
    assert manifest.job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@each
def test_a_command_runs_on_the_cluster_that_it_is_given_or_brings_its_own(manifest: Manifest) -> None:
    assert manifest.option("--cluster") == ("local" if manifest.cluster is None else "auto")


@each_with_a_cluster
def test_there_is_a_gpu_for_every_training_worker_of_the_command_and_none_where_nothing_is_trained(manifest: Manifest) -> None:
    workers = int(manifest.option("--compute.workers") or 0)
    gpus = sum(
        group["maxReplicas"] * int(container["resources"]["limits"].get("nvidia.com/gpu", 0))
        for group in manifest.job["rayClusterSpec"]["workerGroupSpecs"]
        for container in group["template"]["spec"]["containers"]
    )
    assert workers <= gpus
    assert bool(workers) == bool(gpus)


@each_with_a_cluster
def test_the_data_group_grows_and_shrinks_with_the_work_and_needs_no_gpu(manifest: Manifest) -> None:
    cluster = manifest.job["rayClusterSpec"]
    data = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "data")
    assert cluster["enableInTreeAutoscaling"]
    assert data["minReplicas"] < data["maxReplicas"]
    assert not any("nvidia.com/gpu" in container["resources"]["limits"] for container in data["template"]["spec"]["containers"])


@each
def test_the_root_is_an_object_store_that_every_node_reaches(manifest: Manifest) -> None:
    assert (manifest.option("--root") or "").startswith("s3://")


def test_what_is_refreshed_is_the_corpus_that_is_trained_on() -> None:
    assert len({manifest.option("--root") for manifest in MANIFESTS}) == 1
    assert len({corpus_of_command(manifest) for manifest in MANIFESTS}) == 1


@each
def test_secrets_come_by_reference_alone(manifest: Manifest) -> None:
    variables = [variable for container in manifest.containers for variable in container.get("env", ())]
    secret = [variable for variable in variables if SECRET_NAME.search(variable["name"])]
    assert {variable["name"] for variable in secret} >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"}
    assert all("secretKeyRef" in variable["valueFrom"] for variable in secret)


def test_a_variable_has_one_value_wherever_it_is_set() -> None:
    containers = [container for manifest in MANIFESTS for container in manifest.containers]
    variables = [variable for container in containers for variable in container.get("env", ())]
    values = {json.dumps(variable, sort_keys=True) for variable in variables}
    assert len(values) == len({variable["name"] for variable in variables})


@each_with_a_cluster
def test_the_cluster_asks_for_a_token(manifest: Manifest) -> None:
    assert manifest.job["rayClusterSpec"]["authOptions"] == {"mode": "token"}


@each
def test_no_container_may_be_root_or_become_it(manifest: Manifest) -> None:
    for pod in manifest.pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] != 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    autoscalers = [manifest.cluster["autoscalerOptions"]] if manifest.cluster else []
    for container in [*manifest.containers, *autoscalers]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@each
def test_only_a_head_which_scales_its_cluster_may_speak_to_kubernetes(manifest: Manifest) -> None:
    speaking = {role for role, template in manifest.groups.items() if template["spec"].get("automountServiceAccountToken", True)}
    assert speaking <= {"head"}


@each
def test_every_container_has_requests_and_limits_and_its_memory_is_not_overcommitted(manifest: Manifest) -> None:
    for container in manifest.containers:
        resources = container["resources"]
        assert resources["requests"].keys() == resources["limits"].keys()
        if container["name"] != "ray-job-submitter":
            assert resources["requests"]["memory"] == resources["limits"]["memory"]


@each
def test_every_mount_has_its_volume_and_nodes_have_shared_memory(manifest: Manifest) -> None:
    for role, template in manifest.groups.items():
        pod = template["spec"]
        volumes = {volume["name"]: volume["emptyDir"] for volume in pod.get("volumes", ())}
        mounts = {mount["mountPath"]: mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
        assert set(mounts.values()) == volumes.keys()
        if role != "submitter":
            assert volumes[mounts["/dev/shm"]]["medium"] == "Memory"


@each
def test_caches_lie_on_a_volume(manifest: Manifest) -> None:
    for container in manifest.containers:
        mounted = tuple(mount["mountPath"] + "/" for mount in container.get("volumeMounts", ()))
        caches = [variable["value"] for variable in container.get("env", ()) if variable["name"] in {"MILLRACE_CACHE", "HF_HOME"}]
        assert all(cache.startswith(mounted) for cache in caches)
        assert len(caches) == (0 if container["name"] == "ray-job-submitter" else 2)


@each_with_a_cluster
def test_what_a_finished_job_leaves_is_cleaned_up(manifest: Manifest) -> None:
    assert manifest.job["shutdownAfterJobFinishes"] is True
    assert manifest.job["ttlSecondsAfterFinished"] > 0


@each_on_a_schedule
def test_a_schedule_is_one_that_the_jobs_would_take_and_is_kept_by_kubernetes_alone(manifest: Manifest) -> None:
    assert seconds_between_runs(manifest) > 0
    assert manifest.option("--schedule") is None
    assert manifest.spec.get("suspend", False) is False


@each_on_a_schedule
def test_a_refresh_that_fails_is_tried_again(manifest: Manifest) -> None:
    assert manifest.job["backoffLimit"] > 0


@each_cron_job
def test_no_run_starts_beside_another_and_one_makes_up_for_all_that_were_missed(manifest: Manifest) -> None:
    assert manifest.spec["concurrencyPolicy"] == "Forbid"
    assert manifest.spec["startingDeadlineSeconds"] >= seconds_between_runs(manifest)


@each_cron_job
def test_retries_go_on_for_longer_than_a_killed_run_holds_its_lease(manifest: Manifest) -> None:
    waits = [min(FIRST_WAIT_SECONDS * 2**number, LONGEST_WAIT_SECONDS) for number in range(manifest.job["backoffLimit"])]
    assert sum(waits) > SILENT_SECONDS


@each_cron_job
def test_the_jobs_of_the_last_runs_are_kept_and_older_ones_are_not(manifest: Manifest) -> None:
    assert 0 < manifest.spec["successfulJobsHistoryLimit"] < 10
    assert 0 < manifest.spec["failedJobsHistoryLimit"] < 10
