"""Filters on the command line are the same objects as those in a recipe, whatever is said of them."""

import subprocess
import sys
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.command import load_recipe, parse, recipe_names
from jobs.filters import filter_from, filters_from, filters_help, known_filters, settings_of, word_for
from jobs.recipe import CorpusRecipe
from pipeline.errors import RequestError
from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.base import Filter
from pipeline.filters.c4 import C4
from pipeline.filters.gopher import GopherQuality
from pipeline.filters.language import Language
from pipeline.filters.length import WordCount
from pipeline.filters.personal_data import PersonalData
from pipeline.filters.repetition import Repetition
from pipeline.filters.url_blocklist import UrlBlocklist
from pipeline.filters.usage_signals import UsageSignals
from tests.contracts.test_filters import FILTERS
from tests.jobs.running import PROJECT, environment, job

SAME: list[tuple[str, Filter]] = [
    ("c4", C4()),
    ("gopher-quality", GopherQuality()),
    ("word-count:least=9", WordCount(least=9)),
    ("word-count:least=200000:most=300000", WordCount(least=200_000, most=300_000)),
    ("word-count:most=none", WordCount(most=None)),
    ("language:keep=en,zh-Hans:least=0.6", Language(keep=("en", "zh-Hans"), least=0.6)),
    ("c4:bad-words=two words,赌博", C4(bad_words=("two words", "赌博"))),
    ("c4:least_words=3", C4(least_words=3)),
    ("repetition:top-grams=0.3,0.3,0.2", Repetition(top_grams=(0.3, 0.3, 0.2))),
    ("personal-data:action=drop", PersonalData(action="drop")),
    ("usage-signals:images=yes", UsageSignals(images=True)),
    (
        "gopher-quality:words.least=20:letters.characters=0.1:stop-words=0",
        GopherQuality(words=WordCount(least=20), letters=Alphanumeric(characters=0.1), stop_words=0),
    ),
]


@pytest.mark.parametrize(("word", "rule"), SAME, ids=[word for word, _ in SAME])
def test_a_word_is_the_filter_that_a_recipe_would_name(word: str, rule: Filter) -> None:
    assert filter_from(word) == rule
    assert filter_from(word_for(rule)) == rule


def test_every_filter_that_there_is_can_be_named() -> None:
    assert sorted(known_filters()) == sorted(kind.name() for kind in FILTERS)
    for kind in FILTERS:
        assert all(f" {name}=" in filters_help(100) for name in (setting.replace("_", "-") for setting in settings_of(kind)))
        if kind is not UrlBlocklist:
            assert filter_from(kind.name()) == kind()


@given(
    least=st.integers(0, 1000), most=st.none() | st.integers(1000, 10**6), share=st.floats(0, 1), grams=st.tuples(*[st.floats(0, 1)] * 3)
)
def test_a_filter_is_shown_as_the_word_that_it_can_be_made_of(
    least: int, most: int | None, share: float, grams: tuple[float, float, float]
) -> None:
    rules: list[Filter] = [
        WordCount(least=least, most=most),
        Repetition(duplicate_lines=share, top_grams=grams),
        GopherQuality(words=WordCount(least=least, most=most), letters=Alphanumeric(alphabetic_words=share)),
    ]
    assert filters_from([word_for(rule) for rule in rules]) == tuple(rules)


@pytest.mark.parametrize("name", recipe_names(CorpusRecipe))
def test_the_filters_of_every_preset_can_be_said_on_a_command_line(name: str) -> None:
    recipe = load_recipe(name, CorpusRecipe)
    words = [word_for(rule) for rule in recipe.filters]
    assert parse("corpus", CorpusRecipe, [name, "--filters", *words], "tiny").recipe == recipe
    assert parse("corpus", CorpusRecipe, [name], "tiny").recipe == recipe


def test_a_corpus_by_the_command_line_has_the_address_of_the_one_in_python(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("some words")
    sources = (str(tmp_path / "one.txt"),)
    said = parse("corpus", CorpusRecipe, ["--sources", *sources, "--filters", "gopher-quality:stop-words=0", "c4"]).recipe
    written = CorpusRecipe(sources=sources, filters=(GopherQuality(stop_words=0), C4()))
    assert said == written
    assert said.tokens.address == written.tokens.address
    assert said.tokens.address != CorpusRecipe(sources=sources, filters=(GopherQuality(), C4())).tokens.address


@pytest.mark.parametrize("words", [[], ["none"], ["None"]])
def test_no_filters_are_asked_for_by_saying_none(words: list[str]) -> None:
    assert parse("corpus", CorpusRecipe, ["tiny", "--filters", *words, "--vocab-size", "300"], "tiny").recipe.filters == ()


def test_a_blocklist_is_named_by_its_file(tmp_path: Path) -> None:
    place = tmp_path / "a:list, of=names.txt"
    place.write_text("example.com\n")
    assert filter_from(f"url-blocklist:location={place}") == UrlBlocklist.at(str(place))
    assert word_for(UrlBlocklist.at(str(place))) == f"url-blocklist:location={place}"


WRONG = {
    "nonsense": ["'nonsense'", "gopher-quality", "word-count", "none"],
    "WordCount": ["'WordCount'", "word-count"],
    "word-count:leest=3": ["word-count", "'leest'", "least, most"],
    "word-count:least=few": ["word-count:least", "'few'", "a whole number"],
    "word-count:most=few": ["'few'", "a whole number, or none"],
    "word-count:least=1:least=2": ["word-count:least", "twice"],
    "word-count:least=9:most=5": ["WordCount.most is 5"],
    "symbols:hashes=many": ["'many'", "a number"],
    "symbols:hashes=nan": ["Symbols.hashes"],
    "repetition:top-grams=0.1,0.2": ["'0.1,0.2'", "3 times a number"],
    "personal-data:action=hide": ["'hide'", "mask or drop"],
    "usage-signals:images=maybe": ["'maybe'", "true or false"],
    "gopher-quality:words=3": ["'words'", "words.least"],
    "gopher-quality:words.least.x=3": ["'words.least.x'", "words.least"],
    "language:keep=tlh": ["'tlh'", "'en'"],
    "language[keep=en]": ["'language[keep=en]'", "NAME:SETTING=VALUE"],
    "url-blocklist": ["url-blocklist:location=…"],
    "url-blocklist:location=no/such/list": ["no/such/list"],
    "word-count:": ["'word-count:'"],
    ":": ["':'"],
    "": ["''"],
}


@pytest.mark.parametrize("word", WRONG)
def test_what_is_no_filter_is_refused_with_what_there_is(word: str) -> None:
    with pytest.raises(RequestError) as refused:
        filter_from(word)
    assert all(part in str(refused.value) for part in WRONG[word])
    assert "\n" not in str(refused.value)


def said(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(said, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", [name for name, kind in known_filters().items() if kind is not UrlBlocklist])
def test_every_setting_can_be_given(name: str) -> None:
    usual = known_filters()[name]()
    for setting in settings_of(type(usual)):
        assert filter_from(f"{name}:{setting}={said(reduce(getattr, setting.split('.'), usual))}") == usual


ARGUMENTS = st.text(st.characters(exclude_characters="\0"))
SETTINGS = st.sampled_from([f"{name}:{setting}=" for name, kind in known_filters().items() for setting in settings_of(kind)])


@given(ARGUMENTS | st.tuples(SETTINGS, ARGUMENTS | st.from_type(int | float).map(str)).map("".join))
def test_rubbish_is_a_filter_or_a_wrong_request(word: str) -> None:
    with suppress(RequestError):
        assert isinstance(filter_from(word), Filter)


def test_no_heavy_package_is_loaded_to_name_filters() -> None:
    script = (
        "import sys; from jobs.filters import filters_help, filter_from\n"
        "filters_help(80); filter_from('gopher-quality')\n"
        "sys.exit(str({'torch', 'ray', 'transformers', 'datasets', 'wandb', 'numba', 'py3langid', 're2'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=environment(), capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_wrong_filter_ends_the_job_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("some words")
    for name in ("corpus", "explain"):
        done = job(name, "--sources", "one.txt", "--filters", "gopher", folder=tmp_path)
        assert (done.code, done.stdout) == (2, "")
        assert "'gopher'" in done.error
        assert "gopher-quality" in done.error


def test_help_has_a_line_for_each_filter() -> None:
    done = job("corpus", "--help", COLUMNS="100")
    lines = done.stdout.splitlines()
    for name, kind in known_filters().items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.split(None, 1)[1].rstrip(".") in (kind.__doc__ or "")
    assert max(map(len, lines)) <= 100


def test_explain_asks_the_filters_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("some words")
    arguments: list[Any] = ["--sources", "one.txt", "--filters", "word-count:least=2", "c4", "--json"]
    result = job("explain", *arguments, folder=tmp_path).result
    assert [part["filter"] for part in result["filters"]] == ["word-count", "c4"]
    assert result["documents"]["dropped"] == {"c4/few-sentences": 1}
