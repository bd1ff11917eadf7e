"""A mixture of eight experts, two for each token, on the Python library's own source text. A few minutes on two cores.

With the same `dim`, `depth` and `heads`, `Llama` costs about as much a token: what the other experts add is in the difference.
On GPUs, many small experts: `--model.dim 1024 --model.depth 16 --model.heads 16 --model.experts 64 --model.active 8 --model.hidden 512
--context 2048 --batch 512 --schedule.peak 4e-4 --update.precision bf16 --compute.zero 2 --compute.workers GPUS`.
"""

from jobs.recipe import PretrainRecipe
from pipeline.filters.length import WordCount
from pipeline.models.mixtral import Mixtral
from pipeline.train.schedule import Schedule

RECIPE = PretrainRecipe(
    filters=(WordCount(least=20),),
    vocab_size=2048,
    model=Mixtral(dim=128, depth=4, heads=4, experts=8, active=2),
    context=128,
    batch=16,
    token_budget=1_048_576,
    schedule=Schedule(peak=3e-3, warmup=0.05),
    prompts=("def ",),
)
