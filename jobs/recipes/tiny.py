"""As small as a run can be while every stage does real work: for trying things out, and for tests. A minute on two cores."""

from jobs.recipe import PretrainRecipe
from pipeline.filters.length import WordCount
from pipeline.inference.generation import Sampling
from pipeline.models.llama import Llama

RECIPE = PretrainRecipe(
    filters=(WordCount(least=5),),
    vocab_size=512,
    validation=0.1,
    model=Llama(dim=32, depth=2, heads=2, key_value_heads=2),
    context=64,
    batch=8,
    token_budget=8_192,
    prompts=("The ",),
    sampling=Sampling(max_new_tokens=16),
)
