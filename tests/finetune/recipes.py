"""Fine-tunings as small as they can be."""

from pathlib import Path
from typing import Any

from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.examples import ReadExamples
from pipeline.finetune.finetune import Finetune
from pipeline.finetune.records import RecordFiles
from pipeline.finetune.sequence_classification import SequenceClassification
from pipeline.finetune.windows import EncodeExamples
from pipeline.train.engine import AdamW, Update
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.train.schedule import Schedule


def finetune(folder: Path, labelled: Path, task: FinetuneTask | None = None, **fields: Any) -> Finetune:
    """A recipe on a checkpoint in a folder and a file of records; any field can be given instead."""
    task = task or SequenceClassification()
    checkpoint = ForeignCheckpoint.at(str(folder))
    examples = ReadExamples(files=RecordFiles.at((str(labelled),)), task=task)
    held_out = fields.get("held_out", 0.2)
    recipe: dict[str, Any] = {
        "checkpoint": checkpoint,
        "task": task,
        "train": examples,
        "windows": EncodeExamples(examples=examples, checkpoint=checkpoint, task=task, held_out=held_out, context=fields.get("context")),
        "held_out": held_out,
        "batch": 8,
        "epochs": 6,
        "schedule": Schedule(peak=3e-3, warmup=0.1, floor=0.0, decay="linear"),
        "update": Update(optimizer=AdamW(weight_decay=0.0)),
        "save_every": 20,
        **fields,
    }
    return Finetune(**recipe)
