"""Raw text to an evaluated model that fills gaps, by the commands that a user runs, with the recipes that are there for it."""

from pathlib import Path

import pytest

from tests.jobs.running import job

ALONE = ("--cluster", "none", "--json")
SMALL = ("--compute.engine", "plain", "--compute.workers", "1", "--vocab-size", "320", "--token-budget", "20480", "--validation", "0.3")


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "unit"), [("bert", "masked_token"), ("t5", "target_token")])
def test_a_recipe_ends_in_a_model_a_score_of_its_own_and_a_report(recipe: str, unit: str, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for place in range(12):
        lines = (f"Note {place}: the {k}th {'fox' if k % 3 else '狐狸'} saw {place * k % 97} hills and {k * k} rivers." for k in range(90))
        (tmp_path / "notes" / f"{place}.txt").write_text("\n".join(lines))
    made = job("pretrain", recipe, *SMALL, "--sources", "notes", "--filters", "--similarity", "None", *ALONE, folder=tmp_path).result
    assert made["validation"].keys() == {"loss", "loss_low", "loss_high", f"bits_per_{unit}", f"{unit}s", "n"}
    assert all(" → " in sample["text"] for sample in made["samples"])
    assert f"bits per {unit.replace('_', ' ')}" in Path(made["report"]).read_text()
    scores = job("evaluate", *ALONE, folder=tmp_path).result["scores"]
    assert scores == {"restoration": made["validation"]}
    documents = job("trace", "--step", "3", "--json", folder=tmp_path).result["documents"]
    seen = job("trace", "--document", documents[0], "--json", folder=tmp_path).result["checkpoints"]
    assert 3 in seen[made["artifacts"]["pretrain"]]
    again = job("pretrain", recipe, *SMALL, "--sources", "notes", "--filters", "--similarity", "None", *ALONE, folder=tmp_path)
    assert again.result["built"] == []
    refused = job("generate", "--prompt", "Note", folder=tmp_path)
    assert refused.code == 2
    assert "does not continue texts" in refused.error
