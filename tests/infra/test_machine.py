"""What a machine's memory is taken for: the system's, its control groups', or that of its accelerators."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import machine
from infra.machine import this_machine

MEMINFO = "MemTotal:       8000 kB\nMemFree: 100 kB\nMemAvailable:   6000 kB\nSwapTotal: 1000 kB\nSwapFree: 500 kB\n"


class Library:
    """Stands in for NVML on a machine with two devices."""

    NVMLError = RuntimeError
    devices = (("NVIDIA A100", 40, 39), ("NVIDIA A100", 40, 7))

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's own names
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetName(self, number: int) -> str:  # noqa: N802
        return self.devices[number][0]

    def nvmlDeviceGetMemoryInfo(self, number: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=self.devices[number][1], free=self.devices[number][2])


class Silent(Library):
    """One whose driver answers nothing."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        raise RuntimeError("driver not loaded")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without accelerators and with no limits."""
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name in ("PROC", "GROUPS"):
        monkeypatch.setattr(machine, name, tmp_path)
    monkeypatch.setattr(machine, "nvml", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def limited(system: Path, group: str, most: str, used: str, names: tuple[str, str] = ("memory.max", "memory.current")) -> None:
    (system / group).mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (most, used), strict=True):
        (system / group / name).write_text(value + "\n")


def sizes() -> tuple[str, int, int]:
    found = this_machine()
    assert found is not None
    return found.kind, found.memory, found.free


def test_without_limits_it_has_what_the_system_has(system: Path) -> None:
    assert sizes() == ("cpu", 9000 << 10, 6500 << 10)


def test_the_narrowest_limit_of_its_control_groups_counts(system: Path) -> None:
    (system / "self/cgroup").write_text("0::/outer/inner\n")
    limited(system, "outer/inner", "max", "1000000")
    limited(system, "outer", "4000000", "3500000")
    assert sizes() == ("cpu", 4_000_000, 500_000)


def test_limits_of_control_groups_of_version_1_count_too(system: Path) -> None:
    (system / "self/cgroup").write_text("5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n")
    limited(system, "memory/docker/1", "2000000", "500000", ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    assert sizes() == ("cpu", 2_000_000, 1_500_000)


@pytest.mark.parametrize("meminfo", [None, "", "MemTotal:\n", "MemTotal: many kB\n"])
def test_a_system_that_does_not_say_is_not_known(meminfo: str | None, system: Path) -> None:
    (system / "meminfo").unlink() if meminfo is None else (system / "meminfo").write_text(meminfo)
    assert this_machine() is None


def test_accelerators_are_as_the_one_with_least_room_is(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "nvml", Library)
    assert sizes() == ("cuda", 40, 7)


def test_hidden_or_silent_accelerators_are_none(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "nvml", Silent)
    assert sizes()[0] == "cpu"
    monkeypatch.setattr(machine, "nvml", Library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert sizes()[0] == "cpu"


def test_this_machine_itself_has_more_than_what_is_free() -> None:
    found = this_machine()
    assert found is None or 0 < found.free <= found.memory
