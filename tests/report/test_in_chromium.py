"""The report in a real browser: it runs cleanly, asks nobody for anything, and fits every screen."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.filters.length import WordCount
from pipeline.report.page import render_report
from pipeline.storage import LocalStore
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Step
from tests.report.browser import Browser, chromium
from tests.report.stand_ins import corpus_graph, whole_graph
from tests.report.test_look import hostile_folder, look_at, page_of, recipe
from tests.report.test_report import HOSTILE, hostile_graph


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not on PATH (Debian: apt-get install chromium)")
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


def page(folder: Path, targets: tuple[Step[object], ...]) -> Path:
    store = LocalStore(str(folder / "root"))
    run(targets, store, InlineExecutor())
    place = folder / "report.html"
    place.write_text(render_report(targets, store), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("whole"), whole_graph())


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_complains_of_nothing_asks_for_nothing_and_fits(browser: Browser, whole: Path, width: int, dark: bool) -> None:
    browser.open(whole, width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [whole.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate("[...document.querySelectorAll('.scrolling, .graph-frame')].every(box => box.scrollWidth <= box.clientWidth)")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == ("rgb(21, 23, 26)" if dark else "rgb(251, 250, 248)")


def test_a_corpus_without_a_model_fits_too(browser: Browser, tmp_path: Path) -> None:
    names = ("https://example.org/" + "a-long-path/" * 20, "a" * 300, *(f"source-{number}" for number in range(40)))
    place = page(tmp_path, (corpus_graph(*names),))
    for width in (1280, 390):
        browser.open(place, width=width)
        assert browser.complaints() == []
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_text_that_tries_to_run_does_not(browser: Browser, tmp_path: Path) -> None:
    place = page(tmp_path, hostile_graph())
    browser.open(place)
    assert browser.evaluate("typeof window.owned") == "undefined"
    assert browser.complaints() == []
    assert browser.requests() == [place.as_uri()]
    assert browser.evaluate("document.querySelector('blockquote b').textContent") == HOSTILE[0]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a look at documents that try to run, in folders with long names."""
    folder = tmp_path_factory.mktemp("looked")
    store = LocalStore(str(folder / "root"))
    look = look_at(recipe(hostile_folder(folder / ("long-name-" * 20)), filters=(WordCount(least=55, most=None),)), store)
    place = folder / "report.html"
    place.write_text(page_of(look, store), encoding="utf-8")
    return place


def test_documents_that_try_to_run_do_not(browser: Browser, looked: Path) -> None:
    browser.open(looked)
    assert browser.evaluate("typeof window.owned") == "undefined"
    assert browser.complaints() == []
    assert browser.requests() == [looked.as_uri()]
    assert HOSTILE[0] in browser.evaluate("document.querySelector('#duplicates').textContent")
    assert HOSTILE[0] in browser.evaluate("document.querySelector('#documents').textContent")


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_a_look_fits_every_screen(browser: Browser, looked: Path, width: int) -> None:
    browser.open(looked, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate("[...document.querySelectorAll('.scrolling')].every(box => box.scrollWidth <= box.clientWidth)")


def test_what_differs_is_seen_in_the_dark_too(browser: Browser, looked: Path) -> None:
    colours = (
        "[...new Set([...document.querySelectorAll('.difference del, .difference ins')].map(e => getComputedStyle(e).backgroundColor))]"
    )
    browser.open(looked)
    light = browser.evaluate(colours)
    browser.open(looked, dark=True)
    assert len({*light, *browser.evaluate(colours)}) == 4


def test_what_slipped_through_the_escaping_could_not_run_either(browser: Browser, whole: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.html"
    attack = '<script>window.owned = 1</script><img src="http://127.0.0.1:9/x" onerror="window.owned = 1"><h1>'
    forged.write_text(whole.read_text("utf-8").replace("<h1>", attack), encoding="utf-8")
    browser.open(forged)
    assert browser.evaluate("typeof window.owned") == "undefined"
    assert len(browser.complaints()) >= 2, "the browser says what it refused"


def test_everything_is_there_without_scripts(browser: Browser, whole: Path) -> None:
    browser.open(whole)
    with_scripts = browser.evaluate("document.body.innerText")
    browser.open(whole, scripts=False)
    text = browser.call("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)["result"]["value"]
    assert text == with_scripts
    assert "step 1,500 · training" in text


def test_a_chart_says_its_values_under_the_pointer(browser: Browser, whole: Path) -> None:
    browser.open(whole)
    at = browser.evaluate(
        "(() => { const plot = document.querySelector('.plot'); plot.scrollIntoView({behavior: 'instant'}); "
        "const box = plot.getBoundingClientRect(); return [box.left + box.width / 2, box.top + 20] })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
    assert browser.evaluate("document.querySelector('.readout').textContent").startswith("step 7")
    assert browser.evaluate("document.querySelector('.hair').hidden") is False


def test_a_step_in_the_graph_leads_to_its_recipe(browser: Browser, whole: Path) -> None:
    browser.open(whole)
    browser.evaluate("document.querySelector('.graph a').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
    assert browser.evaluate("location.hash").startswith("#step-ingest-")
    assert browser.evaluate("new Promise(done => setTimeout(() => done(0), 0)) && document.getElementById(location.hash.slice(1)) !== null")


def test_charts_are_drawn_inside_their_axes(browser: Browser, whole: Path) -> None:
    browser.open(whole)
    outside = browser.evaluate(
        "[...document.querySelectorAll('.plot path')].filter(path => { const box = path.getBBox(); "
        "return box.x < -1 || box.y < -1 || box.x + box.width > 1001 || box.y + box.height > 1001 }).length"
    )
    assert outside == 0
    assert browser.evaluate("document.querySelectorAll('.plot path.validation.dot').length") == 10


def test_it_prints(browser: Browser, whole: Path, tmp_path: Path) -> None:
    browser.open(whole)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
