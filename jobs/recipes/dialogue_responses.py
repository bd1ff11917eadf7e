"""The next turn of a dialogue, in minutes on two CPU cores; on an accelerator as `summaries`.

Every turn of a dialogue but the first is an example, so --epochs counts more steps than there are dialogues.
"""

from dataclasses import replace

from jobs.recipes.summaries import RECIPE as SUMMARIES
from pipeline.finetune.dialogue_response import DialogueResponse

RECIPE = replace(SUMMARIES, task=DialogueResponse())
