"""Where in a text the answer to a question stands, of files in SQuAD's format, in minutes on two CPU cores.

In Chinese: --task.language zh. With questions that have no answer (SQuAD 2): --task.unanswerable. On an accelerator, BERT's own settings
are --epochs 2 --schedule.peak 3e-5 --context 384 --update.precision bf16 with a checkpoint of BERT's size. Of records that are no SQuAD:
--layout table.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.question_answering import QuestionAnswering

RECIPE = FinetuneRecipe(task=QuestionAnswering(), layout="squad")
