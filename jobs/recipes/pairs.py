"""One label a pair of texts, such as whether one follows from the other, in minutes on two CPU cores.

On an accelerator, BERT's own settings are --schedule.peak 2e-5 --update.precision bf16 with a checkpoint of BERT's size.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.pair_classification import PairClassification

RECIPE = FinetuneRecipe(task=PairClassification())
