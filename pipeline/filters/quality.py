"""Quality: a classifier that is trained on good and on bad documents, and keeps those that are like the good ones.

As in fastText (Joulin et al., 2017, https://arxiv.org/abs/1607.01759), which GPT-3, LLaMA and DCLM chose their web
pages with or after: a linear model over hashed n-grams, trained in seconds and fast enough for every document.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.documents import Documents, total
from pipeline.errors import RequestError
from pipeline.filters.features import FeatureKinds
from pipeline.workflow.artifact import Artifact, FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.filters.sieve import Verdict

LOW_QUALITY, WEIGHTS = "low-quality", "weights"
PARTS = 20


class QualityModel(Artifact):
    """A trained classifier: its weights as a .npy file of numbers, the last of which is the bias."""

    @property
    def features(self) -> FeatureKinds:
        """What its weights are of."""
        form = self.facts["features"]
        characters = form["characters"]
        return FeatureKinds(words=form["words"], characters=characters and (characters[0], characters[1]), bits=form["bits"])

    @property
    def file(self) -> FileEntry:
        """The file of the weights."""
        return self.files(WEIGHTS)[0]

    def weights(self) -> Any:
        """The weights [2^bits + 1] in single precision, mapped into memory."""
        import numpy as np

        return np.load(self.local(self.file), mmap_mode="r", allow_pickle=False)


@dataclass(frozen=True, kw_only=True)
class TrainQuality(Step[QualityModel]):
    """A classifier that tells the documents of `good` from those of `bad`.

    At most `sample_characters` of each kind are used (and no more than a 64th of that of one document), chosen by a hash
    of the ids; of these a share `held_out`, chosen in the same way, is not trained on. The facts say how well they are
    told apart: at one half, and for other thresholds how much of each kind would be kept. One half is where a document is
    as likely good as bad if there are as many of the one as of the other, whatever their numbers are here.
    `rate` is the learning rate of the first step; `seed` another choice and order.
    """

    artifact: ClassVar[type[Artifact]] = QualityModel

    good: tuple[Step[Documents], ...]
    bad: tuple[Step[Documents], ...]
    features: FeatureKinds = field(default_factory=FeatureKinds)
    held_out: float = 0.1
    sample_characters: int = 32 << 20
    epochs: int = 10
    rate: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, steps in (("good", self.good), ("bad", self.bad)):
            if not isinstance(steps, tuple) or not steps:
                raise RequestError(f"{name} is {steps!r}, not a tuple of steps: write (step,) for one")
        if not 0 < self.held_out < 1:
            raise RequestError(f"held_out is {self.held_out}: use a share between 0 and 1, for instance 0.1")
        if self.sample_characters < 1 << 10:
            raise RequestError(f"sample_characters is {self.sample_characters}: a classifier is trained on at least 1,024")
        if self.epochs < 1:
            raise RequestError(f"epochs is {self.epochs}: use 1 or more")
        if not 0 < self.rate <= 1000:
            raise RequestError(f"rate is {self.rate}: use more than 0 and up to 1000, for instance 10")

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.train, (None,))
        return receipt.facts

    def train(self, unit: Unit, _: None) -> Facts:
        """One unit: sample, train, try, write."""
        import io

        import numpy as np

        from pipeline.filters.classifier import features_of, probabilities, train
        from pipeline.filters.labelled import labelled
        from pipeline.filters.trial import trial

        kinds = {"good": [unit.open(step) for step in self.good], "bad": [unit.open(step) for step in self.bad]}
        examples = labelled(kinds, self.sample_characters, self.held_out, self.seed)
        held = examples.held
        features = features_of(examples.texts.filter(~held), self.features)
        orders = examples.orders(self.epochs, self.seed)
        weights = train(features, examples.good[~held], orders, self.rate, 1 << self.features.bits)
        found = probabilities(features_of(examples.texts.filter(held), self.features), weights)
        buffer = io.BytesIO()
        np.save(buffer, weights, allow_pickle=False)
        unit.write(WEIGHTS, buffer.getvalue(), ".npy", weights.size)
        return {"features": asdict(self.features), "examples": examples.counts(), "held_out": trial(found, examples.good[held])}


@dataclass(frozen=True, kw_only=True)
class Quality(Step[Documents]):
    """The documents that `model` takes for good with a probability of at least `least`; others are dropped as "low-quality".

    The facts' `probabilities` say how many documents were given which, in 20 equal parts from 0 to 1.
    """

    artifact: ClassVar[type[Documents]] = Documents

    documents: Step[Documents]
    model: Step[QualityModel]
    least: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise RequestError(f"least is {self.least}: use a probability from 0 (keep all) to 1")

    def run(self, context: Context) -> Facts:
        model = context.open(self.model)
        basis = [model.file.checksum, *map(str, asdict(model.features).values())]
        shards = context.open(self.documents).shards
        parted = list(context.map(self.part, shards, stands_for=lambda shard: [shard.checksum, *basis]))
        counts = [sum(column) for column in zip(*(receipt.facts["probabilities"] for receipt in parted), strict=True)]
        return total(receipt.facts for receipt in parted) | {"probabilities": counts}

    def part(self, unit: Unit, shard: FileEntry) -> Facts:
        """Write what a shard keeps, and the ledger of what it drops."""
        import numpy as np

        from pipeline.filters.classifier import features_of, probabilities
        from pipeline.filters.sieve import Verdict, sift

        model = unit.open(self.model)
        kinds, weights = model.features, model.weights()
        counts = np.zeros(PARTS, np.int64)

        def judge(batch: "pa.RecordBatch") -> Mapping[int, "Verdict"]:
            found = probabilities(features_of(batch["text"], kinds), weights)
            counts[:] += np.histogram(found, PARTS, (0, 1))[0]
            return {row: Verdict(LOW_QUALITY) for row in np.flatnonzero(found < self.least).tolist()}

        facts = sift(unit, unit.open(self.documents).batches(shard), judge)
        return facts | {"probabilities": counts.tolist()}
