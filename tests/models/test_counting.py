"""What a recipe says of a model without building it: its parameters, its operations and what a pass keeps, as PyTorch counts them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.models.base import Architecture
from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens

VOCABULARY, CONTEXT = 997, 64
RECIPES: dict[str, Architecture] = {
    "Llama": Llama(dim=64, depth=3, heads=4),
    "Llama with grouped queries": Llama(dim=48, depth=2, heads=6, key_value_heads=2, hidden=80, tied=False),
    "GPT-2": GPT2(dim=64, depth=3, heads=4),
    "Mixtral": Mixtral(dim=64, depth=3, heads=4),
    "Mixtral with more active experts": Mixtral(dim=48, depth=2, heads=6, key_value_heads=2, experts=4, active=3),
    "LSTM": Lstm(dim=64, depth=3),
    "LSTM with a state of its own width": Lstm(dim=24, depth=2, hidden=40, tied=False),
    "BERT": Bert(dim=64, depth=3, heads=4),
    "T5": T5(dim=64, depth=3, heads=4),
}
each = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


@st.composite
def recipes(draw: st.DrawFn) -> Architecture:
    """Any family, at any small size that it takes."""
    kind = draw(st.sampled_from([Llama, GPT2, Mixtral, Lstm, Bert, T5]))
    groups, shared = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    heads, tied, hidden = groups * shared, draw(st.booleans()), draw(st.none() | st.integers(1, 70))
    sizes = {"dim": 2 * heads * draw(st.integers(1, 5)), "depth": draw(st.integers(1, 3))}
    if kind is Lstm:
        return Lstm(**sizes, hidden=None if tied else hidden, tied=tied)
    if kind is Llama:
        return Llama(**sizes, heads=heads, key_value_heads=groups, hidden=hidden, tied=tied)
    if kind is Mixtral:
        active, others = draw(st.integers(1, 3)), draw(st.integers(0, 3))
        experts = {"experts": active + others, "active": active}
        return Mixtral(**sizes, **experts, heads=heads, key_value_heads=groups, hidden=hidden, tied=tied)
    return kind(**sizes, heads=heads, hidden=hidden)


@settings(max_examples=60)
@given(recipe=recipes(), vocabulary=st.integers(50, 300), context=st.integers(2, 80))
def test_the_parameters_are_those_of_the_model_that_is_built(recipe: Architecture, vocabulary: int, context: int) -> None:
    with torch.device("meta"):
        built = recipe.build(vocabulary, context)
    assert recipe.parameter_count(vocabulary, context) == sum(weight.numel() for weight in built.parameters())


@each
@pytest.mark.filterwarnings("ignore:TF32 acceleration:UserWarning")  # of what no CPU has
def test_the_stated_operations_are_those_that_pytorch_counts_with_attention_over_all_of_the_context(recipe: Architecture) -> None:
    model = recipe.build(VOCABULARY, CONTEXT)
    # what is fused would not be counted
    with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*questions(recipe, 2)).backward()
    # the first token of a window finds an empty state, and T5 and BERT share what they predict among all tokens of a window
    within = 1 / CONTEXT if isinstance(recipe, Lstm) else 1e-6
    assert counter.get_total_flops() / (2 * CONTEXT) == pytest.approx(recipe.flops_per_token(VOCABULARY, CONTEXT), rel=within)


@each
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("apart", [False, True])
def test_what_a_pass_keeps_of_a_window_is_foretold_to_within_a_sixth(recipe: Architecture, precision: torch.dtype, apart: bool) -> None:
    model = recipe.build(VOCABULARY, CONTEXT)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    few, more = (kept_bytes(model, questions(recipe, rows, apart), precision, own) for rows in (2, 4))
    told = recipe.kept(recipe.learns(), VOCABULARY, CONTEXT, apart)
    assert told.wide * 4 + told.narrow * precision.itemsize == pytest.approx((more - few) / 2, rel=1 / 6)


def questions(recipe: Architecture, rows: int, apart: bool = False) -> list[Tensor]:
    """What the model is called with for some windows: of one document each, or of two."""
    objective = recipe.learns()
    if isinstance(objective, CorruptedSpans):
        read, written = objective.lengths(CONTEXT)
        return [some_tokens(rows, read), some_tokens(rows, written), some_tokens(rows, written)]
    given = [some_tokens(rows, CONTEXT), some_tokens(rows, CONTEXT)]
    if isinstance(objective, MaskedTokens):
        predicted = torch.arange(objective.predictions(CONTEXT)).expand(rows, -1).contiguous()
        given[1:] = [predicted, some_tokens(*predicted.shape)]
    if not apart:
        return given
    places = torch.arange(CONTEXT).expand(rows, -1)
    return [*given, places // (CONTEXT // 2), places % (CONTEXT // 2)]


def some_tokens(rows: int, length: int) -> Tensor:
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(rows))


def kept_bytes(model: torch.nn.Module, inputs: list[Tensor], precision: torch.dtype, own: set[int]) -> int:
    """The bytes that a forward pass keeps for the backward pass, each once; what is there anyway does not count."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        return kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)

    there = own | {tensor.untyped_storage().data_ptr() for tensor in inputs}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", precision, precision.itemsize < 4):
        loss = model(*inputs)
    total = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in there)
    assert loss.requires_grad  # until here, so that nothing kept was freed and its place taken
    return total
