"""The report shows every count and every recipe of a graph, from its manifests alone, and trusts no text."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.economy import cost_in_words
from pipeline.report.page import render_report, write_report
from pipeline.storage import LocalStore, Store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Step
from tests.report.stand_ins import (
    ECONOMY,
    Clean,
    Deduplicate,
    Ingest,
    Pretrain,
    Sample,
    Tokenize,
    TrainTokenizer,
    corpus_graph,
    whole_graph,
)


class Words(HTMLParser):
    """What a page shows, and the elements that it is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.elements, self._open = "", list[tuple[str, dict[str, str | None]]](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.words += "" if tag == "wbr" else " "
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open not in ("style", "script"):
            self.words += data


def shown(page: str) -> str:
    return " ".join(Words(page).words.split())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    store = LocalStore(str(tmp_path_factory.mktemp("whole")))
    run(whole_graph(), store, InlineExecutor())
    return render_report(whole_graph(), store)


def test_the_same_manifests_give_the_same_page(store: Store) -> None:
    run([corpus_graph()], store, InlineExecutor())
    assert render_report([corpus_graph()], store) == render_report([corpus_graph()], store)


def test_it_is_written_below_the_root_over_an_older_one(store: Store) -> None:
    empty = Path(write_report([corpus_graph()], store, "reports/corpus.html")).read_text()
    run([corpus_graph()], store, InlineExecutor())
    place = Path(write_report([corpus_graph()], store, "reports/corpus.html"))
    assert place == Path(store.url, "reports/corpus.html")
    assert place.read_text() == render_report([corpus_graph()], store) != empty


def test_the_headline_says_what_how_good_and_from_what(whole: str) -> None:
    words = shown(whole)
    for fact in (
        "Llama with 11.2\u00a0M parameters",
        "Validation loss 3.171",
        "Perplexity 23.84",
        "Bits per byte 1.201",
        "zstd -19: 1.987",
        "39.5\u00a0% fewer bits than zstd\u00a0-19 needs",
        "Tokens trained on 12.3 M",
        "Documents 1,720 of 1,912 read",
    ):
        assert fact.replace("\u00a0", " ") in words.replace("\u00a0", " ")


def test_every_document_is_accounted_for(whole: str) -> None:
    words = shown(whole)
    assert "1,912 read = 1,720 kept + 192 dropped" in words
    for reason, number in {
        "malformed-json": 2,
        "word-count/too-short": 84,
        "repetition/duplicate-lines": 31,
        "language/not-en-or-zh": 15,
        "empty": 1,
        "near-duplicate": 37,
        "exact-duplicate": 22,
    }.items():
        assert f" {reason} − {number} " in words


def test_stages_of_many_sources_read_as_one_way_down(store: Store) -> None:
    many = tuple(Clean(documents=Ingest(names=(f"source-{number}",))) for number in range(3))
    unique = Deduplicate(documents=many)
    run([unique], store, InlineExecutor())
    words = shown(render_report([unique], store))
    assert "606 read = 148 kept + 458 dropped" in words
    assert "Ingest 3 steps" in words
    assert "Clean 3 steps" in words


def test_every_source_has_its_counts(whole: str) -> None:
    assert re.search(r"新闻/中文网页\s*402\s*402\s*4\.57 M\s*1\.13 M\s*23\.4 %", Words(whole).words)


def test_every_step_has_its_address_state_recipe_and_inputs(whole: str) -> None:
    words = shown(whole)
    for target in whole_graph():
        for step in (target, *target.inputs.values()):
            assert step.address in words
            assert " ".join(json.dumps(step.recipe, indent=2, ensure_ascii=False).split()) in words
            assert all(needed.address in words for needed in step.inputs.values())
    assert words.count("built in ") == 8


def test_curves_have_axes_and_a_last_value(whole: str) -> None:
    assert re.search(r"Loss\s*training\s*validation\s*step 1,500 · training 3\.\d+ · validation 3\.\d+", shown(whole))
    for curve in ("Loss", "Tokens a second", "Learning rate", "Gradient norm"):
        assert f">{curve}</span>" in whole
    assert whole.count('class="x-label"') == 4


def test_what_a_training_cost_is_told_with_the_runs_that_it_began_with(whole: str) -> None:
    for words in ("0.6 s (0.5 %)", "12 s (10.0 %)", "2: 137 steps done again, 31 s lost", "12.3 GB", "6 min"):
        assert f"<dd>{words}</dd>" in whole
    assert "<dt>Workers&#x27; time of all 2 runs that led to it</dt><dd>90 min, 0.2 kWh, 3 EUR</dd>" in whole


def test_a_cost_of_a_single_run_is_one_line_without_others() -> None:
    cost = {"device": "cpu", "worker_hours": 0.5, "price": 0.02, "currency": "EUR", "lineage": {"runs": ["pretrain/1"]}}
    assert cost_in_words(cost) == "30 min of a worker on cpu, 0.02 EUR"
    assert cost_in_words(ECONOMY) == "6 min of a worker on NVIDIA H100 80GB HBM3; with the runs that it began with, 90 min, 0.2 kWh, 3 EUR"


def test_samples_keep_their_lines_and_any_script(whole: str) -> None:
    assert "<b>def </b>merge(left, right):\n    &quot;&quot;&quot;Merge two sorted lists." in whole
    assert "<b>从前</b>有一座山" in whole


def test_the_environment_is_told_once_for_all(whole: str) -> None:
    words = shown(whole)
    assert re.search(r"Python\s*3\.\d+\.\d+", words)
    assert re.search(r"pyarrow\s*\d+\.\d+", words)


def test_a_corpus_alone_has_a_page_of_its_own(store: Store) -> None:
    run([corpus_graph()], store, InlineExecutor())
    words = shown(render_report([corpus_graph()], store))
    assert "A corpus of 1,720 documents" in words
    assert "4.81 M tokens to train on and 52,811 held out" in words
    for section in ("training", "evaluation", "samples"):
        assert f'id="{section}"' not in render_report([corpus_graph()], store)


def test_what_was_not_built_is_shown_as_not_built(store: Store) -> None:
    run([corpus_graph()], store, InlineExecutor())
    words = shown(render_report(whole_graph(), store))
    assert words.count("not built") == 2 * 3 + 1
    assert "not built: pretrain, evaluate, sample" in words


def test_a_graph_of_which_nothing_was_built_has_a_page(store: Store) -> None:
    assert "not built" in shown(render_report(whole_graph(), store))


@dataclass(frozen=True, kw_only=True)
class Odd(Step[Any]):
    """Leaves what facts it is told, and metrics."""

    facts: str
    metrics: str = ""

    def run(self, context: Context) -> Mapping[str, Any]:
        list(context.map(self.write, [self.metrics]))
        return dict(json.loads(self.facts))

    def write(self, unit: Any, metrics: str) -> Mapping[str, Any]:
        unit.write("metrics", metrics.encode(), ".jsonl")
        return {}


@pytest.mark.parametrize(
    ("facts", "metrics"),
    [
        ("{}", ""),
        ('{"read": 0, "kept": 0, "dropped": {}}', ""),
        (
            '{"loss": {"first": NaN, "last": NaN}, "tokens_per_second": Infinity}',
            '{"step": 1, "loss": NaN}\n{"step": 2, "loss": Infinity}\n',
        ),
        ('{"loss": {}, "steps": 1}', '{"step": 1, "loss": 2.0}\n'),
        ('{"loss": {}, "steps": 2}', '{"step": 1, "loss": 0.0}\n{"step": 2, "loss": 0.0, "extra": "words"}\n\n'),
        ('{"tokens": {}}', ""),
        ('{"loss": {}, "economy": {}}', '{"step": 1, "loss": 2.0, "economy": {"price": 1.0}}\n'),
        ('{"loss": {}, "economy": {"price": NaN, "joules": Infinity, "lineage": {"runs": [1, 2]}}}', ""),
        ('{"scores": {"perplexity": {"bits_per_byte": 0.0, "zstd_bits_per_byte": 0.0}, "empty": {}}}', ""),
        ('{"samples": [{}, {"prompt": "", "text": "\\ud800"}]}', ""),
    ],
)
def test_odd_facts_do_not_break_the_page(facts: str, metrics: str, store: Store) -> None:
    step = Odd(facts=facts, metrics=metrics)
    run([step], store, InlineExecutor())
    assert render_report([step], store).encode("utf-8").endswith(b"</html>\n")


def test_a_model_that_zstd_beats_says_so(store: Store) -> None:
    step = Odd(facts='{"scores": {"perplexity": {"bits_per_byte": 4.0, "zstd_bits_per_byte": 1.25}}}')
    run([step], store, InlineExecutor())
    assert "it takes 4 bits per byte, 3.20 times what zstd\u00a0-19 needs" in render_report([step], store)


HOSTILE = ("<script>window.owned = 1</script>", '"><img src=x onerror="window.owned=1">', "</style></title></pre><b>", "${alert(1)}'`")


def hostile_graph() -> tuple[Step[Any], ...]:
    """Sources, prompts and recipes that try to be markup."""
    unique = Deduplicate(documents=(Clean(documents=Ingest(names=HOSTILE)),))
    tokens = Tokenize(documents=unique, tokenizer=TrainTokenizer(documents=unique))
    return (Sample(checkpoint=replace(Pretrain(tokens=tokens), steps=3), prompts=HOSTILE),)


@pytest.fixture
def hostile(store: Store) -> str:
    run(hostile_graph(), store, InlineExecutor())
    return render_report(hostile_graph(), store)


def test_text_from_data_is_only_text(hostile: str) -> None:
    page = Words(hostile)
    for text in HOSTILE:
        assert page.words.count(text) >= 2, "as a source and as a prompt"
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_the_page_refers_to_nothing_outside_it(whole: str) -> None:
    links = [
        attributes.get(name) or "" for _, attributes in Words(whole).elements for name in ("href", "src", "action") if name in attributes
    ]
    assert links
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "url(" not in whole
    assert "@import" not in whole


def test_links_within_the_page_lead_somewhere(whole: str) -> None:
    elements = Words(whole).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in elements if tag == "a"}
    assert links <= set(ids)


def test_a_report_needs_no_model_library() -> None:
    code = "import sys, pipeline.report.page; print(sorted({'torch', 'ray', 'pyarrow', 'numpy', 'transformers'} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
