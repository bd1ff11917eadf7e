"""A small GPT-2 on the characters of one text, at the setting that nanoGPT gives for a CPU. Three minutes on two cores.

With `--sources FILE.txt`; the last tenth of the text is held out as one piece. On 1.1 million characters of Shakespeare (tinyshakespeare)
nanoGPT (github.com/karpathy/nanoGPT) names a loss of 1.88 nats a character; this one comes to 1.86 on windows of it, 1.85 on all of it.
"""

from jobs.recipe import Compute, PretrainRecipe
from pipeline.inference.generation import Sampling
from pipeline.models.gpt2 import GPT2
from pipeline.train.engine import AdamW, Update
from pipeline.train.schedule import Schedule

RECIPE = PretrainRecipe(
    tokenizer_kind="characters",
    validation=0.1,
    held_out="ends",
    model=GPT2(dim=128, depth=4, heads=4),
    context=64,
    batch=12,
    token_budget=2_000 * 12 * 64,
    schedule=Schedule(peak=1e-3, warmup=0.05),
    update=Update(optimizer=AdamW(beta2=0.99)),
    prompts=("\n",),
    sampling=Sampling(max_new_tokens=400),
    compute=Compute(micro_batch=12),
)
