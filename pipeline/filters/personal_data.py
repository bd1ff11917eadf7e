"""PersonalData: e-mail addresses, telephone, card and account numbers, masked by their kind, or reasons to drop."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Edit, Editor
from pipeline.filters.identifiers import KINDS, NAMES, Kind


@dataclass(frozen=True, kw_only=True)
class PersonalData(Editor):
    """Masks e-mail addresses and numbers of telephones, cards and accounts.

    - `kinds`: what is looked for of all that names or reaches a person (personally identifiable information). "email";
      "phone" (international numbers that begin with +, Chinese mobile numbers and those with an area code);
      "ip-address" (public IPv4 and IPv6); "identity-card" (Chinese resident identity cards: 18 digits with a known
      province, a possible date and the MOD 11-2 check digit of GB 11643); "bank-card" (13 to 19 digits with a prefix
      of a known network, UnionPay too, and the Luhn check digit); "iban" (ISO 13616: the country's length, and mod
      97); "social-security" (of the United States, written with hyphens).
    - `action`: "mask" writes the kind in its place (<EMAIL>, <BANK_CARD>) and counts it; "drop" drops the document
      as "holds-KIND".

    Names and postal addresses are not looked for, nor telephone numbers that are written as within other countries.
    A version number of four parts looks like an address, and is masked as one; the number of a section is not.
    """

    kinds: tuple[str, ...] = NAMES
    action: Literal["mask", "drop"] = "mask"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds or set(self.kinds) - set(NAMES):
            raise RequestError(f"PersonalData.kinds is {self.kinds!r}: use some of {', '.join(NAMES)}")
        if self.action not in ("mask", "drop"):
            raise RequestError(f"PersonalData.action is {self.action!r}: use 'mask' or 'drop'")

    def edit(self, document: Document) -> Edit:
        data, counts = document.text.encode("utf-8", "surrogatepass"), Counter[str]()
        for kind in KINDS:
            if kind.name not in self.kinds or not _may_hold(data, kind):
                continue
            places = list(_found(data, kind))
            if places and self.action == "drop":
                return Edit(document.text, {}, f"holds-{kind.name}")
            if places:
                counts[kind.name] += len(places)
                data = _masked(data, places, kind)
        return Edit(data.decode("utf-8", "surrogatepass") if counts else document.text, counts, None)


def _may_hold(data: bytes, kind: Kind) -> bool:
    """A first look, at the speed of memory."""
    return kind.name != "email" or b"@" in data


def _found(data: bytes, kind: Kind) -> Iterator[tuple[int, int]]:
    """Where there is something of a kind: its first byte, and the one after its last."""
    for match in kind.compiled.finditer(data):
        start = match.start()
        end = start + kind.check(match.group())
        if end > start and kind.stands(data, start, end):
            yield start, end


def _masked(data: bytes, places: list[tuple[int, int]], kind: Kind) -> bytes:
    mask = f"<{kind.name.replace('-', '_').upper()}>".encode()
    pieces, reached = list[bytes](), 0
    for start, end in places:
        pieces += (data[reached:start], mask)
        reached = end
    return b"".join([*pieces, data[reached:]])
