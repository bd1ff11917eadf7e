"""GPT-2 on the Python library's own source text: the first choice of a baseline. A few minutes on two cores.

On GPUs, at the size of its smallest release: `--model.dim 768 --model.depth 12 --model.heads 12 --context 1024 --batch 512
--vocab-size 50257 --schedule.peak 6e-4 --update.precision bf16 --compute.workers GPUS`, on text of some billions of tokens.
"""

from jobs.recipe import PretrainRecipe
from pipeline.filters.length import WordCount
from pipeline.models.gpt2 import GPT2
from pipeline.train.schedule import Schedule

RECIPE = PretrainRecipe(
    filters=(WordCount(least=20),),
    vocab_size=2048,
    model=GPT2(dim=128, depth=4, heads=4),
    context=128,
    batch=16,
    token_budget=1_048_576,
    schedule=Schedule(peak=2e-3, warmup=0.05),
    prompts=("def ",),
)
