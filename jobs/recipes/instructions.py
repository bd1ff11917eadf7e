"""Answers to instructions (Alpaca's instruction, input and output), in minutes on two CPU cores.

A window holds several conversations, so that a step of eight windows is a step of many more of them. On an accelerator:
--schedule.peak 2e-5 --update.precision bf16 --context 2048 --batch 32 --compute.micro-batch 4 with a checkpoint of a billion weights;
with --lora-rank 16, --schedule.peak 2e-4.
"""

from jobs.finetuning import FinetuneRecipe
from jobs.recipe import Compute
from pipeline.finetune.instruction import InstructionTuning
from pipeline.train.schedule import Schedule

RECIPE = FinetuneRecipe(
    task=InstructionTuning(),
    batch=8,
    dropout=0.0,
    schedule=Schedule(peak=5e-4, warmup=0.1, floor=0.0, decay="linear"),
    compute=Compute(micro_batch=8),
)
