"""Training: curves over steps, and what it came to; the scores of evaluations; samples."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.chart import Line, Point, chart, smoothed
from pipeline.report.economy import cost_pairs
from pipeline.report.graph import title_of
from pipeline.report.made import Made, Story
from pipeline.report.markup import Markup, tag
from pipeline.report.words import compact, count, metric, percent


def training_section(story: Story) -> Markup | None:
    """None where nothing was trained."""
    if not story.trained:
        return None
    several = len(story.trained) > 1
    return tag("section", tag("h2", "Training"), [_training(made, several) for made in story.trained], id="training")


def _training(made: Made, several: bool) -> Markup:
    validation = Line("validation", _curve(made, "validation_loss"), "validation", dots=True)
    charts = [
        chart("Tokens a second", _noisy("throughput", _curve(made, "tokens_per_second")), "step", True, compact),
        chart("Learning rate", [Line("learning rate", _curve(made, "learning_rate"), "train")], "step", True),
        chart("Gradient norm", _noisy("gradient norm", _curve(made, "gradient_norm")), "step", True),
    ]
    return tag(
        "div",
        tag("h3", title_of(made.name)) if several else None,
        chart("Loss", [*_noisy("training", _curve(made, "loss")), validation], "step"),
        _looks(made),
        tag("div", [figure for figure in charts if figure], class_="charts"),
        tag("dl", [tag("div", tag("dt", what), tag("dd", words)) for what, words in _came_to(made.facts)], class_="pairs"),
    )


def _looks(made: Made) -> Markup | None:
    """What the weights scored on validation examples as they were trained; None where nobody looked."""
    looks = [(row["step"], row["validation"]) for row in made.metrics if isinstance(row.get("validation"), Mapping)]
    if not looks:
        return None
    name = next(iter(looks[0][1]))
    points = [(step, scores[name]) for step, scores in looks]
    return chart(f"{name.replace('_', ' ').capitalize()}, validation", [Line("validation", points, "validation", dots=True)], "step")


def _curve(made: Made, name: str) -> list[Point]:
    """(step, value) wherever the metric was measured."""
    return [(row["step"], row[name]) for row in made.metrics if isinstance(row.get(name), int | float)]


def _noisy(label: str, points: list[Point]) -> list[Line]:
    """A curve and, strong in front of it, its smoothed self."""
    return [Line(label, points, "train raw", told=False), Line(label, smoothed(points), "train")]


def _came_to(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    loss = facts.get("loss", {})
    said = [("Loss, first and last", f"{metric(loss.get('first'))} → {metric(loss.get('last'))}")]
    for name, words in (
        ("steps", count),
        ("tokens", compact),
        ("parameters", compact),
        ("tokens_per_second", compact),
        ("mfu", lambda share: percent(share, 1)),
        ("workers", count),
        ("flops_per_token", compact),
    ):
        if isinstance(facts.get(name), int | float):
            said.append((NAMES.get(name, title_of(name)), words(facts[name])))
    economy = facts.get("economy")
    return said + (cost_pairs(economy) if isinstance(economy, Mapping) else [])


ENDS = ("_low", "_high")
NAMES = {"mfu": "Model FLOPs utilisation", "tokens_per_second": "Tokens a second", "flops_per_token": "FLOPs a token"}


def scores_section(story: Story) -> Markup | None:
    """A row a metric of every task; None where nothing was evaluated."""
    if not story.scores:
        return None
    heads = [tag("th", words, scope="col") for words in ("Task", "Metric")]
    heads += [tag("th", words, scope="col", class_="number") for words in ("Value", "95 % interval")]
    return tag(
        "section",
        tag("h2", "Evaluation"),
        tag(
            "table",
            tag("thead", tag("tr", heads)),
            [tag("tbody", _task(task, metrics)) for task, metrics in story.scores.items()],
            class_="scores",
        ),
        id="evaluation",
    )


def _task(task: str, metrics: Mapping[str, Any]) -> list[Markup]:
    rows = [name for name in metrics if name != "n" and not name.endswith(ENDS)]
    examples = f" on {count(metrics['n'])}" if isinstance(metrics.get("n"), int) else ""
    heads = [tag("th", task, tag("small", examples), scope="rowgroup", rowspan=len(rows))] + [None] * len(rows)
    return [
        tag(
            "tr",
            head,
            tag("td", name.replace("_", " ")),
            tag("td", metric(metrics[name]), class_="number"),
            tag("td", " to ".join(metric(metrics[f"{name}{end}"]) for end in ENDS if f"{name}{end}" in metrics), class_="number"),
        )
        for head, name in zip(heads, rows, strict=False)
    ]


def samples_section(story: Story) -> Markup | None:
    """What the model wrote, the prompts set apart; None where it wrote nothing."""
    if not story.samples:
        return None
    samples = [
        tag("blockquote", tag("b", str(sample.get("prompt", ""))), str(sample.get("text", "")), dir="auto") for sample in story.samples
    ]
    return tag(
        "section", tag("h2", "Samples"), tag("p", "The prompt in bold, then what the model wrote.", class_="note"), samples, id="samples"
    )
