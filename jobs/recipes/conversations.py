"""Conversations of several turns (messages of role and content, or ShareGPT's of from and value), every answer of them learned.

ShareGPT calls the column conversations: --task.messages conversations. Settings for accelerators are those of the recipe instructions.
"""

from dataclasses import replace

from jobs.recipes.instructions import RECIPE as INSTRUCTIONS
from pipeline.finetune.instruction import InstructionTuning

RECIPE = replace(INSTRUCTIONS, task=InstructionTuning(messages="messages"))
