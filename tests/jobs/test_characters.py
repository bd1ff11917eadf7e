"""A model of the characters of one text, by the command that a user runs."""

from pathlib import Path

import pytest

from tests.jobs.running import Finished, job

TEXT = "\n".join(
    f"{name}:\nI have seen {count} {thing}, and {name} saw {count + 1}.\n"
    for name in ("Ann", "Bea")
    for count in range(60)
    for thing in ("owls", "elks")
)
SMALL = (
    "--model.depth",
    "1",
    "--model.dim",
    "32",
    "--token-budget",
    str(40 * 12 * 64),
    "--sampling.max-new-tokens",
    "20",
    "--schedule.peak",
    "1e-2",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("characters")
    (folder / "play.txt").write_text(TEXT)
    return job(
        "pretrain", "characters", "--sources", "play.txt", "--cluster", "none", "--compute.engine", "plain", *SMALL, "--json", folder=folder
    )


def test_the_characters_of_one_text_are_learned_and_its_end_is_what_the_model_is_judged_by(trained: Finished) -> None:
    result = trained.result
    cut = int(len(TEXT) * 0.9)
    assert result["tokens"] == {"train": cut, "validation": len(TEXT) - cut}
    assert result["validation"]["tokens"] == len(TEXT) - cut + 1  # with the end
    assert result["loss"]["first"] > 5
    assert result["validation"]["loss"] < 2.5


def test_the_text_is_one_document_that_is_kept(trained: Finished) -> None:
    documents = trained.result["documents"]
    assert (documents["read"], documents["kept"]) == (1, 1)


def test_transformers_opens_the_model_with_its_tokenizer_of_characters(trained: Finished) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(trained.result["checkpoint"])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Bea saw 7 ", return_tensors="pt").input_ids
    assert ids.shape == (1, 10)
    assert model(ids).logits.shape == (1, 10, len(tokenizer))
