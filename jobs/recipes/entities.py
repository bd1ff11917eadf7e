"""Named entities in sentences, of files in the format of CoNLL (a word a line, its tag last), in minutes on two CPU cores.

Of a file with more columns, such as parts of speech, the first and the last are taken. Of records with lists of words and tags: --layout
table. On an accelerator, BERT's own settings are --schedule.peak 5e-5 --update.precision bf16 with a checkpoint of BERT's size.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.token_classification import TokenClassification

RECIPE = FinetuneRecipe(task=TokenClassification(), layout="conll", columns=("tokens", "tags"))
