"""DeepSpeed ZeRO behind the engine protocol (Rajbhandari et al., 2020): the members of a gang share what each would hold alone.

| stage | what is shared out |
|---|---|
| 0 | nothing: data parallel |
| 1 | the optimizer's moments |
| 2 | and the gradients |
| 3 | and the weights |

Numbers are those of the plain engine: weights, moments, gradients and their exchange are in fp32, and bf16 narrows the
matrix products alone (torch.autocast), so that all stages can be compared with it. The optimizer is PyTorch's,
so nothing is compiled at run time. What DeepSpeed says goes to the log, nothing of it to stdout.
"""

import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from infra.zero_state import loading, optimizer_of, parts_of
from pipeline.errors import RequestError
from pipeline.train.compiled import whole_layers
from pipeline.train.engine import Engine, Holding, Update
from pipeline.train.fp8 import multiply_in_fp8
from pipeline.train.plain import own_device
from pipeline.train.state import copied_parts, load_parts, save_parts
from pipeline.workflow.fingerprint import later
from pipeline.workflow.step import Member

if TYPE_CHECKING:  # a recipe is read without loading torch
    from torch import Tensor, nn

Offload = Literal["none", "cpu"]
STAGES = (0, 1, 2, 3)
BUCKET = 50_000_000  # elements that are exchanged at once: 200 MB in fp32, where DeepSpeed by itself sets 2 GB aside


@dataclass(frozen=True, kw_only=True)
class DeepSpeedEngines:
    """Starts DeepSpeed engines of one ZeRO stage."""

    zero: Literal[0, 1, 2, 3] = 1
    sequence_parallel: int = later(1)
    """Neighbouring members who share each window."""
    offload: Offload = later("none")
    """Where that is held which the stage shares out of the optimizer's state, and at stage 3 the weights: cpu is the machine's memory."""

    def __post_init__(self) -> None:
        if self.zero not in STAGES:
            raise RequestError(f"zero is {self.zero!r}: use 0, 1, 2 or 3")
        if self.offload not in get_args(Offload):
            raise RequestError(f"offload is {self.offload!r}: use none or cpu")
        if self.offload != "none" and self.zero == 0:
            raise RequestError(f"offload is {self.offload}, and zero 0 shares nothing out that could be held elsewhere: use zero 1, 2 or 3")

    def check(self, update: Update) -> None:
        """From stage 1 on, a member updates flat stretches of the weights, which begin and end anywhere in them."""
        if self.zero and update.optimizer.by_matrix:
            name = type(update.optimizer).__name__
            raise RequestError(
                f"update.optimizer is {name}, which needs whole matrices, and zero {self.zero} shares out stretches of them:"
                " use --compute.zero 0 or --compute.engine plain (or AdamW)"
            )
        if self.zero == 3 and update.precision == "fp8":
            raise RequestError(
                "update.precision is fp8, whose layers are compiled, and zero 3 changes weights under them: use --compute.zero 2, or bf16"
            )

    def holding(self, parameters: int, size: int) -> Holding:
        """From stage 1 on, with a second copy of the weights that a member updates; measured to within a sixth, of 19 and 102 million."""
        share, bucket = -(-parameters // size), min(parameters, BUCKET)
        held = Holding(weights=parameters, gradients=parameters, moments=2 * parameters, exchange=parameters)
        if self.zero >= 1:
            held = replace(held, weights=parameters + share, moments=2 * share, exchange=share + 2 * bucket)
        if self.zero >= 2:
            held = replace(held, gradients=share, exchange=2 * bucket)
        if self.zero == 3:
            held = replace(held, weights=2 * share, exchange=parameters + 4 * bucket)
        return held if self.offload == "none" else self._offloaded(held, share)

    def _offloaded(self, held: Holding, share: int) -> Holding:
        """The second copy of the weights, its gradients and moments are in the machine's memory; at stage 3 all of a share."""
        if self.zero == 3:
            return replace(held, weights=0, gradients=0, moments=0, host=5 * share)
        return replace(held, weights=held.weights - share, moments=0, host=4 * share)

    def start(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> Engine:
        return DeepSpeedEngine(model, update, accumulation, member, self)


class DeepSpeedEngine:
    """A model in training under DeepSpeed."""

    def __init__(self, model: "nn.Module", update: Update, accumulation: int, member: Member, engines: DeepSpeedEngines) -> None:
        import torch

        self.device = own_device()
        if self.device.type == "cpu":
            os.environ["DS_ACCELERATOR"] = "cpu"
        _join_group(member, self.device.type)
        with _quiet():
            import deepspeed

            _speak_through_the_log()
            deepspeed.ops.__compatible_ops__ = {}  # else it looks for compilers, and builds an exchange through shared memory
            model.to(self.device)
            if update.precision == "fp8":
                multiply_in_fp8(model, self.device)
            if engines.sequence_parallel > 1:
                _share_windows(model, member, engines.sequence_parallel)
            if update.precision != "fp32":  # as the plain engine does; DeepSpeed turns off an autocast that is set around it
                model.forward = torch.autocast(self.device.type, torch.bfloat16)(model.forward)
            for layer in whole_layers(model) if engines.zero == 3 else ():  # their weights are brought together before the program begins
                deepspeed.utils.set_z3_leaf_module(layer, True)
            self.engine, *_ = deepspeed.initialize(
                model=model,
                optimizer=update.optimizer.build(model),
                config=_config(update, accumulation, member.size, engines, self.device.type),
                dist_init_required=False,
            )
        # said at every exchange, and for DeepSpeed to follow
        warnings.filterwarnings("ignore", message=r".torch\.distributed\.\w+. is deprecated", category=FutureWarning)
        self.update, self.zero = update, engines.zero
        self.open_micro_step = False

    def loss(self, *inputs: "Tensor") -> "Tensor":
        loss: Tensor = self.engine(*inputs)
        return loss

    def backward(self, loss: "Tensor") -> None:
        """DeepSpeed divides by the accumulation; it counts a micro-batch as done when its `step` is called."""
        if self.open_micro_step:
            self.engine.step()
        self.engine.backward(loss)
        self.open_micro_step = True

    def step(self, learning_rate: float) -> float:
        """From stage 1 on, DeepSpeed itself makes no update of gradients that are not finite, and its norm is infinite then."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        norm = self._clip() if self.zero == 0 else None
        if norm is not None and not math.isfinite(norm):
            self.drop()
            return norm
        self.engine.step()
        self.open_micro_step = False
        if norm is None:
            norm = self.engine.get_global_grad_norm()
        return math.nan if norm is None else float(norm)

    def drop(self) -> None:
        """Stage 0 updates nothing that has no gradient; the others make no update where they find that the norm is not finite."""
        infinite = {0: {}, 3: {"_get_norm_groups": lambda: [math.inf]}}.get(self.zero, {"scaled_global_norm": lambda: math.inf})
        if self.zero == 0:
            self.engine.module.zero_grad(set_to_none=True)
        with ExitStack() as stack:
            for name, norm in infinite.items():
                setattr(self.engine.optimizer, name, norm)
                stack.callback(delattr, self.engine.optimizer, name)
            self.engine.step()
        self.open_micro_step = False

    def _clip(self) -> float:
        """Stage 0 has no optimizer of DeepSpeed's, so no norm: the gradients are averaged already, and are clipped here."""
        from torch.nn.utils import clip_grads_with_norm_, get_total_norm

        parameters = list(self.engine.module.parameters())
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if self.update.clip:
            clip_grads_with_norm_(parameters, self.update.clip, norm)
        return float(norm)

    def save(self, folder: Path) -> None:
        """From stage 1 on, every member writes what it updates; at stage 0 their states are equal."""
        from torch import distributed

        if self.zero or distributed.get_rank() == 0:
            save_parts(folder, distributed.get_rank(), parts_of(self.engine, self.zero), optimizer_of(self.engine, self.zero))

    def copied(self) -> Callable[[Path], None]:
        from torch import distributed

        rank = distributed.get_rank()
        parts, optimizer = parts_of(self.engine, self.zero), optimizer_of(self.engine, self.zero)
        return copied_parts(rank, parts, optimizer) if self.zero or rank == 0 else lambda _: None

    def load(self, folder: Path) -> None:
        with _quiet(), loading(self.engine, self.zero):
            load_parts(folder, parts_of(self.engine, self.zero), optimizer_of(self.engine, self.zero))

    def weights(self) -> "dict[str, Tensor]":
        """The first member has them all; at stage 3 every member is needed to bring each weight together in turn."""
        return dict(self._whole())

    def _whole(self) -> "Iterator[tuple[str, Tensor]]":
        import deepspeed
        from torch import distributed

        first = distributed.get_rank() == 0
        for name, parameter in self.engine.module.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter], enabled=self.zero == 3):
                if first:
                    yield name, parameter.detach().float().cpu().clone().contiguous()


def _config(update: Update, accumulation: int, size: int, engines: DeepSpeedEngines, device: str) -> dict[str, Any]:
    """DeepSpeed's configuration. Micro-batches are counted by the caller, so their size here is only a number that must be there."""
    zero = engines.zero
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": accumulation,
        "train_batch_size": accumulation * size,
        "gradient_clipping": update.clip if zero else 0.0,
        "zero_optimization": {
            "stage": zero,
            "reduce_bucket_size": BUCKET,
            "allgather_bucket_size": BUCKET,
            **_held_elsewhere(engines, device),
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # PyTorch's own takes its steps on a CPU as well, and nothing is compiled for it
        "steps_per_print": sys.maxsize,
    }


def _share_windows(model: "nn.Module", member: Member, slices: int) -> None:
    """DeepSpeed's exchange around the attention of a model."""
    from infra.ulysses import exchanged
    from pipeline.train.exchange import Slice, share_windows

    share_windows(model, Slice.of(member, slices), exchanged)


def _held_elsewhere(engines: DeepSpeedEngines, device: str) -> dict[str, Any]:
    """What of the configuration says where states are held. Only an accelerator gains from memory that stays in its place."""
    if engines.offload == "none":
        return {}
    place = {"device": engines.offload, "pin_memory": device == "cuda"}
    return {"offload_optimizer": place, **({"offload_param": place} if engines.zero == 3 else {})}


def _join_group(member: Member, kind: str) -> None:
    """A process group for an engine that was started alone. Without other members nobody needs to reach it."""
    from torch import distributed

    if distributed.is_initialized():
        return
    if member.size > 1:
        raise RequestError(f"a DeepSpeed engine for {member.size} processes needs their process group: start them as a gang")
    from torch.distributed import HashStore  # type: ignore[attr-defined]  # public, but not in its module's list

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("LOCAL_RANK", "0")
    backends = "gloo" if kind == "cpu" else "cpu:gloo,cuda:nccl"  # DeepSpeed asks for exchanges of an accelerator's that gloo has not
    distributed.init_process_group(backends, store=HashStore(), rank=0, world_size=1)


@contextmanager
def _quiet() -> Iterator[None]:
    """DeepSpeed prints, and warns of what only it could change."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _speak_through_the_log() -> None:
    """DeepSpeed's logger has a handler of its own, on stdout."""
    logger = logging.getLogger("DeepSpeed")
    logger.handlers.clear()
    logger.propagate = True
