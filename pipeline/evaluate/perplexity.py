"""How well a model predicts held-out documents, beside what a strong compressor makes of the same bytes."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.errors import RunError
from pipeline.evaluate.base import Answer, Example, HeldOut, LikelihoodTask, Ratio

ZSTD_LEVEL = 19


@dataclass(frozen=True, kw_only=True)
class Perplexity(LikelihoodTask):
    """Loss a token, perplexity, and bits a byte, which does not depend on the tokenizer.

    Each document is predicted from its first token to its end: the first from the token that ends the document before, and
    the cost of the end counts, as a compressor pays for lengths too. `zstd_bits_per_byte` is what `zstd -19` needs for all the
    documents as one stream, so it may copy from earlier documents; `zstd_document_bits_per_byte`, each by itself.
    """

    needs_held_out: ClassVar[bool] = True

    def examples(self, held_out: HeldOut) -> Iterator[Example]:
        return (Example((text,), ends=True) for text in held_out.texts())

    def score(self, example: Example, answer: Answer) -> Mapping[str, float]:
        return {"nats": answer.nats[0], "tokens": answer.tokens[0], "bytes": len(example.texts[0].encode())}

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:  # noqa: ARG002 - they are the same always
        return {"loss": Ratio("nats", "tokens")}

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:
        if not totals["bytes"]:
            raise RunError(f"the {count} held-out documents hold no text, so bits a byte mean nothing: hold out more of them")
        loss, size = totals["nats"] / totals["tokens"], int(totals["bytes"])
        return {
            "loss": loss,
            "perplexity": math.exp(loss),
            "bits_per_byte": totals["nats"] / math.log(2) / size,
            "zstd_bits_per_byte": 8 * compressed(held_out.texts()) / size,
            "zstd_document_bits_per_byte": 8 * sum(compressed([text]) for text in held_out.texts()) / size,
            "bytes": size,
            "tokens": int(totals["tokens"]),
        }


def compressed(texts: Iterable[str]) -> int:
    """The bytes that `zstd -19` makes of texts (UTF-8) as one stream."""
    import zstandard

    stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    return sum(len(stream.compress(text.encode())) for text in texts) + len(stream.flush())
