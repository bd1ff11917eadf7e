"""C4's rules on lines and on pages, each on its edge."""

import pytest

from pipeline.errors import RequestError
from pipeline.filters.base import Edit
from pipeline.filters.c4 import C4, POLICIES
from tests.filters.texts import CHINESE, ENGLISH, document, verdict

GOOD = "This is a good line of words."
PAGE = [GOOD, "Here is another one of them!", "Is this the third of them?"]


def edit(*lines: str, rule: C4 | None = None) -> Edit:
    return (rule or C4()).edit(document("\n".join(lines)))


def left(*lines: str, rule: C4 | None = None) -> list[str]:
    """What is left of a page that is kept."""
    result = edit(*lines, rule=rule)
    assert result.reason is None
    return result.text.split("\n")


@pytest.mark.parametrize("prose", [ENGLISH, CHINESE])
def test_prose_in_english_and_in_chinese_is_left_as_it_is(prose: str) -> None:
    assert C4(least_sentences=2).edit(document(prose)) == Edit(prose, {}, None)


@pytest.mark.parametrize(
    "line",
    [
        "A line that ends so.",
        "Does a line end so?",
        "How a line ends so!",
        'He said "this is how"',
        "她说这样就可以了。",
        "这样可以吗？",
        "他说：“好的，就这样”",
    ],
)
def test_a_line_that_ends_in_a_mark_or_a_quote_stays(line: str) -> None:
    assert left(*PAGE, line) == [*PAGE, line]


@pytest.mark.parametrize(
    "line", ["A heading without its mark", "A teaser that goes on...", "还有更多的内容……", "Items of a list, with comma,", "更多内容请看"]
)
def test_a_line_that_does_not_end_or_breaks_off_is_removed(line: str) -> None:
    assert edit(*PAGE, line) == Edit("\n".join(PAGE), {"no-end-mark": 1}, None)


def test_five_words_are_a_line_and_four_are_not() -> None:
    assert left(*PAGE, "One two three four five.") == [*PAGE, "One two three four five."]
    assert edit(*PAGE, "One two three four.").changes == {"few-words": 1}
    assert left(*PAGE, "一二三四五。") == [*PAGE, "一二三四五。"]
    assert edit(*PAGE, "一二三四。").changes == {"few-words": 1}
    assert left(*PAGE, "One two three.", rule=C4(least_words=3))[-1] == "One two three."


def test_a_line_with_a_word_of_more_than_a_thousand_characters_is_removed_but_not_a_chinese_one() -> None:
    assert len(left(*PAGE, f"There is a word {'x' * 999}.")) == 4
    assert edit(*PAGE, f"There is a word {'x' * 1000}.").changes == {"long-word": 1}
    assert len(left(*PAGE, "很" * 1500 + "。")) == 4


def test_lines_about_javascript_and_policies_are_removed() -> None:
    assert edit(*PAGE, "Please enable JavaScript in your browser.").changes == {"javascript": 1}
    for policy in POLICIES:
        assert edit(*PAGE, f"Read all of our {policy.title()} here today.").changes == {"policy": 1}


def test_a_page_with_lorem_ipsum_or_a_curly_bracket_is_dropped() -> None:
    assert verdict(C4(), "\n".join([*PAGE, "Lorem Ipsum is what stands here."])) == "lorem-ipsum"
    assert verdict(C4(), "\n".join([*PAGE, "A function has a { in it."])) == "curly-bracket"
    assert verdict(C4(), "\n".join([*PAGE, "{ no end, so the line is gone first"])) is None


def test_three_sentences_are_a_page_and_two_are_not() -> None:
    assert left("This is one of them. This is another. And the third.")
    assert verdict(C4(), "This is one of them. And this is another.") == "few-sentences"
    assert left("这是第一句话。这是第二句话！这是第三句话吗？")
    assert verdict(C4(), "这是第一句话。这是第二句话！") == "few-sentences"
    assert verdict(C4(), "\n".join(PAGE[:2])) == "few-sentences"
    assert verdict(C4(), "A menu\nHome\nAbout us") == "few-sentences"
    assert verdict(C4(least_sentences=2), "\n".join(PAGE[:2])) is None


def test_citation_marks_are_taken_out_and_counted() -> None:
    assert edit(*PAGE, "It is known[1] to be so[citation needed] indeed [edit].").text.endswith("\nIt is known to be so indeed .")
    assert edit(*PAGE, "It is known[1] to be so[23] indeed.").changes == {"citation": 2}
    assert left(*PAGE, "An index [i] is not one of them.")[-1] == "An index [i] is not one of them."


def test_the_space_around_lines_and_between_them_goes() -> None:
    assert edit(f"  {PAGE[0]}\t", "", PAGE[1], " \r", PAGE[2]).text == "\n".join(PAGE)


def test_a_page_with_a_bad_word_is_dropped_where_it_is_a_word() -> None:
    rule = C4(bad_words=("hell", "two words", "c++", "赌博"))
    assert verdict(rule, "\n".join([*PAGE, "What the HELL is this now?"])) == "bad-word"
    assert verdict(rule, "\n".join([*PAGE, "Hell is where this line begins."])) == "bad-word"
    assert verdict(rule, "\n".join([*PAGE, "There are two words in here."])) == "bad-word"
    assert verdict(rule, "\n".join([*PAGE, "He says hello from the shell."])) is None
    assert verdict(rule, "\n".join([*PAGE, "这是一个网上赌博的广告。"])) == "bad-word"
    assert verdict(rule, "\n".join([*PAGE, "Some c+ and cc are fine words."])) is None


def test_bad_words_are_part_of_the_recipe_and_may_not_be_empty() -> None:
    assert C4(bad_words=("one",)) != C4(bad_words=("other",))
    with pytest.raises(RequestError, match=r"C4\.bad_words is \('',\): use a tuple of words"):
        C4(bad_words=("",))
