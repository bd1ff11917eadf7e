"""The default: the source and documentation of the Python that runs, and a model that two CPU cores train in minutes."""

from jobs.recipe import Compute, PretrainRecipe
from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.length import WordCount
from pipeline.filters.repetition import Repetition
from pipeline.filters.symbols import Symbols
from pipeline.models.llama import Llama
from pipeline.train.schedule import Schedule

RECIPE = PretrainRecipe(
    filters=(  # wider than Gopher's defaults, which are for prose: code repeats itself
        WordCount(least=10),
        Repetition(
            duplicate_lines=0.5,
            duplicate_line_characters=0.4,
            top_grams=(0.3, 0.3, 0.3),
            duplicate_grams=(0.60, 0.55, 0.50, 0.50, 0.45, 0.45),
        ),
        Symbols(hashes=0.5),
        Alphanumeric(alphabetic_words=0.5, least_length=2.0, most_length=15.0),
    ),
    vocab_size=4096,
    validation=0.03,
    model=Llama(dim=128, depth=2, heads=2),
    context=128,
    batch=8,
    token_budget=3_600_000,
    schedule=Schedule(peak=4e-3, warmup=0.05, floor=0.0, decay="linear"),
    compute=Compute(workers=2, micro_batch=4, save_every=200),
    prompts=("def test", "The"),
)
