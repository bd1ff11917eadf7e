"""One label a text, in minutes on two CPU cores.

On an accelerator, BERT's own settings are --schedule.peak 2e-5 --update.precision bf16 with a checkpoint of BERT's size.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.sequence_classification import SequenceClassification

RECIPE = FinetuneRecipe(task=SequenceClassification())
