"""Named entities in sentences, of files in the format of CoNLL (a word a line, its tag last), in minutes on two CPU cores.

An encoder (`bert`) is best at it, for it sees what follows a word. On an accelerator, BERT's own settings are --schedule.peak 5e-5
--update.precision bf16 with a checkpoint of BERT's size. Of records with lists of words and tags: --layout table.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.token_classification import TokenClassification

RECIPE = FinetuneRecipe(task=TokenClassification(), layout="conll", columns=("tokens", "tags"))
"""Of a file with more columns, such as parts of speech, the first one and the last one are taken."""
