"""What a recipe is: named fields that people change, and the graph of steps that they stand for.

A preset is a literal in `jobs/recipes/`; the command line overrides its fields. Building the graph runs
nothing, but looks at the sources, since their state is part of the identity of all that follows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pipeline.batches.mixture import Weighted
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.generation import Sampling
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.sample import Sample
from pipeline.filters.base import Filter
from pipeline.filters.clean import Clean
from pipeline.models.base import Architecture
from pipeline.models.llama import Llama
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.sources.python_library import PythonLibrary
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import ExistingTokenizer, TrainTokenizer
from pipeline.train.engine import Update
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.train.schedule import Schedule
from pipeline.workflow.step import Step


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe:
    """From sources to token shards."""

    sources: tuple[str, ...] = ()
    """Files, folders, globs, s3://…, https://… or hf://datasets/OWNER/NAME[@REVISION]; none: the Python library."""
    text_field: str = "text"
    """The field of a record that holds its text."""
    normalize: Literal["NFC"] | None = "NFC"
    """Unicode normalisation form of the text."""
    mend: bool = False
    """Mend mis-decoded text with ftfy."""
    filters: tuple[Filter, ...] = ()
    """What a document must pass, in order."""
    similarity: float | None = 0.8
    """True Jaccard similarity from which a document is a near-duplicate of an earlier one; None: exact ones only."""
    tokenizer: str | None = None
    """A tokenizer.json, its folder or a Hugging Face name; None: train one on the corpus."""
    vocab_size: int = 4096
    """Entries of a tokenizer that is trained."""
    validation: float = 0.01
    """Share of the documents that is held out, chosen by a hash of their ids."""

    @cached_property
    def split(self) -> Split:
        return Split(fraction=self.validation)

    @cached_property
    def ingests(self) -> tuple[Ingest, ...]:
        if not self.sources:
            return (Ingest(source=PythonLibrary.at()),)
        return tuple(Ingest(source=source_at(location, text_field=self.text_field)) for location in self.sources)

    @cached_property
    def unique(self) -> Deduplicate:
        cleaned = tuple(Clean(documents=ingest, normalize=self.normalize, mend=self.mend, filters=self.filters) for ingest in self.ingests)
        return Deduplicate(documents=cleaned, similarity=self.similarity)

    @cached_property
    def tokens(self) -> Tokenize:
        tokenizer: Step[Any]
        if self.tokenizer is None:
            tokenizer = TrainTokenizer(documents=self.unique, vocab_size=self.vocab_size, split=self.split)
        else:
            tokenizer = ExistingTokenizer.at(self.tokenizer)
        return Tokenize(documents=self.unique, tokenizer=tokenizer, split=self.split)

    @property
    def targets(self) -> tuple[Step[Any], ...]:
        """The last steps of the graph."""
        return (self.tokens,)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """How training runs: none of it is part of what is trained."""

    workers: int = 1
    """Processes of the training gang."""
    engine: Literal["deepspeed", "plain"] = "deepspeed"
    zero: Literal[0, 1, 2, 3] = 1
    """DeepSpeed's ZeRO stage."""
    micro_batch: int = 8
    """Windows that one process takes at once."""
    save_every: int = 200
    """Steps between checkpoints to resume from."""


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(CorpusRecipe):
    """From sources to an evaluated model."""

    weights: tuple[float, ...] = ()
    """The weight of each source in the training data; none: as much of each as there is."""
    model: Architecture = Llama(dim=256, depth=4, heads=4)
    """Its kind and size."""
    context: int = 256
    """Tokens in a training window."""
    batch: int = 32
    """Windows in an optimizer step, over all workers."""
    token_budget: int = 2_000_000
    """Tokens to train on."""
    schedule: Schedule = Schedule()
    update: Update = Update()
    attend: Literal["document", "window"] = "document"
    """Whether attention stays inside a document or spans the window."""
    seed: int = 0
    tasks: tuple[EvalTask, ...] = (Perplexity(),)
    prompts: tuple[str, ...] = ("",)
    """What the sample texts begin with."""
    sampling: Sampling = Sampling()
    compute: Compute = Compute()

    @cached_property
    def mixture(self) -> tuple[Weighted, ...]:
        if not self.weights:
            return (Weighted(tokens=self.tokens),)
        if len(self.weights) != len(self.ingests):
            raise RequestError(
                f"--weights has {len(self.weights)} values for {len(self.ingests)} sources: give one weight a source, or none"
            )
        pairs = zip(self.ingests, self.weights, strict=True)
        return tuple(Weighted(tokens=self.tokens, weight=weight, source=ingest.source.name) for ingest, weight in pairs)

    @cached_property
    def checkpoint(self) -> Pretrain:
        return Pretrain(
            mixture=self.mixture,
            model=self.model,
            context=self.context,
            batch=self.batch,
            token_budget=self.token_budget,
            schedule=self.schedule,
            update=self.update,
            attend=self.attend,
            seed=self.seed,
            engines=self._engines(),
            workers=self.compute.workers,
            micro_batch=self.compute.micro_batch,
            save_every=self.compute.save_every,
        )

    def _engines(self) -> Any:
        if self.compute.engine == "plain":
            return PlainEngines()
        from infra.deepspeed_engine import DeepSpeedEngines

        return DeepSpeedEngines(zero=self.compute.zero)

    @cached_property
    def evaluation(self) -> Evaluate:
        return Evaluate(checkpoint=self.checkpoint, tokens=self.tokens, tasks=self.tasks)

    @cached_property
    def samples(self) -> Sample:
        return Sample(checkpoint=self.checkpoint, prompts=self.prompts, sampling=self.sampling)

    @property
    def targets(self) -> tuple[Step[Any], ...]:
        return (self.evaluation, self.samples)
