"""The top of a report: what was made, how good it is, and what it took, at a glance."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.report.made import Story, task_of
from pipeline.report.markup import Markup, tag
from pipeline.report.words import compact, count, lasting, metric, percent


def headline(story: Story) -> Markup:
    """The title, one sentence, and the numbers."""
    return tag(
        "header",
        tag("p", "Millrace report", class_="kind"),
        tag("h1", _unbroken(title(story))),
        tag("p", _unbroken(_sentence(story)), class_="sentence"),
        tag("dl", [_number(*number) for number in _numbers(story)], class_="numbers"),
        _against_zstd(story),
    )


def _unbroken(words: str) -> str:
    """A number stays on one line with its unit, and a command with its option."""
    return re.sub(r"(?<=\d) (?=[kMBT%]\b|%|s\b|min\b|h\b)|(?<=zstd) ", "\u00a0", words)


def title(story: Story) -> str:
    """What was made."""
    if story.tuned:
        return f"{task_of(story.tuned[-1])} by a model with {compact(story.tuned[-1].facts['parameters'])} parameters"
    if story.trained:
        made = story.trained[-1]
        model = made.recipe.get("model")
        name = str(model.get("class", "A model")) if isinstance(model, Mapping) else "A model"
        parameters = made.facts.get("parameters")
        return f"{name} with {compact(parameters)} parameters" if parameters else name
    if story.leaving:
        return f"A corpus of {count(_kept(story))} documents"
    return "A graph of steps"


def _kept(story: Story) -> int:
    return sum(made.facts["kept"] for made in story.leaving)


def _sentence(story: Story) -> str:
    parts = []
    if story.trained:
        made = story.trained[-1]
        parts.append(f"{'Fine-tuned' if story.tuned else 'Trained'} {_trained_on(made.facts)} in {lasting(made.seconds)}")
    elif story.tokenized:
        tokens = [made.facts["tokens"] for made in story.tokenized]
        train, validation = (sum(split.get(name, 0) for split in tokens) for name in ("train", "validation"))
        parts.append(f"{compact(train)} tokens to train on and {compact(validation)} held out")
    compressed = _compression(story)
    if compressed:
        mine, theirs = compressed
        beside = f"{percent(theirs - mine, theirs)} fewer bits than" if mine < theirs else f"{mine / (theirs or 1):.2f} times what"
        parts.append(f"on documents that it never saw it takes {metric(mine)} bits per byte, {beside} zstd -19 needs")
    missing = [made.name for made in story.made if made.manifest is None]
    if missing:
        parts.append(f"not built: {', '.join(missing)}")
    return f"{'; '.join(parts)}." if parts else ""


def _trained_on(facts: Mapping[str, Any]) -> str:
    tokens = facts.get("tokens")
    return f"on {compact(tokens)} tokens" if isinstance(tokens, int) else f"for {count(facts.get('steps', 0))} steps"


def _numbers(story: Story) -> list[tuple[str, str, str]]:
    """(what, how much, in relation to what) of what is known."""
    numbers = []
    for metrics in story.scores.values():
        if "perplexity" in metrics:
            numbers.append(("Validation loss", metric(metrics.get("loss")), "nats a token"))
            numbers.append(("Perplexity", metric(metrics["perplexity"]), "a token"))
    compressed = _compression(story)
    if compressed:
        numbers.append(("Bits per byte", metric(compressed[0]), f"zstd -19: {metric(compressed[1])}"))
    for made in story.tuned:
        numbers += _task_numbers(made.facts)
    for made in story.tuned or story.trained:
        numbers += _training_numbers(made.facts)
    if story.stages:
        read = sum(made.facts["read"] for made in story.entering)
        numbers.append(("Examples" if story.tuned else "Documents", compact(_kept(story)), f"of {compact(read)} read"))
    if story.tokenized and not story.trained:
        vocabulary = story.tokenized[-1].facts.get("vocabulary")
        numbers.append(("Vocabulary", count(vocabulary), "tokens")) if vocabulary else None
    numbers.append(("Time", lasting(story.seconds), "over all steps"))
    return numbers


def _task_numbers(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The first two metrics of the examples that nothing was chosen by, or else of the validation examples, each with its interval."""
    name = "test" if "test" in facts else "validation"
    found = facts[name]
    return [
        (f"{words_of(each)}, {name}", metric(found[each]), f"{metric(found[f'{each}_low'])} to {metric(found[f'{each}_high'])}")
        for each in [each for each in found if f"{each}_low" in found][:2]
    ]


def words_of(name: str) -> str:
    """A metric's name in words."""
    return name.replace("_", " ").capitalize()


def _training_numbers(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    numbers = []
    if isinstance(facts.get("tokens"), int):
        numbers.append(("Tokens trained on", compact(facts["tokens"]), f"in {count(facts.get('steps', 0))} steps"))
    if facts.get("tokens_per_second"):
        mfu = facts.get("mfu")
        numbers.append(("Tokens a second", compact(facts["tokens_per_second"]), f"MFU {percent(mfu, 1)}" if mfu else ""))
    return numbers


def _number(what: str, how_much: str, beside: str) -> Markup:
    return tag("div", tag("dt", what), tag("dd", how_much, tag("small", beside) if beside else None))


def _compression(story: Story) -> tuple[float, float] | None:
    """Bits per byte of the model and of zstd, where both were measured."""
    for metrics in story.scores.values():
        if "bits_per_byte" in metrics and "zstd_bits_per_byte" in metrics:
            return metrics["bits_per_byte"], metrics["zstd_bits_per_byte"]
    return None


def _against_zstd(story: Story) -> Markup | None:
    compressed = _compression(story)
    if compressed is None:
        return None
    most = max(*compressed, 1e-9)
    return tag(
        "div",
        [
            tag(
                "div",
                tag("span", name),
                tag("span", tag("i", class_=f"bar {css}", style=f"width:{100 * bits / most:.1f}%"), class_="track"),
                tag("b", metric(bits)),
            )
            for name, css, bits in (("this model", "kept", compressed[0]), ("zstd -19", "other", compressed[1]))
        ],
        tag("p", "Bits for each byte of the held-out documents; fewer is better."),
        class_="against",
    )
