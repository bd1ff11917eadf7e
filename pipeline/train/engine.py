"""The seam between training and whatever shards it: a model goes in, losses and updates come out.

Models are single-device code; an engine wraps one for a gang of processes. The plain PyTorch engine
(`plain.py`) is the oracle that every other engine is compared with.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pipeline.workflow.step import Member

if TYPE_CHECKING:  # a recipe is read without loading torch
    import torch
    from torch import Tensor, nn, optim

Precision = Literal["fp32", "bf16"]
"""Of weights in files."""
Products = Literal["fp32", "bf16", "fp8"]
"""Of the products of matrices in training; fp8: those of hidden layers, and the others in bf16 (see `fp8.py`)."""


class Optimizer(ABC):
    """A frozen recipe of what makes an update of the gradients. Its learning rate is the schedule's."""

    by_matrix: ClassVar[bool] = False
    """Whether a weight's update needs all of its gradient at once, and not a stretch of it alone."""

    @abstractmethod
    def build(self, model: "nn.Module") -> "optim.Optimizer":
        """PyTorch's optimizer of what is trained in a model."""


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Decoupled weight decay (Loshchilov and Hutter, 2019); only matrices decay, not norms or biases."""

    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1

    def build(self, model: "nn.Module") -> "optim.Optimizer":
        return self.build_of(parameter for parameter in model.parameters() if parameter.requires_grad)

    def build_of(self, parameters: "Iterable[nn.Parameter]") -> "optim.Optimizer":
        """PyTorch's optimizer of some parameters, in two groups: what decays (two dimensions or more), and what does not."""
        from torch import optim

        trained = list(parameters)
        decayed = [parameter for parameter in trained if parameter.dim() >= 2]
        others = [parameter for parameter in trained if parameter.dim() < 2]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        betas = (self.beta1, self.beta2)
        return optim.AdamW([group for group in groups if group["params"]], betas=betas, eps=self.epsilon, fused=True)


@dataclass(frozen=True, kw_only=True)
class Update:
    """How a gradient becomes an update; the same for every engine."""

    optimizer: Optimizer = AdamW()
    clip: float = 1.0
    """Greatest global gradient norm; 0 turns clipping off."""
    precision: Products = "fp32"


class Resumable(Protocol):
    """What can be saved while it goes on, and gone on from."""

    def copied(self) -> Callable[[Path], None]:
        """Copy the state into host memory; what is returned writes the copy into a folder, in any thread, later."""

    def load(self, folder: Path) -> None:
        """Go on from what the members of a gang of any size wrote, under any engine."""


class Engine(Resumable, Protocol):
    """A model in training, in one member of a gang."""

    device: "torch.device"

    def loss(self, *inputs: "Tensor") -> "Tensor":
        """The model's mean loss over a micro-batch, with its graph."""

    def backward(self, loss: "Tensor") -> None:
        """Add the gradient of loss / accumulation."""

    def step(self, learning_rate: float) -> float:
        """Average gradients over the gang, clip, update, clear; returns the gradient norm before clipping.

        To be called once after every `accumulation` calls of `backward`. Where the norm is not finite, no update is made.
        """

    def drop(self) -> None:
        """Clear the gradients without an update, in place of `step`: weights and moments stay as they are."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs to go on bit for bit; every member writes its own files into `folder`, as `copied` does later."""

    def weights(self) -> "dict[str, Tensor]":
        """The whole model's weights, in fp32 on the CPU. To be called by every member; whole on the first."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Numbers in fp32 that a member of a gang holds of a model, whatever passes through it."""

    weights: int
    gradients: int
    moments: int
    exchange: int
    """What is set aside for what the members send each other, at most."""
    host: int = 0
    """Held in the machine's memory in place of the device's, and in none of the others."""


class Engines(Protocol):
    """A frozen, picklable dataclass that starts an engine in each member of a gang."""

    @property
    def sequence_parallel(self) -> int:
        """How many neighbouring members share each window, a slice of its tokens each; 1: every member has windows of its own."""

    def check(self, update: Update) -> None:
        """Raise RequestError for an update that these engines cannot make."""

    def holding(self, parameters: int, size: int) -> Holding:
        """What each of `size` members holds of a model of so many parameters, trained by AdamW; by others it is no more."""

    def start(self, model: "nn.Module", update: Update, accumulation: int, member: Member) -> Engine:
        """Wrap `model` (built with equal weights in every member; moved to the member's device by the engine).

        torch.distributed may or may not be initialised by the executor: where `member.size` is 1 and the
        engine needs a process group, the engine makes its own, on loopback.
        """
