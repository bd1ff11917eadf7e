"""An LSTM on the Python library's own source text: what there was before attention. A few minutes on two cores.

On GPUs, at the size of Zaremba's large one: `--model.dim 1500 --model.depth 2 --model.dropout 0.65 --context 256 --batch 256
--schedule.peak 1e-3 --update.precision bf16 --compute.workers GPUS`.
"""

from jobs.recipe import PretrainRecipe
from pipeline.filters.length import WordCount
from pipeline.models.lstm import Lstm
from pipeline.train.schedule import Schedule

RECIPE = PretrainRecipe(
    filters=(WordCount(least=20),),
    vocab_size=2048,
    model=Lstm(dim=256, depth=2),
    context=128,
    batch=16,
    token_budget=1_048_576,
    schedule=Schedule(peak=2e-2, warmup=0.05),
    prompts=("def ",),
)
