"""The page that says why: all that it shows is escaped, readable by ear and keyboard, and right for parts of characters."""

import base64
import re
import shutil
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.inference.attention import Attention
from pipeline.inference.explanation import Answer, Choice, Explanation
from pipeline.inference.importance import Importance
from pipeline.inference.pieces import Piece
from pipeline.report.why.heads import PIXELS
from pipeline.report.why.page import render_explanation
from pipeline.report.why.picture import picture
from pipeline.report.why.tokens import name_of, visible
from tests.report.browser import Browser, chromium

HOSTILE = (
    "<script>window.owned = 1</script>",
    '"><img src="http://127.0.0.1:9/x" onerror="window.owned = 1">',
    "\u202egnp.exe",
    "</style><b>",
    "\ud800",
)
PARTS = tuple(Piece("龘", part=part, parts=3, data=data) for part, data in enumerate((b"\xe9", b"\xbe", b"\x98"), 1))
READ = (
    Piece("<|endoftext|>", special=True),
    *(Piece(text, data=b"x") for text in HOSTILE),
    *PARTS,
    Piece(" the\n"),
    Piece("w" * 300),
    Piece(" fox"),
)


def explanation(tokens: int = len(READ), answers: int = 3, kind: str = "decoder", heads: int = 2) -> Explanation:
    """What a model with attention wrote behind hostile text."""
    read = tuple(READ[place % len(READ)] for place in range(tokens))
    weights = np.tril(np.random.default_rng(0).random((2, heads, tokens - 1, tokens - 1), np.float32))
    chosen = [Choice(read[tokens - answers + number], 0.5 / (number + 1)) for number in range(answers)]
    others = tuple(Choice(piece, 0.4 / (place + 1)) for place, piece in enumerate(READ[:5]))
    return Explanation(
        read,
        tokens - answers,
        tuple(
            Answer(choice, (choice, *others), Importance(tuple(np.linspace(-1, 2, row).tolist()), -4.0, -1.0), row - 1)
            for row, choice in enumerate(chosen, tokens - answers)
        ),
        kind,
        Attention(weights / weights.sum(axis=-1, keepdims=True)),
    )


def rendered(*arguments: object, **fields: object) -> str:
    return render_explanation(explanation(*arguments, **fields), "pretrain/<i>0</i>", 64)  # type: ignore[arg-type]


class Elements(HTMLParser):
    """The names of all elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_text_is_text_and_no_script_is_there_at_all() -> None:
    page = Elements(rendered())
    assert not {"script", "i"} & page.seen
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "src='http" not in rendered()
    assert 'src="http' not in rendered()


def test_the_page_is_the_same_for_the_same_explanation() -> None:
    assert rendered() == rendered()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a·b"),
        ("\n", "⏎"),
        ("\t", "⇥"),
        ("\u202e", "⟨U+202E⟩"),
        ("\u200b", "⟨U+200B⟩"),
        ("\u0301", "◌\u0301"),
        ("今天", "今天"),
        ("\x00", "⟨U+0000⟩"),
    ],
)
def test_nothing_of_a_token_is_invisible(text: str, shown: str) -> None:
    assert visible(text, space="·") == shown


def test_bytes_that_are_no_character_are_named_by_their_values() -> None:
    assert name_of(Piece("\ufffd", data=b"\xe4\xbb")) == "⟨E4 BB⟩"
    assert name_of(Piece("\ufffd", data="\ufffd".encode())) == "⟨EF BF BD⟩"
    assert name_of(PARTS[1]) == "龘"


def test_a_picture_holds_every_weight_as_a_pixel() -> None:
    weights = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    data = base64.b64decode(picture(weights).removeprefix("data:image/png;base64,"))
    length = int.from_bytes(data[(place := data.index(b"IDAT")) - 4 : place], "big")
    rows = np.frombuffer(zlib.decompress(data[place + 4 : place + 4 + length]), np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(rows[:, 1:], (255 * np.sqrt(weights)).round().astype(np.uint8))
    assert not rows[:, 0].any()


def test_many_heads_of_a_long_text_are_shown_by_their_mean() -> None:
    tokens = 260
    assert 2 * 40 * (tokens - 1) ** 2 > PIXELS
    page = rendered(tokens, heads=40)
    assert "The 40 heads of a layer are shown by their mean" in page
    assert page.count("<img") == 1 + 2


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not on PATH (Debian: apt-get install chromium)")
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("why") / "why.html"
    place.write_text(rendered(), encoding="utf-8")
    return place


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_it_complains_of_nothing_asks_for_nothing_and_fits(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate("typeof window.owned") == "undefined"
    assert browser.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == ("rgb(21, 23, 26)" if dark else "rgb(251, 250, 248)")


def shown(browser: Browser) -> list[str]:
    found: list[str] = browser.evaluate(
        "[...document.querySelectorAll('.panel')].filter(panel => panel.offsetParent).map(panel => panel.id)"
    )
    return found


def press(browser: Browser, key: str, code: int) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


@pytest.mark.parametrize("scripts", [True, False])
def test_an_answer_is_chosen_by_keyboard_and_its_panel_is_the_one_that_is_shown(browser: Browser, page: Path, scripts: bool) -> None:
    browser.open(page, scripts=scripts)
    assert shown(browser) == ["panel-0"]
    press(browser, "Tab", 9)
    press(browser, "ArrowRight", 39)
    assert shown(browser) == ["panel-1"]
    assert browser.evaluate("document.activeElement.id") == "answer-1"
    assert browser.evaluate("getComputedStyle(document.querySelector('#answer-1 + label')).outlineStyle") == "solid"


def test_every_choice_says_its_answer_and_probability_to_a_screen_reader(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "radio"]
    assert named == ["·the⏎, 50.0 %", f"{'w' * 300}, 25.0 %", "·fox, 16.7 %"]
    images = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "image"]
    assert len(images) >= 3
    assert all(re.match(r"(Head \d|All layers together, by rollout): map of \d+ × \d+ weights", name) for name in images)


def test_parts_of_a_character_stand_as_one_character_in_three_colours(browser: Browser, page: Path) -> None:
    browser.open(page)
    spans = "[...document.querySelectorAll('#panel-0 .strip')[0].children].filter(span => span.textContent === '龘')"
    assert browser.evaluate(f"{spans}.length") == 1
    assert browser.evaluate(f"getComputedStyle({spans}[0]).backgroundImage.match(/color\\(/g).length") == 6, "each begins and ends"


def test_printed_it_shows_every_panel(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert shown(browser) == ["panel-0", "panel-1", "panel-2"]
    browser.call("Emulation.setEmulatedMedia", media="")
