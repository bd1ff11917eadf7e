"""Summaries of dialogues, as DialogSum and SAMSum have them, in minutes on two CPU cores; on an accelerator as `summaries`."""

from dataclasses import replace

from jobs.recipes.summaries import RECIPE as SUMMARIES
from pipeline.finetune.summarization import Summarization

RECIPE = replace(SUMMARIES, task=Summarization(text="dialogue"))
