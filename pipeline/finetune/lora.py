"""Low-rank adapters: what is trained where a model is not trained whole."""

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters beside every matrix (Hu and others, 2021, arXiv:2106.09685): only they, and a head, are trained."""

    rank: int = 8
    alpha: int = 16
    """What an adapter adds is scaled by alpha / rank."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise RequestError(f"lora.rank is {self.rank}: use at least 1")
        if self.alpha < 1:
            raise RequestError(f"lora.alpha is {self.alpha}: use at least 1, such as twice the rank")
