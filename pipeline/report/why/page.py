"""Why a model said this, as one HTML page that holds all it shows, asks nobody for anything, and runs no script at all."""

from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.inference.explanation import Explanation
from pipeline.report.markup import Markup, tag
from pipeline.report.why.heads import heads_section
from pipeline.report.why.panels import answers_section
from pipeline.report.why.tokens import signed
from pipeline.report.words import count, metric, percent

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
QUESTIONS = {"classifier": "Why did it give this label?", "encoder": "Why did it fill the masks so?"}

WHAT = {"classifier": "label", "encoder": "masks filled", "encoder-decoder": "tokens written", "decoder": "tokens written"}


def render_explanation(explanation: Explanation, asked: str, points: int) -> str:
    """The page on a model that is known as `asked`."""
    question = QUESTIONS.get(explanation.kind, "Why did it say this?")
    rollout = None if explanation.attention is None else explanation.attention.rollout()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{question} · Millrace"),
        tag("style", _own("pipeline.report", "style.css"), _own("pipeline.report.why", "why.css")),
    )
    sections = [
        _top(explanation, question, asked),
        answers_section(explanation, rollout),
        heads_section(explanation.attention),
        _method(points),
    ]
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', sections)), lang='en')}\n"


def _top(explanation: Explanation, question: str, asked: str) -> Markup:
    chances = [answer.importance.reached for answer in explanation.answers]
    gap = max(abs(answer.importance.gap) for answer in explanation.answers)
    numbers: list[tuple[str, Any, str]] = [
        ("Tokens read", count(explanation.given), "of the prompt"),
        ("Answers", count(len(chances)), WHAT[explanation.kind]),
        ("Log-probability", signed(sum(chances), ".4g"), "nats, of all answers"),
        ("Greatest gap", "< 0.0001" if gap < 1e-4 else metric(gap), "nats not accounted for"),
    ]
    parts = [tag("div", tag("dt", what), tag("dd", much, tag("small", more))) for what, much, more in numbers]
    likely = percent(min(answer.chosen.probability for answer in explanation.answers), 1)
    return tag(
        "header",
        tag("p", "Millrace", class_="kind"),
        tag("h1", question),
        tag("p", "Asked of ", tag("code", asked), f". The least sure of its answers had a probability of {likely}.", class_="sentence"),
        tag("dl", parts, class_="numbers"),
    )


def _method(points: int) -> Markup:
    words = (
        "What an answer owes to a token is found by integrated gradients (Sundararajan and others, 2017) over"
        f" {count(points)} points of a path that begins where every token is the mean of all of the model's, and so says nothing;"
        " special tokens stay as they are. The scores add up to the change in the answer's log-probability, but for the"
        " completeness gap. A token that adds much made the answer likelier here; it need not do so in another text. Rollout"
        " (Abnar and Zuidema, 2020) follows attention through all layers, half of each token being passed on past them."
    )
    return tag("section", tag("h2", "How this was found"), tag("p", words, class_="note"), id="method")


@cache
def _own(package: str, name: str) -> Markup:
    return Markup(files(package).joinpath(name).read_text("utf-8"))
