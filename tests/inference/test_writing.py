"""Texts that are written by an open model, whatever its family, alone or with others."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from pipeline.errors import RequestError, RunError
from pipeline.inference.generation import Sampling, Written, write
from tests.evaluate.conftest import Trained
from tests.inference.writers import END, FAMILIES, opened

PROMPTS = ["The old fox", "", "The small heron jumped over the river", "天地 🦊", "The"]
GREEDY, DRAWN = Sampling(max_new_tokens=12, temperature=0), Sampling(max_new_tokens=12, temperature=1.5, top_k=0, top_p=1)


@pytest.fixture(scope="module")
def tokenizer(trained: Trained) -> Any:
    return AutoTokenizer.from_pretrained(trained.folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {family: opened(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, models: dict[str, Any]) -> Any:
    return models[request.param]


def first(texts: list[list[Written]]) -> list[Written]:
    return [text for text, *_ in texts]


def test_the_likeliest_tokens_are_those_that_transformers_generates(model: Any, tokenizer: Any) -> None:
    for prompt, written in zip(PROMPTS, first(write(model, tokenizer, PROMPTS, GREEDY)), strict=True):
        ids = tokenizer(prompt)["input_ids"]
        given = torch.tensor([ids or [END] if model.config.is_encoder_decoder else [END, *ids]])
        options = {"attention_mask": torch.ones_like(given), "max_new_tokens": 12, "do_sample": False}
        (theirs,) = model.generate(given, **options).tolist()
        drawn = theirs[1:] if model.config.is_encoder_decoder else theirs[given.shape[1] :]
        assert written.tokens == tuple(token for token in drawn if token != END)
        assert written.text == tokenizer.decode(written.tokens, skip_special_tokens=True)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_a_text_is_the_same_whatever_it_is_written_with(model: Any, tokenizer: Any, sampling: Sampling) -> None:
    together = write(model, tokenizer, PROMPTS, sampling, sequences=3)
    assert together == [write(model, tokenizer, [prompt], sampling, sequences=3)[0] for prompt in PROMPTS]
    assert write(model, tokenizer, PROMPTS[::-1], sampling)[::-1] == [texts[:1] for texts in together]


def test_texts_that_reach_the_context_at_different_steps_are_as_if_alone(models: dict[str, Any], tokenizer: Any) -> None:
    long = Sampling(max_new_tokens=70, temperature=1.2)
    for family in ("gpt2", "llama", "lstm"):
        together = write(models[family], tokenizer, PROMPTS, long)
        assert together == [write(models[family], tokenizer, [prompt], long)[0] for prompt in PROMPTS]
        assert {len(text.tokens) for text in first(together)} == {70} or any(text.ended == "end" for text in first(together))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "t5"])
def test_what_was_kept_gives_what_reading_anew_gives(models: dict[str, Any], tokenizer: Any, family: str) -> None:
    model = models[family]
    (written,) = first(write(model, tokenizer, ["The old"], GREEDY))
    begun = [END, *tokenizer("The old")["input_ids"]]
    for place, token in enumerate(written.tokens):
        ids = torch.tensor([[*begun, *written.tokens[:place]]])
        assert model(ids, attention_mask=torch.ones_like(ids)).logits[0, -1].argmax() == token


def test_the_texts_of_one_prompt_differ_and_so_do_those_of_other_seeds(model: Any, tokenizer: Any) -> None:
    (texts,) = write(model, tokenizer, ["The"], DRAWN, sequences=6)
    assert len({text.tokens for text in texts}) > 3
    others = write(model, tokenizer, ["The"], Sampling(max_new_tokens=12, temperature=1.5, top_k=0, top_p=1, seed=9), sequences=6)[0]
    assert texts != others


def test_a_text_ends_before_the_first_stop_even_within_tokens(model: Any, tokenizer: Any) -> None:
    (whole,) = first(write(model, tokenizer, ["The"], DRAWN))
    for start in range(1, len(whole.text) - 1):
        stop = whole.text[start : start + 2]
        (written,) = first(write(model, tokenizer, ["The"], DRAWN, stops=["not there", stop]))
        assert written.text == whole.text.partition(stop)[0]
        assert written.ended == "stop"
        assert written.tokens == whole.tokens[: len(written.tokens)]


def test_a_text_is_told_as_it_grows_and_nothing_that_a_stop_takes_back(model: Any, tokenizer: Any) -> None:
    (whole,) = first(write(model, tokenizer, ["天地"], DRAWN))
    for stop in (whole.text[2:5], whole.text[-2:], "not there"):
        pieces: dict[int, list[str]] = defaultdict(list)
        options = {"stops": [stop], "watch": lambda number, piece, pieces=pieces: pieces[number].append(piece)}
        texts = write(model, tokenizer, ["天地", "The"], DRAWN, sequences=2, **options)
        assert ["".join(pieces[number]) for number in range(4)] == [text.text for pair in texts for text in pair]
        assert len(pieces[0]) >= len(texts[0][0].tokens), "at every step"


def test_a_text_ends_where_the_model_ends_it(models: dict[str, Any], tokenizer: Any) -> None:
    many = Sampling(max_new_tokens=400, temperature=1.5, top_k=0, top_p=1)
    ended = [text for texts in write(models["lstm"], tokenizer, PROMPTS, many, sequences=4) for text in texts if text.ended == "end"]
    assert ended
    assert all(len(text.tokens) < 400 and END not in text.tokens for text in ended)


def test_tokens_are_taken_as_a_prompt_as_they_are(models: dict[str, Any], tokenizer: Any) -> None:
    as_text, as_tokens = write(models["gpt2"], tokenizer, ["The old", [END, *tokenizer("The old")["input_ids"]]], DRAWN)
    assert as_text == as_tokens


def test_a_model_in_training_writes_without_chance_and_goes_on_training(models: dict[str, Any], tokenizer: Any) -> None:
    model, expected = models["gpt2"], write(models["gpt2"], tokenizer, ["The"], GREEDY)
    model.train()
    assert write(model, tokenizer, ["The"], GREEDY) == expected
    assert model.training
    model.eval()


def test_nothing_is_printed_and_nothing_warned_of(models: dict[str, Any], tokenizer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    write(models["llama"], tokenizer, ["The fox " * 100, ""], GREEDY)
    assert capfd.readouterr() == ("", "")


def test_a_model_whose_logits_are_no_numbers_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    model = opened("gpt2", tmp_path)
    with torch.no_grad():
        model.transformer.ln_f.bias.fill_(float("nan"))
    for sampling in (GREEDY, DRAWN):
        with pytest.raises(RunError, match="not finite"):
            write(model, tokenizer, ["The"], sampling)


@pytest.mark.parametrize(
    ("options", "prompt", "named"),
    [({"sequences": 0}, "The", "sequences is 0"), ({"stops": [""]}, "The", "a stop is empty"), ({}, "\udcff", "is no Unicode text")],
)
def test_what_cannot_be_written_is_refused(
    models: dict[str, Any], tokenizer: Any, options: dict[str, Any], prompt: str, named: str
) -> None:
    with pytest.raises(RequestError, match=named):
        write(models["gpt2"], tokenizer, [prompt], GREEDY, **options)
