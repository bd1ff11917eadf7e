"""What numbers and addresses of persons look like, and the checks that tell them from other numbers.

Patterns run over bytes in linear time (RE2). What one finds is a candidate; its check says where it really ends, or
that it is none. Checksums and tables of prefixes are what keeps order numbers and measurements out.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import Any

NO_BREAK_SPACE = "\xa0".encode()
Check = Callable[[bytes], int]
"""How many bytes of a candidate, from its beginning, are the thing itself; 0: it is none."""
Stands = Callable[[bytes, int, int], bool]
"""Whether what surrounds the bytes from `start` to `end` lets them be the thing."""
PROVINCES = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_DIGITS = "10X98765432"
CARDS = (
    (("4",), (13, 16, 19)),  # Visa
    (tuple(map(str, [*range(51, 56), *range(2221, 2721)])), (16,)),  # Mastercard
    (("34", "37"), (15,)),  # American Express
    (("6011", "65", *map(str, range(644, 650))), (16, 19)),  # Discover
    (tuple(map(str, range(3528, 3590))), (16, 17, 18, 19)),  # JCB
    (("300", "301", "302", "303", "304", "305", "36", "38"), (14,)),  # Diners Club
    (("62",), (16, 17, 18, 19)),  # UnionPay
)
"""Prefixes of card numbers and their lengths (ISO/IEC 7812)."""
IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 "
    "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 "
    "LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 "
    "SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
"""Each country's code, and the characters of its account numbers (ISO 13616 registry)."""
CALLING = (
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
    "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 85 87 88 96 97 99"
)
"""Country codes of two digits, and the first two digits of those that have three (ITU-T E.164)."""


def is_alone(data: bytes, start: int, end: int) -> bool:
    """Whether a number stands by itself: in no word, no longer number, no decimal, no chain of numbers."""
    before, after = data[max(start - 2, 0) : start], data[end : end + 2]
    if (
        before[-1:].isalnum()
        or before[-1:] in (b"_", b".")
        or (before[-1:] in (b"-", b"/", b"=") and before[:1].isdigit() and len(before) > 1)
    ):
        return False
    return not (after[:1].isalnum() or after[:1] == b"_" or (after[:1] in (b".", b"-", b"/", b":") and after[1:].isdigit()))


def is_no_section(data: bytes, start: int, end: int) -> bool:
    """Whether four numbers stand by themselves, and number no section: those begin a line with a dot, or follow a no-break space."""
    begins_line = start == 0 or data[start - 1 : start] == b"\n"
    is_section = data[max(start - 2, 0) : start] == NO_BREAK_SPACE or (begins_line and data[end : end + 1] == b".")
    return is_alone(data, start, end) and not is_section


def is_anywhere(data: bytes, start: int, end: int) -> bool:  # noqa: ARG001 - nothing around an address matters
    """An address ends where its characters do."""
    return True


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of personal data: its name, a pattern for candidates, the check, and what may stand around it."""

    name: str
    pattern: str
    check: Check
    stands: Stands = is_alone

    @cached_property
    def compiled(self) -> Any:
        import re2

        return re2.compile(self.pattern.encode())


def digits_of(candidate: bytes) -> str:
    """The digits of a candidate, without what groups them."""
    return "".join(filter(str.isdigit, candidate.decode("ascii", "ignore")))


def luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[::-2]))) % 10 == 0


def _email(candidate: bytes) -> int:
    local, _, domain = candidate.partition(b"@")
    labels = domain.split(b".")
    sound = len(local) <= 64 and len(domain) <= 253 and b".." not in local and not local.endswith(b".")
    return len(candidate) if sound and all(0 < len(label) <= 63 and not label.startswith(b"-") for label in labels) else 0


def _identity_card(candidate: bytes) -> int:
    number = candidate.decode().upper()
    total = sum(weight * int(digit) for weight, digit in zip(ID_WEIGHTS, number, strict=False))
    if number[:2] not in PROVINCES.split() or ID_DIGITS[total % 11] != number[17] or not 1900 <= int(number[6:10]) <= 2099:
        return 0
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return 0
    return len(candidate)


def _bank_card(candidate: bytes) -> int:
    digits = digits_of(candidate)
    known = any(len(digits) in lengths and digits.startswith(prefixes) for prefixes, lengths in CARDS)
    return len(candidate) if known and luhn(digits) else 0


@cache
def _iban_lengths() -> dict[str, int]:
    return {entry[:2]: int(entry[2:]) for entry in IBANS.split()}


def _iban(candidate: bytes) -> int:
    length = _iban_lengths().get(candidate[:2].decode(), 0)
    ends = [place for place, byte in enumerate(candidate, 1) if byte != 0x20]
    if not 0 < length <= len(ends):
        return 0
    end = ends[length - 1]
    number = candidate[:end].decode().replace(" ", "")
    return end if int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 == 1 else 0


def _social_security(candidate: bytes) -> int:
    area, group, serial = candidate.decode().split("-")
    return len(candidate) if area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000" else 0


def _international(candidate: bytes) -> int:
    digits = digits_of(candidate)
    if digits[0] == "1":
        return _reach(candidate, 11) if len(digits) >= 11 and digits[1] not in "01" and digits[4] not in "01" else 0
    if digits.startswith("861"):
        return _reach(candidate, 13)
    known = digits[0] == "7" or digits[:2] in CALLING.split()
    return len(candidate) if known and 9 <= len(digits) <= 15 else 0


def _reach(candidate: bytes, digits: int) -> int:
    """The bytes that so many digits take, with what groups them; 0: there are fewer."""
    ends = [place for place, byte in enumerate(candidate, 1) if 0x30 <= byte <= 0x39]
    return ends[digits - 1] if len(ends) >= digits else 0


def _ip_address(candidate: bytes) -> int:
    try:
        return len(candidate) if ipaddress.ip_address(candidate.decode()).is_global else 0
    except ValueError:
        return 0


KINDS = (
    Kind("email", r"[A-Za-z0-9][A-Za-z0-9._%+\-]*@[A-Za-z0-9][A-Za-z0-9\-]*(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,24}", _email, is_anywhere),
    Kind("iban", r"[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11,30}", _iban),
    Kind("identity-card", r"[1-9][0-9]{16}[0-9Xx]", _identity_card),
    Kind("bank-card", r"[0-9]{13,19}|[0-9]{4}(?:[ \-][0-9]{4}){3}(?:[ \-][0-9]{1,3})?|3[0-9]{3}[ \-][0-9]{6}[ \-][0-9]{4,5}", _bank_card),
    Kind("social-security", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", _social_security),
    Kind("phone", r"\+[1-9](?:[ .\-()]{0,2}[0-9]){7,14}", _international),
    Kind("phone", r"1(?:3[0-9]|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-35-9])(?:[ \-]?[0-9]{4}){2}", len),  # Chinese, mobile
    Kind("phone", r"(?:\(0(?:10|2[0-9])\) ?|0(?:10|2[0-9])-)[2-8][0-9]{7}", len),  # Chinese, with the area code of a large city
    Kind("phone", r"(?:\(0[3-9][0-9]{2}\) ?|0[3-9][0-9]{2}-)[2-8][0-9]{6,7}", len),  # Chinese, with another area code
    Kind("ip-address", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", _ip_address, is_no_section),
    Kind("ip-address", r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}", _ip_address),
)
"""In the order in which they are looked for: what an earlier one masks, a later one does not see."""
NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))
