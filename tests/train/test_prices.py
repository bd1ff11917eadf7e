"""A user's list of prices: what it may hold, and what it makes of hours and energy."""

from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.train.prices import Prices

LIST = 'currency = "EUR"\nkilowatt_hour = 0.3\n[worker_hour]\n"H100 PCIe" = 2.0\nH100 = 2.5\ncpu = 0.04\n'


def read(folder: Path, text: str, name: str = "prices.toml") -> Prices:
    place = folder / name
    place.write_text(text)
    return Prices.read(str(place))


def test_the_first_name_that_the_devices_own_holds_has_its_price(tmp_path: Path) -> None:
    prices = read(tmp_path, LIST)
    assert prices.amount("NVIDIA H100 80GB HBM3", 7200) == pytest.approx(5.0)
    assert prices.amount("NVIDIA H100 PCIe", 3600) == pytest.approx(2.0)
    assert prices.amount("cpu", 3600, joules=3.6e6) == pytest.approx(0.34)


def test_a_device_that_is_not_on_the_list_has_no_price_rather_than_none_to_pay(tmp_path: Path) -> None:
    assert read(tmp_path, LIST).amount("NVIDIA B200", 3600) is None


def test_json_says_the_same(tmp_path: Path) -> None:
    as_json = '{"currency": "EUR", "kilowatt_hour": 0.3, "worker_hour": {"H100 PCIe": 2.0, "H100": 2.5, "cpu": 0.04}}'
    assert read(tmp_path, as_json, "prices.json") == read(tmp_path, LIST)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[worker_hour]\ncpu = 1.0", "currency"),
        ('currency = "EUR"', "worker_hour"),
        ('currency = "EUR"\nworker_hour = 3', "worker_hour"),
        ('currency = "EUR"\n[worker_hour]\n', "worker_hour"),
        ("currency = 3\n[worker_hour]\ncpu = 1.0", "currency is 3"),
        ('currency = "EUR"\n[worker_hour]\ncpu = -1.0', "cpu is -1.0"),
        ('currency = "EUR"\n[worker_hour]\ncpu = true', "cpu is True"),
        ('currency = "EUR"\n[worker_hour]\ncpu = nan', "cpu is nan"),
        ('currency = "EUR"\ngpu_hour = 1\n[worker_hour]\ncpu = 1', "'gpu_hour'"),
        ("currency = ", "no list of prices"),
    ],
)
def test_what_is_no_price_is_refused_by_its_name(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=named):
        read(tmp_path, text)


def test_a_list_that_is_not_there_or_no_text_is_refused_with_an_example(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "bytes.toml", "."):
        with pytest.raises(RequestError, match="currency ="):
            Prices.read(str(tmp_path / name))
    with pytest.raises(RequestError, match="no list of prices"):
        read(tmp_path, "[1]", "list.json")
