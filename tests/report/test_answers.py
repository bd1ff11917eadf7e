"""Answers that were kept are shown on the page of what kept them."""

from pathlib import Path

from pipeline.models.llama import Llama
from pipeline.report.page import render_report
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.finetune.conftest import Family, family, labelled, tokenizer
from tests.finetune.recipes import finetune

__all__ = ["family", "labelled", "tokenizer"]


def test_the_page_of_a_fine_tuned_model_says_what_it_scores_and_shows_answers(family: Family, labelled: Path, tmp_path: Path) -> None:
    step, store = finetune(family(Llama(dim=32, depth=2, heads=2)), labelled, epochs=1), open_store(str(tmp_path))
    outcome = run([step], store, InlineExecutor())
    page = render_report((step,), store)
    assert "Sequence classification by a model with" in page
    scores = outcome.manifests[step.address].facts["validation"]
    assert f"{scores['accuracy']:.4g}" in page
    assert "Accuracy, validation" in page
    assert "probabilities: cold: " in page
    assert "text: The small" in page
    assert render_report((step,), store) == page
