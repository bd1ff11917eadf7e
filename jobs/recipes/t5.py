"""A T5-style encoder-decoder on the source and documentation of the Python that runs, in minutes on two CPU cores.

On an accelerator, the size of T5 small is --model.dim 512 --model.depth 8 --model.heads 8 --model.hidden 1024 --context 512 --batch 128
--update.precision bf16 --schedule.peak 1e-3 --vocab-size 32768, with a token budget of some billions.
"""

from dataclasses import replace

from jobs.recipes.python_library import RECIPE as DECODER
from pipeline.evaluate.restoration import Restoration
from pipeline.inference.generation import Sampling
from pipeline.models.t5 import T5
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.train.schedule import Schedule

OBJECTIVE = CorruptedSpans()
RECIPE = replace(
    DECODER,
    model=T5(dim=128, depth=2, heads=2),
    objective=OBJECTIVE,
    attend="window",
    schedule=Schedule(peak=3e-3, warmup=0.1, floor=0.0, decay="linear"),
    tasks=(Restoration(objective=OBJECTIVE),),
    prompts=("import <extra_id_0>\n", "    def __init__(<extra_id_0>, name):\n        self.<extra_id_1> = name\n"),
    sampling=Sampling(max_new_tokens=24, temperature=0),
)
