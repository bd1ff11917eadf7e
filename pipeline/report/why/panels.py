"""The answers of a model, each to be chosen, with the panel that says why: no script, so it is read by keyboard and by ear too."""

from pipeline.inference.attention import Weights
from pipeline.inference.explanation import Answer, Explanation
from pipeline.report.markup import Markup, tag
from pipeline.report.why.tokens import amounts, boxed, coloured, name_of, signed
from pipeline.report.words import percent

SHOWN = 8
WORDS = {
    "decoder": "What it wrote",
    "encoder-decoder": "What it wrote into the gaps",
    "encoder": "What it put in place of the masks",
    "classifier": "The label that it gave",
}


def answers_section(explanation: Explanation, rollout: Weights | None) -> Markup:
    """The prompt, and behind it each answer as a choice of one; its panel is shown below."""
    reads_on = explanation.kind == "decoder"
    before = [boxed(piece) for piece in explanation.read[: explanation.given]]
    choices = [part for number, answer in enumerate(explanation.answers) for part in _choice(number, answer, explanation, rollout)]
    legend = "Choose an answer: its panel, below, says what it owes to what was read."
    return tag(
        "section",
        tag("h2", WORDS[explanation.kind]),
        tag("p", legend, class_="note", id="how"),
        tag(
            "div",
            tag("div", before, class_="read", role="group", aria_label="What was read") if reads_on else _prompt(before),
            choices,
            class_="answers",
            role="radiogroup",
            aria_label=WORDS[explanation.kind],
            aria_describedby="how",
        ),
        id="answers",
    )


def _prompt(before: list[Markup]) -> Markup:
    """What was read stands on lines of its own where the answers do not continue it."""
    return tag("div", before, class_="read alone", role="group", aria_label="What was read")


def _choice(number: int, answer: Answer, explanation: Explanation, rollout: Weights | None) -> list[Markup]:
    chance = percent(answer.chosen.probability, 1)
    name = f"{name_of(answer.chosen.piece)}, {chance}"
    return [
        tag(
            "input",
            type="radio",
            name="answer",
            id=f"answer-{number}",
            checked=number == 0,
            aria_label=name,
            aria_controls=f"panel-{number}",
        ),
        tag("label", boxed(answer.chosen.piece), tag("small", chance), for_=f"answer-{number}"),
        tag("div", _panel(answer, explanation, rollout), class_="panel", id=f"panel-{number}", role="region", aria_label=f"Why {name}"),
    ]


def _panel(answer: Answer, explanation: Explanation, rollout: Weights | None) -> list[Markup | None]:
    scores = answer.importance.scores
    read = explanation.read[: len(scores)]
    ranked = sorted(((place, score) for place, score in enumerate(scores) if score), key=lambda pair: -abs(pair[1]))
    most: list[tuple[Markup | str, float]] = [(boxed(read[place], place + 1), score) for place, score in ranked[:SHOWN]]
    if len(ranked) > SHOWN:
        most.append(("all others together", sum(score for _, score in ranked[SHOWN:])))
    return [
        tag("h3", boxed(answer.chosen.piece), f" {percent(answer.chosen.probability, 1)}"),
        coloured(read, scores, ("--main", "--other"), "nats"),
        tag(
            "p", tag("span", "adds to its probability", class_="adds"), tag("span", "takes away from it", class_="takes"), class_="key-line"
        ),
        tag(
            "div",
            tag("div", tag("h4", "What counts most"), amounts(most, ("token and its place", "nats"), "+.3f")),
            tag("div", tag("h4", "What else it could have said"), _alternatives(answer)),
            class_="pair",
        ),
        tag("p", _account(answer), class_="note"),
        *_rolled(answer, explanation, rollout),
    ]


def _alternatives(answer: Answer) -> Markup:
    """The likeliest answers in order, and the chosen one, wherever it stands."""
    others = list(answer.alternatives)
    if answer.chosen.probability < others[-1].probability:
        others.append(answer.chosen)
    return amounts([(boxed(choice.piece), 100 * choice.probability) for choice in others], ("answer", "%"), ".1f")


def _account(answer: Answer) -> str:
    """How the numbers add up."""
    owed, reached, baseline = sum(answer.importance.scores), answer.importance.reached, answer.importance.baseline
    return (
        f"Its log-probability is {signed(reached, '.3f')} nats, and {signed(baseline, '.3f')} where every token of the text says nothing:"
        f" a difference of {signed(reached - baseline, '+.3f')}, of which the tokens account for {signed(owed, '+.3f')}."
        f" Completeness gap: {signed(answer.importance.gap, '+.4f')}."
    )


def _rolled(answer: Answer, explanation: Explanation, rollout: Weights | None) -> list[Markup]:
    if rollout is None or answer.row is None:
        return []
    shares = rollout[answer.row].tolist()
    read = explanation.read[: len(shares)]
    kept = len(shares) if explanation.kind == "encoder" else answer.row + 1
    return [
        tag("h4", "What attention lets through to it, by rollout"),
        coloured(read[:kept], [100 * share for share in shares[:kept]], ("--good", "--good"), "%"),
    ]
