"""Steps that are named like the real ones and leave realistic facts, without their work."""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.workflow.step import Context, Member, Step
from pipeline.workflow.unit import Unit

SOURCES = {"cpython/Lib": 1204, "cpython/Doc": 243, "新闻/中文网页": 402, "site-packages/pyarrow": 61}
PYTHON = '''merge(left, right):
    """Merge two sorted lists."""
    result = []
    while left and right:
        result.append(min(left, right))
'''

LONG = {"worker_hours": 1.5, "joules": 720_000.0, "price": 3.0, "currency": "EUR"}
ECONOMY: dict[str, Any] = {
    "device": "NVIDIA H100 80GB HBM3",
    "seconds": 120.0,
    "data_seconds": 0.6,
    "save_seconds": 12.0,
    "restarts": 2,
    "steps_again": 137,
    "restart_seconds": 31.0,
    "peak_bytes": 12_300_000_000,
    "worker_hours": 0.1,
    "lineage": {"runs": ["pretrain/1", "pretrain/2"], **LONG},
}


@dataclass(frozen=True, kw_only=True)
class Embedded:
    name: str = "python"
    version_of: str = "3.11.9"


@dataclass(frozen=True, kw_only=True)
class WordCount:
    least: int = 50


@dataclass(frozen=True, kw_only=True)
class Repetition:
    duplicate_lines: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Llama:
    dim: int = 256
    depth: int = 6
    heads: int = 8


def stage(kept: Mapping[str, int], dropped: Mapping[str, int], lost: Mapping[str, int]) -> dict[str, Any]:
    """Facts of a stage; `lost` says how many documents of each source were dropped."""
    assert sum(lost.values()) == sum(dropped.values())
    names = sorted(kept.keys() | lost.keys())
    return {
        "read": sum(kept.values()) + sum(dropped.values()),
        "kept": sum(kept.values()),
        "dropped": dict(dropped),
        "sources": {
            name: {"kept": kept.get(name, 0), "characters": kept.get(name, 0) * 11_370, "dropped": lost.get(name, 0)} for name in names
        },
    }


def without(kept: Mapping[str, int], lost: Mapping[str, int]) -> dict[str, int]:
    return {name: number - lost.get(name, 0) for name, number in kept.items()}


@dataclass(frozen=True, kw_only=True)
class Ingest(Step[Any]):
    source: Embedded = Embedded()
    names: tuple[str, ...] = tuple(SOURCES)

    def kept(self) -> dict[str, int]:
        return {name: SOURCES.get(name, 200) for name in self.names}

    def run(self, context: Context) -> Mapping[str, Any]:
        list(context.map(self.read, list(range(3))))
        return stage(self.kept(), {"malformed-json": 2}, {self.names[0]: 2})

    def read(self, unit: Unit, number: int) -> Mapping[str, Any]:
        unit.write("documents", b"arrow" * 40_000 * (number + 1), ".arrow", rows=700)
        return {}


@dataclass(frozen=True, kw_only=True)
class Clean(Step[Any]):
    documents: Ingest
    mend: bool = True
    filters: tuple[Any, ...] = (WordCount(), Repetition())

    def lost(self) -> dict[str, int]:
        return {self.documents.names[0]: 131}

    def kept(self) -> dict[str, int]:
        return without(self.documents.kept(), self.lost())

    def run(self, context: Context) -> Mapping[str, Any]:
        return stage(
            self.kept(),
            {"word-count/too-short": 84, "repetition/duplicate-lines": 31, "language/not-en-or-zh": 15, "empty": 1},
            self.lost(),
        )


@dataclass(frozen=True, kw_only=True)
class Deduplicate(Step[Any]):
    documents: tuple[Clean, ...]
    similarity: float = 0.8

    def lost(self) -> dict[str, int]:
        return {self.documents[0].documents.names[0]: 59}

    def kept(self) -> dict[str, int]:
        return {name: number for clean in self.documents for name, number in without(clean.kept(), self.lost()).items()}

    def run(self, context: Context) -> Mapping[str, Any]:
        return stage(self.kept(), {"exact-duplicate": 22, "near-duplicate": 37}, self.lost())


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer(Step[Any]):
    documents: Deduplicate
    vocab_size: int = 8192

    def run(self, context: Context) -> Mapping[str, Any]:
        return {"vocabulary": self.vocab_size}


@dataclass(frozen=True, kw_only=True)
class Tokenize(Step[Any]):
    documents: Deduplicate
    tokenizer: TrainTokenizer

    def run(self, context: Context) -> Mapping[str, Any]:
        counts = self.documents.kept()
        documents = {"read": sum(counts.values()), "kept": sum(counts.values()), "dropped": {}}
        return documents | {
            "documents": {"train": sum(counts.values()) - 17, "validation": 17},
            "tokens": {"train": 4_812_345, "validation": 52_811},
            "bytes": {"train": 18_412_000, "validation": 201_112},
            "vocabulary": self.tokenizer.vocab_size,
            "sources": {name: {"documents": number, "tokens": number * 2_811} for name, number in counts.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Pretrain(Step[Any]):
    tokens: Tokenize
    model: Llama = Llama()
    context: int = 256
    batch: int = 32
    steps: int = 1500

    def run(self, context: Context) -> Mapping[str, Any]:
        return context.gang(self.train, 1).facts

    def train(self, unit: Unit, member: Member) -> Mapping[str, Any]:
        noise = random.Random(1)
        rows = [row(step, self.steps, noise) for step in range(1, self.steps + 1)]
        unit.write("metrics", "".join(json.dumps(line) + "\n" for line in rows).encode(), ".jsonl", rows=len(rows))
        unit.write("model", bytes(3_000_000), ".safetensors")
        return {
            "steps": self.steps,
            "tokens": self.steps * self.batch * self.context,
            "loss": {"first": rows[0]["loss"], "last": rows[-1]["loss"]},
            "tokens_per_second": 41_237.5,
            "mfu": 0.412,
            "parameters": 11_217_408,
            "workers": 2,
            "flops_per_token": 71_303_168,
            "economy": ECONOMY,
        }


def row(step: int, steps: int, noise: random.Random) -> dict[str, Any]:
    loss = 3.05 + 6.1 * math.exp(-step / 140) + noise.gauss(0, 0.09)
    warm = min(1.0, step / 100) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
    metrics = {
        "step": step,
        "tokens": step * 8192,
        "loss": loss,
        "learning_rate": 3e-3 * warm,
        "gradient_norm": 0.4 + 3 * math.exp(-step / 90) + abs(noise.gauss(0, 0.1)),
        "tokens_per_second": 41_000 + noise.gauss(0, 900),
        "seconds": step * 0.2,
    }
    return {**metrics, "validation_loss": loss + 0.12} if step % 150 == 0 else metrics


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step[Any]):
    checkpoint: Pretrain
    tokens: Tokenize

    def run(self, context: Context) -> Mapping[str, Any]:
        return {
            "scores": {
                "perplexity": {"loss": 3.1712, "perplexity": 23.836, "bits_per_byte": 1.2013, "zstd_bits_per_byte": 1.9872, "n": 17},
                "arc-easy": {"accuracy": 0.2731, "n": 570},
            }
        }


@dataclass(frozen=True, kw_only=True)
class Sample(Step[Any]):
    checkpoint: Pretrain
    prompts: tuple[str, ...] = ("def ", "从前")

    def run(self, context: Context) -> Mapping[str, Any]:
        texts = {"def ": PYTHON, "从前": "有一座山，山上有一座庙，庙里有一个老和尚在给小和尚讲故事。"}
        return {"samples": [{"prompt": prompt, "text": texts.get(prompt, "…")} for prompt in self.prompts]}


def whole_graph() -> tuple[Step[Any], ...]:
    tokens = corpus_graph()
    base = Pretrain(tokens=tokens)
    return Evaluate(checkpoint=base, tokens=tokens), Sample(checkpoint=base)


def corpus_graph(*names: str) -> Tokenize:
    ingest = Ingest(names=names) if names else Ingest()
    unique = Deduplicate(documents=(Clean(documents=ingest),))
    return Tokenize(documents=unique, tokenizer=TrainTokenizer(documents=unique))
