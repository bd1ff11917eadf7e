"""Why a model said this: the scores add up, and are those of the method; answers are what the model itself gives."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers knows our LSTM by this import
from pipeline.errors import RequestError
from pipeline.inference.explaining import explain_answers
from pipeline.inference.explanation import Asking, Explanation
from pipeline.inference.importance import importance
from tests.evaluate.conftest import Trained
from tests.inference.families import FAMILIES, Families

PROMPTS = {"bert": "The old <|mask|> sang over the <|mask|>.", "t5": "The old <extra_id_0> the river"}
DECODERS = [family for family in FAMILIES if family not in PROMPTS]
SMOOTH = [family for family in FAMILIES if family != "mixture"]
"""Where a mixture's experts take turns on the path the log-probability jumps, which no slope accounts for: the gap says by how much."""
LABELS = {0: "calm", 1: "loud", 2: "odd"}


def explained(families: Families, family: str, **fields: Any) -> Explanation:
    asked = {"prompt": PROMPTS.get(family, "The old fox"), "new_tokens": 4, **fields}
    return explain_answers(families.folder(family), Asking(**asked))


@pytest.mark.parametrize("family", SMOOTH)
def test_scores_add_up_to_the_change_of_the_log_probability(families: Families, family: str) -> None:
    explanation = explained(families, family)
    assert explanation.answers
    for answer in explanation.answers:
        assert abs(answer.importance.gap) < 0.01
        assert math.exp(answer.importance.reached) == pytest.approx(answer.chosen.probability, rel=1e-4)
        assert answer.importance.baseline != answer.importance.reached


def test_more_points_close_the_completeness_gap(families: Families) -> None:
    few, many = (explained(families, "llama", points=points).answers[0].importance for points in (2, 128))
    assert abs(many.gap) < 1e-3 < abs(few.gap)


def test_of_a_linear_answer_the_scores_are_weights_times_inputs_whatever_the_number_of_points() -> None:
    torch.manual_seed(0)
    embedding, weights = torch.nn.Embedding(7, 3), torch.randn(4, 3)
    tokens = [1, 5, 2, 1]
    found = importance(embedding, tokens, [False, False, True, False], lambda ids: (embedding(ids) * weights).sum(dim=(1, 2)), 1)
    ways = embedding.weight[tokens] - embedding.weight.mean(dim=0)
    expected = (weights * ways).sum(dim=1) * torch.tensor([1, 1, 0, 1])
    assert found.scores == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("family", DECODERS)
def test_what_a_decoder_wrote_is_what_it_writes_at_temperature_zero(families: Families, family: str) -> None:
    folder = families.folder(family)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = torch.tensor([[model.config.eos_token_id, *tokenizer("The old fox")["input_ids"]]])
    written = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False)[0, prompt.shape[1] :]
    explanation = explained(families, family)
    assert "".join(answer.chosen.piece.text for answer in explanation.answers) == tokenizer.decode(written, skip_special_tokens=True)
    assert all(answer.alternatives[0] == answer.chosen for answer in explanation.answers)
    assert [len(answer.importance.scores) for answer in explanation.answers] == [len(prompt[0]) + number for number in range(4)]


def test_a_target_is_explained_instead_with_the_probability_that_the_model_gives_it(families: Families) -> None:
    folder = families.folder("gpt2")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    target, begin = tokenizer(" 狐狸 sang")["input_ids"], model.config.eos_token_id
    prompt = [begin, *tokenizer("The old fox")["input_ids"]]
    with torch.no_grad():
        chances = model(torch.tensor([[*prompt, *target]])).logits[0].log_softmax(dim=-1)
    expected = [float(chances[len(prompt) + number - 1, token]) for number, token in enumerate(target)]
    explanation = explained(families, "gpt2", target=" 狐狸 sang")
    assert [answer.importance.reached for answer in explanation.answers] == pytest.approx(expected, abs=1e-4)
    assert "".join(answer.chosen.piece.text for answer in explanation.answers if answer.chosen.piece.part == 1) == " 狐狸 sang"


def test_the_attention_is_that_of_every_layer_and_head_over_all_that_was_read(families: Families) -> None:
    explanation = explained(families, "llama")
    assert explanation.attention is not None
    count = len(explanation.read) - 1  # what was written last was not read
    assert explanation.attention.weights.shape == (2, 2, count, count)
    assert explanation.attention.weights.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    assert [answer.row for answer in explanation.answers] == list(range(explanation.given - 1, count))
    assert explained(families, "lstm").attention is None


def test_each_mask_of_an_encoder_is_an_answer_of_its_own(families: Families) -> None:
    explanation = explained(families, "bert")
    places = [place for place, piece in enumerate(explanation.read) if piece.text == "<|mask|>"]
    assert [answer.row for answer in explanation.answers] == places
    assert all(answer.importance.scores[place] == 0 for answer in explanation.answers for place in places), (
        "masks are the same in the baseline"
    )
    told = explained(families, "bert", target="ab")
    assert [answer.chosen.piece.text for answer in told.answers] == ["a", "b"]


@pytest.fixture(scope="module", params=["bert", "llama", "lstm", "t5"])
def classifier(request: pytest.FixtureRequest, families: Families, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model that gives labels."""
    folder = tmp_path_factory.mktemp("classifier")
    source = families.folder(request.param)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS), id2label=LABELS)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def test_a_classifiers_answer_is_its_label_or_the_one_that_is_named(classifier: Path) -> None:
    likeliest = explain_answers(classifier, Asking(prompt="The old fox sang.")).answers[0]
    assert {choice.piece.text for choice in likeliest.alternatives} == set(LABELS.values())
    assert sum(choice.probability for choice in likeliest.alternatives) == pytest.approx(1)
    for label in LABELS.values():
        (answer,) = explain_answers(classifier, Asking(prompt="The old fox sang.", target=label)).answers
        assert answer.chosen.piece.text == label
        assert abs(answer.importance.gap) < 0.01
    with pytest.raises(RequestError, match=r"'angry', and the labels .* are calm, loud, odd"):
        explain_answers(classifier, Asking(prompt="The old fox sang.", target="angry"))


def test_asking_again_gives_the_same_numbers_with_any_number_of_threads(families: Families) -> None:
    once = explained(families, "llama")
    torch.set_num_threads(3)
    try:
        again = explained(families, "llama")
    finally:
        torch.set_num_threads(1)
    assert once.answers == again.answers


def test_a_text_that_the_context_does_not_hold_is_refused(trained: Trained) -> None:
    with pytest.raises(RequestError, match=r"\d+ tokens, .* at most 32 are explained: shorten"):
        explain_answers(trained.folder, Asking(prompt="The old fox " * 40))
    with pytest.raises(RequestError, match=r"\d+ tokens, .* at most 32 are explained: shorten"):
        explain_answers(trained.folder, Asking(prompt="The old fox", target="x" * 40))


def test_a_decoder_writes_up_to_the_end_of_its_context(trained: Trained) -> None:
    explanation = explain_answers(trained.folder, Asking(prompt="The old fox", new_tokens=60, points=2))
    assert len(explanation.answers[-1].importance.scores) == 32


@pytest.mark.parametrize("kind", ["LlamaForTokenClassification", "LlamaModel"])
def test_a_model_whose_answers_are_of_another_kind_is_refused_by_its_class(trained: Trained, tmp_path: Path, kind: str) -> None:
    shutil.copytree(trained.folder, folder := tmp_path / "other")
    config = json.loads((folder / "config.json").read_text()) | {"architectures": [kind]}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RequestError, match=f"holds a {kind}, whose answers are not explained"):
        explain_answers(folder, Asking(prompt="The"))


def test_an_encoder_needs_masks_and_as_many_tokens_as_it_has_masks(families: Families) -> None:
    with pytest.raises(RequestError, match=r"'The old fox', .* put <\|mask\|> where"):
        explained(families, "bert", prompt="The old fox")
    with pytest.raises(RequestError, match="target has 3 tokens, and --prompt 2 masks"):
        explained(families, "bert", target="abc")


@pytest.mark.parametrize(("field", "value"), [("new_tokens", 0), ("new_tokens", 65), ("points", 0), ("target", ""), ("target", "\udcff")])
def test_a_wrong_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"{field} is"):
        Asking(**{field: value})
