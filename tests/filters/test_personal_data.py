"""Personal data of each kind is found, and what only looks like it is left alone."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.filters.identifiers import ID_DIGITS, ID_WEIGHTS, NAMES, luhn
from pipeline.filters.personal_data import PersonalData
from tests.filters.texts import CHINESE, ENGLISH, document, verdict


def masked(text: str) -> str:
    return PersonalData().edit(document(text)).text


def identity_card(body: str) -> str:
    """The 17 digits of a card with its check digit."""
    return body + ID_DIGITS[sum(weight * int(digit) for weight, digit in zip(ID_WEIGHTS, body, strict=True)) % 11]


def card(body: str) -> str:
    """A number with its Luhn check digit."""
    return next(f"{body}{digit}" for digit in "0123456789" if luhn(f"{body}{digit}"))


FOUND = {
    "EMAIL": ["a@b.cn", "first.last+tag@mail.example.co.uk", "UPPER_case@EXAMPLE.COM", "x%y@a-b.org"],
    "PHONE": [
        *(
            "+1 415 555 2671",
            "+1-415-555-2671",
            "+1 (415) 555-2671",
            "+14155552671",
            "+44 20 7946 0958",
            "+49 30 901820",
            "+7 495 123-45-67",
        ),
        *("+86 138 0013 8000", "+8613800138000", "13800138000", "138 0013 8000", "199-0013-8000", "+852 2345 6789"),
        *("010-62345678", "(010) 62345678", "0755-2345678", "0571-87654321"),
    ],
    "IP_ADDRESS": ["8.8.8.8", "114.114.114.114", "2001:4860:4860::8888", "2400:3200:0:0:0:0:0:1"],
    "IDENTITY_CARD": [identity_card("11010519491231002"), identity_card("44030719900229001"[:10] + "0228001"), "11010519491231002X"],
    "BANK_CARD": [
        *("4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "3782 822463 10005", "6011111111111117", "3530111333300000"),
        *(card("621700123456789012"), card("622848001234567"), "30569309025904"),
    ],
    "IBAN": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB29NWBK60161331926819",
        "MT84MALT011000012345MTLCAST001S",
        "NO9386011117947",
    ],
    "SOCIAL_SECURITY": ["123-45-6789"],
}


@pytest.mark.parametrize(("mask", "text"), [(mask, text) for mask, texts in FOUND.items() for text in texts])
def test_what_is_personal_is_masked_by_its_kind(mask: str, text: str) -> None:
    for before, after in (("", ""), ("Reach me at ", ", please."), ("联系方式：", "。谢谢"), ("(", ")"), ("电话", "或者"), ("\n", "\n")):
        edit = PersonalData().edit(document(f"{before}{text}{after}"))
        assert edit.text == f"{before}<{mask}>{after}"
        assert edit.changes == {mask.lower().replace("_", "-"): 1}


LEFT_ALONE = {
    "no domain": "me@localhost",
    "two dots": "a..b@@c",
    "a handle": "@somebody said",
    "private addresses": "10.0.0.1 192.168.1.1 127.0.0.1 172.16.0.9 fe80::1 ::1 2001:db8::1",
    "no address": "256.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4 12:30:45 std::vector 01.02.03.04",
    "a wrong check digit of a card": "110105194912310021",
    "a date that cannot be": identity_card("11010519490230002"),
    "a province that is none": identity_card("99010519491231002"),
    "a year that is too early": identity_card("11010518491231002"),
    "a wrong Luhn digit": "4111111111111112",
    "an unknown network": card("999999999999999"),
    "a card that is too long": card("411111111111111111111"),
    "a wrong IBAN": "GB29NWBK60161331926818",
    "a country without IBANs": "ZZ29NWBK60161331926819",
    "an area that is none": "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
    "longer numbers": "9138001380001 0.13800138000 id_13800138000 13800138000abc 3-13800138000",
    "prefixes that are not given out": "12800138000 15400138000",
    "times and dates": "2026-11-24 13:45:10 1612345678901 20261124134510",
    "a book": "ISBN 978-7-02-000220-7",
    "sums": "+100 000 000 $1,234,567.89 3.14159265358979",
    "the number of a section": "12.1.1.1. RAID\n8.2.2.2.\u00a0DHCP\nsee Section\u00a010.8.1.2, above",
    "a version": "python-3.11.7 kernel 6.1.0-18",
}


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=[name.replace(" ", "-") for name in LEFT_ALONE])
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert PersonalData().edit(document(text)).changes == {}
    assert masked(text) == text


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_prose_is_left_alone(text: str) -> None:
    assert masked(text) == text


def test_several_of_several_kinds_are_counted_by_kind() -> None:
    edit = PersonalData().edit(document("a@b.cn c@d.org, 13800138000; 8.8.8.8 和 10.0.0.1"))
    assert edit.text == "<EMAIL> <EMAIL>, <PHONE>; <IP_ADDRESS> 和 10.0.0.1"
    assert edit.changes == {"email": 2, "phone": 1, "ip-address": 1}


def test_a_number_beside_another_is_told_from_it() -> None:
    assert masked("+1 415 555 2671 2024") == "<PHONE> 2024"
    assert masked("+86 13800138000 13900139000") == "<PHONE> <PHONE>"
    assert masked("DE89 3704 0044 0532 0130 00 BIC COBADEFF") == "<IBAN> BIC COBADEFF"
    assert masked("12 4111 1111 1111 1111") == "12 <BANK_CARD>"


def test_only_the_kinds_that_are_asked_for_are_looked_for() -> None:
    text = "a@b.cn 8.8.8.8"
    assert PersonalData(kinds=("email",)).edit(document(text)).text == "<EMAIL> 8.8.8.8"
    assert PersonalData(kinds=("ip-address",)).edit(document(text)).text == "a@b.cn <IP_ADDRESS>"


def test_a_document_can_be_dropped_instead() -> None:
    rule = PersonalData(action="drop")
    assert verdict(rule, "call 13800138000") == "holds-phone"
    assert verdict(rule, "call me") is None
    assert verdict(PersonalData(), "call 13800138000") is None


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(RequestError, match=r"PersonalData\.kinds is \('name',\): use some of email, iban"):
        PersonalData(kinds=("name",))
    with pytest.raises(RequestError, match=r"PersonalData\.action is 'hide': use 'mask' or 'drop'"):
        PersonalData(action="hide")  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_characters="@", exclude_categories=["Nd", "Cs"])))
def test_text_without_at_signs_and_digits_is_never_changed(text: str) -> None:
    assert masked(text) == text


@given(st.from_regex(r"\A[1-9][0-9]{16}\Z"), st.sampled_from("0123456789X"))
def test_no_identity_card_has_two_check_digits(body: str, digit: str) -> None:
    assume(identity_card(body) != body + digit)
    assert "identity-card" not in PersonalData(kinds=("identity-card",)).edit(document(body + digit)).changes


HOSTILE = [
    "@",
    "a@",
    "a@b",
    "a@b.",
    ".",
    "1.",
    "1:",
    "2:",
    "2001:",
    "+1 ",
    "+",
    "1 ",
    "12-",
    "(0",
    "13800138000 ",
    "AB12 ",
    "4111 ",
    "DE89 3704 ",
    "-",
    "a.b@c.d",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    for text in (piece * 100_000, f"{piece * 100_000}x"):
        assert len(PersonalData(kinds=NAMES).edit(document(text)).text) > 0
