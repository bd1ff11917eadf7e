"""Translation, in minutes on two CPU cores; of aligned files: --layout lines --columns source target --train A.de A.en.

Say what is to be done in words that stand before every source, such as --task.prefix "translate German to English: ", and the language of
the target by --task.language, which BLEU depends on.

On an accelerator, from T5 small on: --schedule.peak 3e-4 --batch 128 --update.precision bf16; from a decoder of its size, a third of
that peak, and --lora-rank 16 with ten times that peak from a billion parameters on.
"""

from jobs.finetuning import FinetuneRecipe
from pipeline.finetune.translation import Translation
from pipeline.train.schedule import Schedule

RECIPE = FinetuneRecipe(task=Translation(), schedule=Schedule(peak=1e-3, warmup=0.1, floor=0.0, decay="linear"))
"""A small model that was pretrained for minutes takes ten times the peak that a large one does."""
