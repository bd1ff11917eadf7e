"""HellaSwag's records as questions."""

from pathlib import Path

import pytest

from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.hellaswag import Hellaswag
from tests.evaluate.files import written

ENDINGS = ["rides [step] a bike.", "falls.  Then sleeps."]


def example(folder: Path) -> Hellaswag:
    return Hellaswag(file=written(folder, [{"activity_label": "Sport", "ctx": "A man stands. he", "endings": ENDINGS, "label": "1"}]))


@pytest.mark.parametrize(
    ("columns", "question"),
    [
        ({"ctx_a": "A man is on a Roof.", "ctx_b": "he"}, "Roofing: A man is on a Roof. He"),
        ({"ctx_a": "[header] How to [title] Wait [step] Sit.", "ctx_b": ""}, "Roofing: How to. Wait Sit."),
        ({"ctx": "A man is on a Roof. the Man"}, "Roofing: A man is on a Roof. The man"),
        ({"ctx": "A man is on a Roof. He waits."}, "Roofing: A man is on a Roof. He waits."),
    ],
)
def test_a_text_is_laid_out_as_lm_eval_does(tmp_path: Path, columns: dict[str, str], question: str) -> None:
    task = Hellaswag(file=written(tmp_path, [{"activity_label": "Roofing", **columns, "endings": ENDINGS, "label": 0}]), unconditional=None)
    (asked,) = task.examples(NoDocuments())
    assert {pair.given for pair in asked.pairs} == {question}
    assert [pair.text for pair in asked.pairs] == [" rides a bike.", " falls. Then sleeps."]
