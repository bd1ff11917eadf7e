"""Summaries of articles, in minutes on two CPU cores.

On an accelerator, from T5 small on: --schedule.peak 3e-4 --batch 64 --context 1024 --update.precision bf16; from a decoder of its size, a
third of that peak. A greater --task.max-new-tokens is for longer summaries; a decoder keeps so many tokens of its context for them.
"""

from jobs.finetuning import FinetuneRecipe
from jobs.recipes.translation import RECIPE as TRANSLATION
from pipeline.finetune.summarization import Summarization

RECIPE = FinetuneRecipe(task=Summarization(), schedule=TRANSLATION.schedule)
