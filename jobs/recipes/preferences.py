"""The better of two answers, by direct preference optimization of a checkpoint that has learned to converse.

LLaMA-Factory calls the column of questions conversations: --task.prompt conversations. On an accelerator:
--schedule.peak 5e-7 --update.precision bf16 --context 2048 --compute.micro-batch 2 with a checkpoint of a billion weights; with
--lora-rank 16, --schedule.peak 5e-6.
"""

from jobs.finetuning import FinetuneRecipe
from jobs.recipe import Compute
from pipeline.finetune.preference import PreferenceTuning
from pipeline.train.schedule import Schedule

RECIPE = FinetuneRecipe(
    task=PreferenceTuning(),
    epochs=2.0,
    batch=16,
    dropout=0.0,
    schedule=Schedule(peak=5e-5, warmup=0.1, floor=0.0, decay="linear"),
    compute=Compute(micro_batch=8),
)
