"""Answers to questions on a text, written rather than marked in it, of files in SQuAD's format, in minutes on two CPU cores.

In Chinese: --task.language zh --task.prefix "问题：" --task.between " 材料：" --task.separator " 回答：".
On an accelerator as `summaries`. Of records that are no SQuAD: --layout table.
"""

from dataclasses import replace

from jobs.recipes.summaries import RECIPE as SUMMARIES
from pipeline.finetune.generative_question_answering import GenerativeQuestionAnswering

RECIPE = replace(SUMMARIES, task=GenerativeQuestionAnswering(), layout="squad")
