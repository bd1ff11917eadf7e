"""The model card of a folder for the Hugging Face Hub: front matter that the Hub reads, and the model's making in words."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RequestError
from pipeline.train.card import cell
from pipeline.train.making import Making

OURS = {"millrace_lstm": "pipeline.models.lstm_checkpoint"}
"""Modules that have to be imported first, where transformers does not know a model."""
KINDS = (
    ("ForCausalLM", "AutoModelForCausalLM", "text-generation"),
    ("LMHeadModel", "AutoModelForCausalLM", "text-generation"),
    ("ForMaskedLM", "AutoModelForMaskedLM", "fill-mask"),
    ("ForSequenceClassification", "AutoModelForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "AutoModelForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "AutoModelForQuestionAnswering", "question-answering"),
    ("ForConditionalGeneration", "AutoModelForSeq2SeqLM", "text2text-generation"),
)
OTHER = ("", "AutoModel", "feature-extraction")
COUNTS = ("n", "tokens", "bytes")
"""What an evaluation counts beside its metrics."""
BASELINE, BOUNDS = "zstd_", ("_low", "_high")
"""What a compressor scores, for comparison; and how far off a metric may be."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What only people know of a model."""

    name: str | None = None
    """The model's name; None: the checkpoint's address."""
    license: str = "unknown"
    """Its identifier on the Hub, such as apache-2.0, cc-by-4.0 or other."""
    languages: tuple[str, ...] = ()
    """Codes such as en and zh; none: those that a language filter kept, if there was one."""
    energy_kwh: float | None = None
    """What training used, if it was measured."""
    grams_per_kwh: float | None = None
    """CO2 equivalents of the power where it was trained."""

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(r"[\w./-]+", self.name):
            raise RequestError(f"name is {self.name!r}: use letters, digits, dots, dashes and slashes")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            raise RequestError(f"license is {self.license!r}: use an identifier of the Hub, such as apache-2.0, cc-by-4.0 or other")
        for code in self.languages:
            if not re.fullmatch(r"[a-z]{2,3}", code):
                raise RequestError(f"languages has {code!r}: use codes of ISO 639, such as en and zh")
        for name in ("energy_kwh", "grams_per_kwh"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RequestError(f"{name} is {value}: use 0 or more")
        if self.grams_per_kwh is not None and self.energy_kwh is None:
            raise RequestError("grams_per_kwh is given, and energy_kwh is not: give what training used, or neither")

    @property
    def grams(self) -> float | None:
        """CO2 equivalents of training."""
        return None if self.energy_kwh is None or self.grams_per_kwh is None else self.energy_kwh * self.grams_per_kwh


def hub_card(card: Card, making: Making, config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The README.md of a folder: the same bytes for the same manifests. `facts` are those of its weights."""
    name = card.name or making.checkpoint.address
    sections = [
        _opening(name, making, facts),
        _use(config, facts),
        _data(making),
        _training(making),
        _scores(making),
        _emissions(card, making),
        _recipe(making),
    ]
    body = "\n\n".join("\n".join(section) for section in sections)
    return f"---\n{_front_matter(card, name, making, config)}\n---\n\n{body}\n"


def kind_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """The class that opens a model, and the Hub's name for what it does."""
    named = str((config.get("architectures") or [""])[0])
    _, opened_by, task = next((kind for kind in KINDS if named.endswith(kind[0])), OTHER)
    return opened_by, task


def _front_matter(card: Card, name: str, making: Making, config: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    _, task = kind_of(config)
    results = [
        EvalResult(
            task_type=task,
            dataset_type=asked,
            dataset_name=f"documents of {asked}",
            metric_type=metric,
            metric_name=f"{of}: {metric.replace('_', ' ')}",
            metric_value=value,
        )
        for of, asked, metrics in making.scores
        for metric, value in metrics.items()
        if _tells_of_the_model(metric)
    ]
    more: dict[str, Any] = (
        {} if card.grams is None else {"co2_eq_emissions": {"emissions": card.grams, "source": "energy × intensity, as given"}}
    )
    languages = list(card.languages) or making.languages
    data = ModelCardData(
        language=languages or None,
        license=card.license,
        library_name="transformers",
        pipeline_tag=task,
        tags=["millrace"],
        datasets=making.data_sets or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        eval_results=results or None,
        model_name=name,
        **more,
    )
    return str(data.to_yaml())


def _tells_of_the_model(metric: str) -> bool:
    return metric not in COUNTS and not metric.startswith(BASELINE) and not metric.endswith(BOUNDS)


def _opening(name: str, making: Making, facts: Mapping[str, Any]) -> list[str]:
    made = making.trainings
    tokens = sum(manifest.facts.get("tokens", 0) for manifest in made if isinstance(manifest.facts.get("tokens"), int))
    trained = f", trained on {tokens:,} tokens in {len(made)} run{'' if len(made) == 1 else 's'}" if made and tokens else ""
    return [f"# {name}", "", f"A model of {facts['parameters']:,} parameters{trained}. Its checkpoint is `{making.checkpoint.address}`."]


def _use(config: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    opened_by, _ = kind_of(config)
    module = OURS.get(str(config.get("model_type")))
    return [
        "## How to load it",
        "",
        "```python",
        *([f"import {module}  # of Millrace, since transformers has no such model"] if module else ()),
        f"from transformers import {opened_by}, AutoTokenizer",
        "",
        'folder = "."  # or OWNER/NAME on the Hub',
        f"model, tokenizer = {opened_by}.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)",
        "```",
        *(["", f"`{facts['gguf']}` is the same model for llama.cpp: `llama-cli -m {facts['gguf']}`."] if facts.get("gguf") else ()),
    ]


def _data(making: Making) -> list[str]:
    if not making.lineage:
        return ["## Data", "", "It was trained elsewhere: what on is not known here."]
    sources = [(source["kind"], source["place"], source["snapshot"], source["documents"]) for source in making.sources]
    funnel = [
        (manifest.address, f"{manifest.facts['read']:,}", f"{manifest.facts['kept']:,}", _reasons(manifest.facts["dropped"]))
        for manifest in making.stages
    ]
    gone = [f"- `{address}` is no longer there, nor what it was made from." for address in making.missing]
    return [
        "## Data",
        "",
        *_table(("source", "place", "snapshot", "documents"), sources),
        "",
        "What each stage read, kept and dropped:",
        "",
        *_table(("stage", "read", "kept", "dropped"), funnel),
        *(["", *gone] if gone else ()),
    ]


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(dropped.items(), key=lambda item: (-item[1], item[0]))) or "–"


def _training(making: Making) -> list[str]:
    lines = ["## Training"]
    for manifest in making.trainings:
        facts, packages = manifest.facts, manifest.provenance.get("packages", {})
        rows: list[tuple[str, Any]] = [
            ("steps", _counted(facts.get("steps"))),
            ("tokens", _counted(facts.get("tokens"))),
            ("loss, first and last", " → ".join(f"{facts['loss'][end]:.4f}" for end in ("first", "last") if end in facts["loss"])),
            ("tokens a second", _counted(facts.get("tokens_per_second"))),
            ("workers", _counted(facts.get("workers"))),
            ("hardware", (facts.get("peak") or {}).get("source")),
            ("platform", manifest.provenance.get("platform")),
            ("time", f"{manifest.provenance.get('seconds', 0) / 3600:.3g} h"),
            (
                "software",
                ", ".join(f"{package} {packages[package]}" for package in ("torch", "transformers", "deepspeed") if package in packages),
            ),
        ]
        lines += ["", f"`{manifest.address}`:", "", *_table(("fact", "value"), [row for row in rows if row[1]])]
    return lines if making.trainings else [*lines, "", "It was trained elsewhere: how is not known here."]


def _counted(number: Any) -> str | None:
    return f"{number:,.0f}" if isinstance(number, int | float) else None


def _scores(making: Making) -> list[str]:
    """A row a metric, with the interval and the number of examples where they are known."""
    rows = []
    for of, asked, metrics in making.scores:
        for metric, value in metrics.items():
            if metric != "n" and not metric.endswith(BOUNDS):
                bounds = [f"{metrics[f'{metric}{end}']:.6g}" for end in BOUNDS if f"{metric}{end}" in metrics]
                examples = _counted(metrics.get("n")) or ""
                rows.append((of, asked, metric.replace("_", " "), f"{value:.6g}", " to ".join(bounds), examples))
    if not rows:
        return ["## Evaluation", "", "It has not been evaluated."]
    return ["## Evaluation", "", *_table(("task", "asked about", "metric", "value", "95 % interval", "examples"), rows)]


def _emissions(card: Card, making: Making) -> list[str]:
    hours = f" Training took {making.device_hours:.3g} hours, times workers." if making.trainings else ""
    if card.energy_kwh is None:
        return ["## Carbon", "", f"Energy and emissions were not measured.{hours}"]
    if card.grams is None:
        return ["## Carbon", "", f"Training used {card.energy_kwh:g} kWh, as given; emissions were not measured.{hours}"]
    given = f"{card.energy_kwh:g} kWh × {card.grams_per_kwh:g} g CO₂eq/kWh, as given"
    return ["## Carbon", "", f"{card.grams / 1000:.4g} kg CO₂eq: {given}.{hours}"]


def _recipe(making: Making) -> list[str]:
    recipe = json.dumps(making.checkpoint.recipe, indent=2, ensure_ascii=False)
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", recipe)), default=0))
    lineage = [f"- `{manifest.address}`" for manifest in making.lineage]
    return ["## Recipe", "", f"{fence}json", recipe, fence, *(["", "Made from:", "", *lineage] if lineage else ())]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Lines of a table, whatever its cells hold."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell(str(value)).replace('<', '&lt;') for value in row)} |"
