"""What a classifier looks at, as a part of its recipe."""

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class FeatureKinds:
    """What a text is judged by: which of 2^`bits` features it has, each an n-gram's hash.

    n-grams are runs of 1 to `words` words (a Han character is one), and of so many `characters`, from 3 to 5, or none.
    """

    words: int = 2
    characters: tuple[int, int] | None = (3, 5)
    bits: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.words <= 8:
            raise RequestError(f"FeatureKinds.words is {self.words}: use runs of up to 1 to 8 words")
        if self.characters is not None and not 1 <= self.characters[0] <= self.characters[1] <= 8:
            raise RequestError(f"FeatureKinds.characters is {self.characters}: use (least, most) between 1 and 8, or None")
        if not 10 <= self.bits <= 28:
            raise RequestError(f"FeatureKinds.bits is {self.bits}: use 10 to 28, for 2^bits weights of 4 bytes")
