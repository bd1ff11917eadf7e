"""How a checkpoint reads texts."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from pipeline.errors import RequestError
from pipeline.finetune.reader import Reader, labels_for
from pipeline.finetune.sequence_classification import SequenceClassification
from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.llama import Llama
from pipeline.models.t5 import T5
from tests.finetune.conftest import CONTEXT, Family

KINDS = [Llama(dim=32, depth=2, heads=2), Bert(dim=32, depth=2, heads=2), T5(dim=32, depth=1, heads=2)]
each = pytest.mark.parametrize("architecture", KINDS, ids=lambda architecture: type(architecture).__name__)


@each
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.text(max_size=30), second=st.text(min_size=1, max_size=30))
def test_the_tokenizer_that_is_saved_gives_what_was_shown(
    architecture: Architecture, family: Family, tmp_path: Path, first: str, second: str
) -> None:
    reader = Reader(family(architecture))
    folder = tmp_path / type(architecture).__name__
    if not folder.exists():
        reader.tokenizer.save_pretrained(folder)
    saved = AutoTokenizer.from_pretrained(folder)
    if any(token in text for text in (first, second) for token in saved.all_special_tokens):
        return
    alone, both = reader.single(first), reader.pair(first, second)
    assert alone.truncated or saved(first)["input_ids"] == alone.ids
    assert both.truncated or saved(first, second)["input_ids"] == both.ids


@each
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 80), second=st.integers(0, 80), context=st.integers(8, CONTEXT))
def test_what_does_not_fit_is_cut_from_the_longer_text(
    architecture: Architecture, family: Family, first: int, second: int, context: int
) -> None:
    reader = Reader(family(architecture), context=context)
    texts = "é" * first, "ü" * second
    lengths = [len(reader.pieces(text).ids) for text in texts]
    fitted = reader.pair(*texts)
    around = len(reader.begin) + len(reader.between) + len(reader.end)
    assert len(fitted.ids) == min(context, sum(lengths) + around)
    assert fitted.truncated == (sum(lengths) + around > context)
    room = context - around
    kept = [min(length, max(room - min(lengths[1 - place], room // 2), 0)) for place, length in enumerate(lengths)]
    assert len(fitted.ids) - around >= min(kept)


def test_what_looks_like_a_special_token_in_a_text_is_text(family: Family) -> None:
    reader = Reader(family(KINDS[0]))
    assert reader.stop not in reader.pieces("<|endoftext|>").ids


def test_an_encoder_decoder_is_filled_up_with_another_token_than_ends_its_texts(family: Family) -> None:
    reader = Reader(family(KINDS[2]))
    assert reader.padding != reader.stop
    assert reader.tokenizer.pad_token_id == reader.padding


def test_labels_keep_the_places_that_a_head_has_for_them(family: Family, tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    shutil.copytree(family(KINDS[0]), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "warm", "1": "cold"}}))
    assert labels_for(folder, ("cold", "warm")) == ("warm", "cold")
    assert labels_for(family(KINDS[0]), ("warm", "cold")) == ("cold", "warm")
    with pytest.raises(RequestError, match="the label 'hot' is unknown to the checkpoint"):
        labels_for(folder, ("cold", "hot"))


def test_a_model_that_cannot_learn_a_task_or_reads_less_is_refused(family: Family, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="context is 4096 tokens"):
        Reader(family(KINDS[1]), context=4096).check(SequenceClassification())
    folder = tmp_path / "odd"
    shutil.copytree(family(KINDS[0]), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "whisper"}))
    with pytest.raises(RequestError, match="cannot learn sequence-classification"):
        Reader(folder).check(SequenceClassification())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))
    with pytest.raises(RequestError, match="has 321 tokens, and the model 100"):
        Reader(folder).check(SequenceClassification())
