"""What a fine-tuning is asked for with, and what is looked at before it starts."""

from dataclasses import dataclass, field

from jobs.checkpoints import checkpoint_step, folder_of
from jobs.recipe import Compute, engines_of
from pipeline.errors import RequestError
from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.examples import ReadExamples, survey
from pipeline.finetune.finetune import USUAL, Finetune
from pipeline.finetune.lora import Lora
from pipeline.finetune.reader import Reader, labels_for
from pipeline.finetune.records import Layout, RecordFiles
from pipeline.finetune.sequence_classification import SequenceClassification
from pipeline.finetune.windows import EncodeExamples
from pipeline.storage import Store
from pipeline.train.engine import AdamW, Update
from pipeline.train.schedule import Schedule
from pipeline.train.watch import Watch


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe:
    """A checkpoint onto a task."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, finetune/FINGERPRINT, or a folder with config.json and safetensors; None: the newest pretrained one."""
    task: FinetuneTask = SequenceClassification()
    """Which columns of a record are what."""
    train: tuple[str, ...] = ()
    """Labelled examples: files, globs, or hf://datasets/OWNER/NAME[@REVISION][#SPLIT]."""
    validation: tuple[str, ...] = ()
    """Examples that say which weights are best; none: a share of the training examples."""
    test: tuple[str, ...] = ()
    """Examples that are scored once, at the end."""
    layout: Layout = "table"
    """table: a row a record (JSONL, JSON, CSV, TSV, Parquet, Arrow); conll; squad; lines: aligned files, one a column."""
    columns: tuple[str, ...] = ()
    """Names of the columns, where files do not say them."""
    held_out: float = 0.1
    """Share of the training examples that is held out where there are no validation files."""
    epochs: float = 3.0
    """Times that every example is trained on."""
    batch: int = 32
    """Examples in a step, over all workers."""
    context: int | None = None
    """Greatest number of tokens of an example; None: the model's."""
    schedule: Schedule = USUAL
    update: Update = field(default_factory=lambda: Update(optimizer=AdamW(beta2=0.999, weight_decay=0.01)))
    lora_rank: int | None = None
    """Width of low-rank adapters, which alone are trained then; None: every weight is."""
    lora_alpha: int = 16
    """What an adapter adds is scaled by alpha / rank."""
    dropout: float = 0.1
    look_every: int | None = None
    """Steps between looks at the validation examples; None: one an epoch, but at least ten in all."""
    look_rows: int = 512
    """Greatest number of validation examples in a look; the end looks at all."""
    patience: int | None = None
    """Looks without a better score after which training stops; None: never."""
    seed: int = 0
    """Of a new head, of the order of the examples and of dropout."""
    watch: Watch = Watch()
    """What is done where a step's loss or gradient is no number, or its loss jumps."""
    compute: Compute = field(default_factory=lambda: Compute(micro_batch=32))

    def target(self, store: Store) -> Finetune:
        """The step that trains; raises RequestError for what cannot be read."""
        if not self.train:
            raise RequestError("--train is empty: name files of labelled examples")
        if self.compute.compile:
            raise RequestError("--compute.compile is True, which pretraining alone can: leave it out")
        checkpoint = checkpoint_step(self.checkpoint, store)
        train = self._examples(self.train)
        held_out = 0.0 if self.validation else self.held_out
        return Finetune(
            checkpoint=checkpoint,
            task=self.task,
            train=train,
            windows=EncodeExamples(examples=train, checkpoint=checkpoint, task=self.task, context=self.context, held_out=held_out),
            validation=self._examples(self.validation) if self.validation else None,
            test=self._examples(self.test) if self.test else None,
            held_out=held_out,
            epochs=self.epochs,
            batch=self.batch,
            schedule=self.schedule,
            update=self.update,
            lora=None if self.lora_rank is None else Lora(rank=self.lora_rank, alpha=self.lora_alpha),
            dropout=self.dropout,
            look_every=self.look_every,
            look_rows=self.look_rows,
            patience=self.patience,
            seed=self.seed,
            context=self.context,
            watch=self.watch,
            engines=engines_of(self.compute),
            workers=self.compute.workers,
            micro_batch=self.compute.micro_batch,
            save_every=self.compute.save_every,
            least_workers=self.compute.least_workers,
            recompute=self.compute.recompute,
            prices=self.compute.price_list,
        )

    def _examples(self, locations: tuple[str, ...]) -> ReadExamples:
        return ReadExamples(files=RecordFiles.at(locations, self.layout, self.columns), task=self.task)


def check_request(target: Finetune, store: Store) -> None:
    """Raise RequestError for what would fail later: records without the columns, labels that nobody learns, a model that cannot."""
    sets = {name: step for name in ("train", "validation", "test") if isinstance(step := getattr(target, name), ReadExamples)}
    found = {name: survey(step.files, step.task) for name, step in sets.items()}
    learned = found["train"].labels
    for name, survey_ in found.items():
        if unknown := sorted(survey_.labels - learned):
            raise RequestError(
                f"--{name} has the label {unknown[0]!r}, which no training example has, but {', '.join(sorted(learned))}: mend it"
            )
    if len(learned) == 1:
        raise RequestError(f"--train has one label, {next(iter(learned))!r}: give examples of at least two")
    folder = folder_of(target.checkpoint, store)
    Reader(folder, labels_for(folder, tuple(learned)), target.context).check(target.task)
