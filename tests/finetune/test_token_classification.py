"""A tag a word."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, Unfit
from pipeline.finetune.reader import Reader
from pipeline.finetune.records import RecordFiles
from pipeline.finetune.token_classification import TokenClassification
from pipeline.finetune.words import read_words
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from tests.finetune.conftest import ANIMALS, WARM, Family
from tests.finetune.recipes import finetune
from tests.finetune.test_finetune import answers, built

SMALL = Bert(dim=32, depth=2, heads=2)
LABELS = ("B-COLD", "B-PLACE", "B-WARM", "I-COLD", "I-PLACE", "I-WARM", "O")


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences with animals, warm-blooded or not, and places of two words: JSON Lines of tokens and tags."""
    path = tmp_path_factory.mktemp("tagged") / "animals.jsonl"
    rows = [
        {
            "tokens": ["The", size, animal, verb, "over", "the", place, "."],
            "tags": ["O", "O", "B-WARM" if animal in WARM else "B-COLD", "O", "O", "B-PLACE", "I-PLACE", "O"],
        }
        for size in ("small", "old", "quiet", "green")
        for animal in ANIMALS
        for verb in ("jumped", "looked", "sang")
        for place in ("river", "hill", "wall")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "architecture",
    [
        SMALL,
        Llama(dim=32, depth=2, heads=2),
        GPT2(dim=32, depth=2, heads=2),
        Mixtral(dim=32, depth=2, heads=2, experts=4),
        T5(dim=32, depth=1, heads=2),
    ],
    ids=lambda architecture: type(architecture).__name__,
)
def test_every_family_learns_tags_and_its_folder_answers_what_it_answered(
    architecture: Architecture, family: Family, tagged: Path, tmp_path: Path
) -> None:
    _, checkpoint = built(finetune(family(architecture), tagged, TokenClassification()), tmp_path)
    scores = checkpoint.facts["validation"]
    assert scores["f1"] > 0.9
    assert scores["f1_low"] <= scores["f1"] <= scores["f1_high"]
    model = AutoModelForTokenClassification.from_pretrained(checkpoint.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.model)
    rows = answers(checkpoint)
    assert len(rows) == scores["n"] > 10
    for row in rows[:5]:
        words, said = json.loads(row["row"])["tokens"], json.loads(row["answer"])
        shown = tokenizer(" ".join(words), return_tensors="pt")
        with torch.no_grad():
            probabilities = model(input_ids=shown["input_ids"], attention_mask=shown["attention_mask"]).logits[0].softmax(-1)
        first = [shown.char_to_token(0, len(" ".join([*words[:number], ""]))) for number in range(len(words))]
        assert [model.config.id2label[int(probabilities[place].argmax())] for place in first] == said["tags"]
        assert [float(probabilities[place].max()) for place in first] == pytest.approx(said["probabilities"], abs=1e-5)


def test_a_sentence_that_does_not_fit_is_read_in_windows_and_every_word_is_learned_and_said_once(
    family: Family, tagged: Path, tmp_path: Path
) -> None:
    task = TokenClassification()
    reader = Reader(family(SMALL), LABELS, context=12)
    words = ["The", "heron", "jumped", "over", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch", "."] * 6
    row = task.row({"tokens": words, "tags": ["O", "B-COLD", "O", "O", "B-PLACE", "O"] * 6})
    windows = task.shown(row, reader).windows
    assert max(len(window["input_ids"]) for window in windows) == 12
    learned = [
        (token, reader.labels[int(label)])
        for window in windows
        for token, label in zip(window["input_ids"], window["labels"], strict=True)
        if label != IGNORED
    ]
    ids, firsts = read_words(words, "by-script", reader)
    assert learned == [(ids[first], tag) for first, tag in zip(firsts, row["tags"], strict=True) if first is not None]
    assert len(learned) == len(words)
    _, checkpoint = built(finetune(family(SMALL), tagged, task, context=8, epochs=0.1), tmp_path)
    for kept in answers(checkpoint):
        assert len(json.loads(kept["answer"])["tags"]) == len(json.loads(kept["row"])["tokens"])
        assert all(0 < probability <= 1 for probability in json.loads(kept["answer"])["probabilities"])


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    family: Family, tagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.finetune.loop import FinetuneLoop

    step = finetune(family(SMALL), tagged, TokenClassification(), dropout=0.1, epochs=1, save_every=4, look_every=3)
    _, whole = built(step, tmp_path / "whole")
    taken = FinetuneLoop._step

    def broken(self: FinetuneLoop, done: int) -> Any:
        if done == 10:
            raise KeyboardInterrupt
        return taken(self, done)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneLoop, "_step", broken)
        with pytest.raises(KeyboardInterrupt):
            built(step, tmp_path / "broken")
    _, again = built(step, tmp_path / "broken")
    kept = [[(entry.path, entry.checksum) for entry in one.manifest.files if entry.kind != "metrics"] for one in (whole, again)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("architecture", [SMALL, Llama(dim=32, depth=2, heads=2)], ids=lambda each: type(each).__name__)
def test_how_many_windows_are_taken_at_once_changes_no_loss(
    architecture: Architecture, family: Family, tagged: Path, tmp_path: Path
) -> None:
    losses = []
    for micro_batch in (8, 2):
        step = finetune(family(architecture), tagged, TokenClassification(), epochs=0.5, micro_batch=micro_batch)
        losses.append([row["loss"] for row in built(step, tmp_path / str(micro_batch))[1].metrics()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"tags": ["O"]}, "no-tokens"),
        ({"tokens": "The fox", "tags": ["O", "O"]}, "tokens-is-no-list-of-texts"),
        ({"tokens": ["The", None], "tags": ["O", "O"]}, "tokens-is-no-list-of-texts"),
        ({"tokens": ["The", "fox"], "tags": ["O"]}, "tokens-and-tags-differ-in-number"),
        ({"tokens": [], "tags": []}, "empty-tokens"),
        ({"tokens": [" "], "tags": ["O"]}, "empty-tokens"),
        ({"tokens": ["The", "fox"], "tags": ["DET", "NOUN"]}, "tags-are-not-BIO"),
        ({"tokens": ["The", "fox"], "tags": [0, 3]}, "tags-are-not-BIO"),
    ],
)
def test_a_record_that_cannot_be_learned_from_is_left_out_with_its_reason(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfit, match=rf"^{reason}$"):
        TokenClassification().row(record)


def test_tags_of_other_schemes_are_learned_as_bio() -> None:
    row = TokenClassification().row({"tokens": list("abcd"), "tags": ["I-A", "I-A", "O", "S-B"]})
    assert row["tags"] == ["B-A", "I-A", "O", "B-B"]
    assert TokenClassification().labels(row) == ("O", "B-A", "I-A", "B-B", "I-B")


def test_a_family_that_transformers_has_no_tagger_of_is_refused(family: Family) -> None:
    with pytest.raises(RequestError, match=r"holds a model of type .* which cannot learn token-classification"):
        Reader(family(Lstm(dim=32, depth=1)), LABELS).check(TokenClassification())


def test_the_sentences_of_conll_are_read(shared_data: Path) -> None:
    path = shared_data / "finetune" / "conll2002" / "esp.testb"
    task = TokenClassification()
    rows = [task.row(record.values) for record in RecordFiles.at((str(path),), "conll", ("tokens", "tags")).records()]  # type: ignore[union-attr]
    assert len(rows) == 1517
    tags = [line.split()[-1] for line in path.read_text().splitlines() if line.strip()]
    changed = [pair for pair in zip(tags, (tag for row in rows for tag in row["tags"]), strict=True) if pair[0] != pair[1]]
    assert changed == [("I-MISC", "B-MISC")]  # the file has one entity that no B- begins
    types = ("LOC", "MISC", "ORG", "PER")
    assert {label for row in rows for label in task.labels(row)} == {"O", *(f"{mark}-{name}" for mark in "BI" for name in types)}
