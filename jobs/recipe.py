"""What a recipe is: named fields that people change, and the graph of steps that they stand for.

A preset is a literal in `jobs/recipes/`; the command line overrides its fields. Building the graph runs
nothing, but looks at the sources, since their state is part of the identity of all that follows.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

from pipeline.batches.mixture import Weighted
from pipeline.batches.phases import Phase
from pipeline.dedup.deduplicate import Deduplicate
from pipeline.dedup.paragraphs import DeduplicateParagraphs
from pipeline.dedup.substrings import DeduplicateSubstrings
from pipeline.documents import Documents
from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.sample import Sample
from pipeline.filters.base import Filter
from pipeline.filters.clean import Clean
from pipeline.filters.decontaminate import Decontaminate
from pipeline.filters.evaluation_set import EvaluationSet
from pipeline.filters.quality import Quality, TrainQuality
from pipeline.inference.generation import Sampling
from pipeline.models.base import Architecture
from pipeline.models.llama import Llama
from pipeline.objectives.base import Objective
from pipeline.objectives.next_token import NextToken
from pipeline.sources.base import Source
from pipeline.sources.extraction.extractors import ExtractorName
from pipeline.sources.forgotten import Forgotten
from pipeline.sources.ingest import Ingest
from pipeline.sources.locations import source_at
from pipeline.sources.python_library import PythonLibrary
from pipeline.tokens.shards import TokenShards
from pipeline.tokens.split import HeldOutOf, Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import ExistingTokenizer, TokenizerFiles, TokenizerKind, TrainTokenizer
from pipeline.train.engine import Update
from pipeline.train.plain import PlainEngines
from pipeline.train.pretrain import Pretrain
from pipeline.train.prices import Prices
from pipeline.train.schedule import Schedule
from pipeline.train.watch import Watch
from pipeline.workflow.fingerprint import later
from pipeline.workflow.step import Step


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe:
    """From sources to token shards."""

    sources: tuple[str, ...] = ()
    """Files, folders, globs, s3://…, https://… or hf://datasets/OWNER/NAME[@REVISION]; none: the Python library."""
    text_field: str = "text"
    """The field of a record that holds its text."""
    extractor: ExtractorName = "resiliparse"
    """What makes text of web pages."""
    loss_budget: float = 0.5
    """Share of a source's records that may be lost to damage before the run fails."""
    normalize: Literal["NFC"] | None = "NFC"
    """Unicode normalisation form of the text."""
    mend: bool = False
    """Mend mis-decoded text with ftfy."""
    filters: tuple[Filter, ...] = ()
    """What a document must pass, in order; --filters alone: nothing."""
    against: tuple[str, ...] = ()
    """Evaluation sets (JSON Lines): documents that hold a part of an example are dropped."""
    good: tuple[str, ...] = ()
    """Sources of examples of good text: a classifier is trained on them, and drops what is more like the bad."""
    bad: tuple[str, ...] = ()
    """Sources of examples of bad text."""
    least_quality: float = 0.5
    """Least probability of being good, where there are examples."""
    repeated: Literal["line", "paragraph"] | None = None
    """Take lines or paragraphs out that an earlier document has; None: leave them."""
    similarity: float | None = 0.8
    """True Jaccard similarity from which a document is a near-duplicate of an earlier one; None: exact ones only."""
    substrings: int | None = None
    """Cut out what an earlier document has too, from about so many bytes on (200 is usual); None: leave it."""
    tokenizer: str | None = None
    """A tokenizer.json, its folder or a Hugging Face name; None: train one on the corpus."""
    vocab_size: int = 4096
    """Entries of a tokenizer that is trained."""
    tokenizer_kind: TokenizerKind = later("bpe")
    """Whether a tokenizer that is trained is a byte-level BPE, or of single characters."""
    validation: float = 0.01
    """Share of the documents that is held out, chosen by a hash of their ids."""
    held_out: HeldOutOf = later("documents")
    """What that is a share of: the documents, or the text of each, whose end is held out then."""

    @cached_property
    def split(self) -> Split:
        return Split(fraction=self.validation, of=self.held_out)

    @cached_property
    def located(self) -> tuple[Source, ...]:
        """The sources as they are now."""
        if not self.sources:
            return (PythonLibrary.at(),)
        return tuple(source_at(location, text_field=self.text_field, extractor=self.extractor) for location in self.sources)

    @cached_property
    def ingests(self) -> tuple[Ingest, ...]:
        """What is read, in order: earlier documents win over later ones."""
        return tuple(Ingest(source=source, loss_budget=self.loss_budget) for source in self.located)

    @cached_property
    def unique(self) -> Deduplicate:
        chosen = tuple(map(self._chosen, self.ingests))
        if self.repeated is not None:
            chosen = (DeduplicateParagraphs(documents=chosen, unit=self.repeated),)
        return Deduplicate(documents=chosen, similarity=self.similarity)

    @cached_property
    def documents(self) -> Step[Documents]:
        """What is tokenized."""
        return self.unique if self.substrings is None else DeduplicateSubstrings(documents=(self.unique,), length=self.substrings)

    def _chosen(self, ingest: Ingest) -> Step[Documents]:
        """What of a source is worth keeping, before it is compared with all others."""
        chosen: Step[Documents] = Clean(documents=ingest, normalize=self.normalize, mend=self.mend, filters=self.filters)
        if self._against:
            chosen = Decontaminate(documents=chosen, against=self._against)
        if self._quality is not None:
            chosen = Quality(documents=chosen, model=self._quality, least=self.least_quality)
        return chosen

    @cached_property
    def _against(self) -> tuple[EvaluationSet, ...]:
        return tuple(map(EvaluationSet.at, self.against))

    @cached_property
    def _quality(self) -> TrainQuality | None:
        if not self.good and not self.bad:
            return None
        if not self.good or not self.bad:
            raise RequestError("--good and --bad go together: a classifier needs examples of both")
        return TrainQuality(good=self._examples(self.good), bad=self._examples(self.bad))

    def _examples(self, locations: tuple[str, ...]) -> tuple[Step[Documents], ...]:
        """Examples are brought to the same form as what is compared with them."""
        sources = [source_at(location, text_field=self.text_field, extractor=self.extractor) for location in locations]
        ingests = (Ingest(source=source, forgotten=self.forgotten_of(source)) for source in sources)
        return tuple(Clean(documents=ingest, normalize=self.normalize, mend=self.mend) for ingest in ingests)

    @cached_property
    def forgotten_of(self) -> Callable[[Source], Forgotten | None]:
        """What of a source is forgotten; in a root without records, nothing."""
        return lambda source: None  # noqa: ARG005 - the shape is that of the function which `grown` is given

    @cached_property
    def tokenizer_step(self) -> Step[TokenizerFiles]:
        if self.tokenizer is None:
            return TrainTokenizer(documents=self.documents, vocab_size=self.vocab_size, split=self.split, kind=self.tokenizer_kind)
        return ExistingTokenizer.at(self.tokenizer)

    @cached_property
    def tokens(self) -> Tokenize:
        return Tokenize(documents=self.documents, tokenizer=self.tokenizer_step, split=self.split)

    def grown(
        self, ingests: tuple[Ingest, ...], tokenizer: Step[TokenizerFiles] | None, forgotten_of: Callable[[Source], Forgotten | None]
    ) -> Self:
        """The same recipe on a corpus that has a history: what is read of each state, the tokenizer of the first, what is forgotten."""
        recipe = replace(self)
        recipe.__dict__.update(located=self.located, ingests=ingests, forgotten_of=forgotten_of)
        if tokenizer is not None:
            recipe.__dict__["tokenizer_step"] = tokenizer
        return recipe

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
    offload: Literal["none", "cpu"] = "none"
    """Where DeepSpeed holds the optimizer's state, and at stage 3 the weights: none, with the model; cpu, in the machine's memory."""
    micro_batch: int = 8
    """Windows that one process takes at once."""
    save_every: int = 200
    """Steps between checkpoints to resume from."""
    recompute: bool = False
    """Compute the layers' activations once more in the backward pass instead of keeping them: less memory, about a third more time."""
    compile: bool = False
    """Let torch.compile make programs of the layers: up to a minute more at the start."""
    least_workers: int | None = None
    """Processes to go on with while the cluster has no room for all of them; None: it waits."""
    sequence_parallel: int = 1
    """Neighbouring processes that share each window, a slice of its tokens each: for long contexts."""
    prices: str | None = None
    """A TOML file that says what devices cost, for what a training will cost and has cost; see the README."""

    @property
    def price_list(self) -> Prices | None:
        return None if self.prices is None else Prices.read(self.prices)


def engines_of(compute: Compute) -> Any:
    """What a training gang computes with."""
    if compute.engine == "plain":
        if compute.offload != "none":
            raise RequestError(f"--compute.offload is {compute.offload}, which DeepSpeed alone can: use --compute.engine deepspeed")
        return PlainEngines(sequence_parallel=compute.sequence_parallel)
    from infra.deepspeed_engine import DeepSpeedEngines

    return DeepSpeedEngines(zero=compute.zero, offload=compute.offload, sequence_parallel=compute.sequence_parallel)


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(CorpusRecipe):
    """From sources to an evaluated model."""

    states: tuple[int, ...] = ()
    """States of the corpus to train on, one after the other, by the numbers that refresh gives them; none: the corpus as it is now."""
    at: tuple[int, ...] = ()
    """The steps, counted from 0, from which on each state but the first is trained on."""
    weights: tuple[float, ...] = ()
    """The weight of each source in the training data; none: as much of each as there is."""
    model: Architecture = Llama(dim=256, depth=4, heads=4)
    """Its kind and size."""
    objective: Objective = NextToken()
    """What it learns to predict."""
    context: int = 256
    """Tokens in a training window."""
    batch: int = 32
    """Windows in an optimizer step, over all workers."""
    token_budget: int = 2_000_000
    """Tokens to train on."""
    trunk: int | None = None
    """The token budget of a longer run of this recipe, to branch off where this one's rate begins to fall; needs --schedule.decay wsd."""
    keep_at: tuple[int, ...] = ()
    """Steps, counted from 1, whose checkpoints are kept when the run is done, for others to branch off."""
    schedule: Schedule = Schedule()
    peak_at_width: int | None = None
    """The width (model.dim) that schedule.peak was found for; another one has the peak in inverse proportion. None: the peak as it is."""
    update: Update = Update()
    attend: Literal["document", "window"] = "document"
    """Whether attention stays inside a document or spans the window."""
    watch: Watch = Watch()
    """What is done where a step's loss or gradient is no number, or its loss jumps."""
    seed: int = 0
    tasks: tuple[EvalTask[Any, Any], ...] = (Perplexity(),)
    prompts: tuple[str, ...] = ("",)
    """What the sample texts begin with."""
    sampling: Sampling = Sampling()
    compute: Compute = Compute()

    def __post_init__(self) -> None:
        if len(self.at) != max(0, len(self.states) - 1):
            raise RequestError(
                f"--states has {len(self.states)} values, and --at has {len(self.at)}: give a step for each state but the first"
            )

    @cached_property
    def earlier(self) -> tuple[Step[TokenShards], ...]:
        """The token shards of the states before the last, which only a root knows."""
        return ()

    def continued(self, earlier: tuple[Step[TokenShards], ...]) -> Self:
        """The same recipe, trained on earlier states of its corpus first."""
        recipe = copy(self)
        recipe.__dict__["earlier"] = earlier
        return recipe

    def _mixture(self, tokens: Step[TokenShards]) -> tuple[Weighted, ...]:
        if not self.weights:
            return (Weighted(tokens=tokens),)
        if len(self.weights) != len(self.located):
            raise RequestError(
                f"--weights has {len(self.weights)} values for {len(self.located)} sources: give one weight a source, or none"
            )
        pairs = zip(self.located, self.weights, strict=True)
        return tuple(Weighted(tokens=tokens, weight=weight, source=source.name) for source, weight in pairs)

    @cached_property
    def checkpoint(self) -> Pretrain:
        mixture, *later = map(self._mixture, (*self.earlier, self.tokens))
        return Pretrain(
            mixture=mixture,
            model=self.model,
            objective=self.objective,
            context=self.context,
            batch=self.batch,
            token_budget=self.token_budget,
            trunk=self.trunk,
            schedule=self.schedule,
            peak_at_width=self.peak_at_width,
            update=self.update,
            attend=self.attend,
            watch=self.watch,
            seed=self.seed,
            then=tuple(Phase(at=at, mixture=mixture) for at, mixture in zip(self.at, later, strict=True)),
            engines=engines_of(self.compute),
            workers=self.compute.workers,
            micro_batch=self.compute.micro_batch,
            save_every=self.compute.save_every,
            least_workers=self.compute.least_workers,
            recompute=self.compute.recompute,
            compile=self.compute.compile,
            keep_at=self.keep_at,
            prices=self.compute.price_list,
        )

    @cached_property
    def evaluation(self) -> Evaluate:
        return Evaluate(checkpoint=self.checkpoint, tokens=self.tokens, tasks=self.tasks)

    @cached_property
    def samples(self) -> Sample:
        return Sample(checkpoint=self.checkpoint, prompts=self.prompts, sampling=self.sampling)

    @property
    def targets(self) -> tuple[Step[Any], ...]:
        return (self.evaluation, self.samples)
