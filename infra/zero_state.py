"""What a member updates under DeepSpeed ZeRO, as parts of the weights by their names; see `pipeline/train/state.py`.

DeepSpeed's own checkpoints open at the number of processes that wrote them, its universal ones after a conversion by one process that
needs room for all of them, and both are pickles. Here a member reads and writes what it holds: from stage 1 on
a stretch of a group's flat tensor, which begins and ends anywhere in a weight; at stage 3 an equal share of every weight.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.train.state import Part, whole_parts

if TYPE_CHECKING:
    from torch.optim import Optimizer


def optimizer_of(engine: Any, zero: int) -> "Optimizer":
    """PyTorch's optimizer inside DeepSpeed's."""
    optimizer: Optimizer = engine.optimizer.optimizer if zero else engine.optimizer
    return optimizer


def parts_of(engine: Any, zero: int) -> Iterator[Part]:
    """The parts of the weights that this member updates."""
    if zero == 0:
        yield from whole_parts(engine.module)
        return
    for whole in whole_parts(engine.module):
        part = _share(engine.optimizer, whole) if zero == 3 else _stretch(engine.optimizer, whole)
        if part is not None:
            yield part


def _stretch(optimizer: Any, whole: Part) -> Part | None:
    """Stages 1 and 2: what of a weight lies in this member's stretch of its group, if anything does."""
    mapping: Any = getattr(whole.holder, "_hp_mapping", None)
    if mapping is None:
        return None
    here, there = mapping.lp_fragment_address, mapping.hp_fragment_address
    return Part(whole.name, here.start, here.numel, optimizer.single_partition_of_fp32_groups[mapping.param_group_index], there.start)


def _share(optimizer: Any, whole: Part) -> Part | None:
    """Stage 3: this member's share of a weight; the last members' may be filled up, or empty."""
    from torch import distributed

    weight: Any = whole.holder
    group, offset, size = optimizer.grad_position[optimizer.get_param_id(weight)]
    start = distributed.get_rank() * size
    size = min(size, weight.ds_numel - start)
    return Part(whole.name, start, size, optimizer.fp32_partitioned_groups_flat[group], offset) if size > 0 else None


@contextmanager
def loading(engine: Any, zero: int) -> Iterator[None]:
    """Around a change of what the members update: then the model's weights are made of it. To be entered by every member."""
    if zero == 3:
        engine.optimizer.checkpoint_event_prologue()  # small weights are held as a whole, too
    yield
    if zero in (1, 2):
        engine.optimizer.update_lp_params()
    elif zero == 3:
        for group in range(len(engine.optimizer.fp16_groups)):
            engine.optimizer._reassign_or_swap_out_partitioned_parameters(group)
        engine.optimizer.checkpoint_event_epilogue()
