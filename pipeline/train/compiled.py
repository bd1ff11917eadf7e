"""Layers that torch.compile makes programs of (Ansel and others, 2024): one for all layers of a kind, whatever the depth.

The whole model is not compiled: that takes longer with every layer, and under ZeRO 3 weights are brought together layer by layer,
outside of any program. The batches of a run have one shape, so programs are made for the shapes there are: one for training, and one each
for the full and the last, shorter batch of a look at held-out text.
"""

import os
import shlex
import shutil
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import RequestError
from pipeline.train.recompute import layers_of

if TYPE_CHECKING:
    from torch import nn

COMPILERS = {"cpu": ("CXX", "g++"), "cuda": ("CC", "gcc")}
"""By the kind of device: the variable that names a compiler, and the one that torch takes otherwise."""
PROGRAMS = 32
"""At most so many are made of one function: T5 has four kinds of layers that share theirs, each in three shapes of batches."""
OWN = (
    (r".torch\.jit\.script_method. is deprecated", DeprecationWarning),
    (r"The \.grad attribute of a Tensor that is not a leaf", UserWarning),
    (r"<class .torch\.autograd\.function\.Function.> should not be instantiated", DeprecationWarning),
)
"""What torch says of its own code while it compiles: the beginnings of the words, and their kinds."""
WHOLE = "compiled_whole"
"""The attribute of a layer whose forward pass is a program, into which nothing can be put between its parts."""


def compile_layers(model: "nn.Module") -> None:
    """Let the passes of each layer be compiled at its first use. Modules, and the names of weights, stay what they are."""
    import torch

    for words, kind in OWN:
        warnings.filterwarnings("ignore", message=words, category=kind)
    torch.compiler.reset()  # what other models left in this process counts towards the programs that torch makes of a function at most
    for layer in layers_of(model):
        # mypy knows an earlier torch.compile
        layer.forward = torch.compile(layer.forward, recompile_limit=PROGRAMS)  # type: ignore[call-overload]
        setattr(layer, WHOLE, True)


def whole_layers(model: "nn.Module") -> "list[nn.Module]":
    """The layers of a model whose forward passes are programs."""
    return [layer for layer in layers_of(model) if getattr(layer, WHOLE, False)]


def check_compiler(kind: Literal["cpu", "cuda"]) -> None:
    """Raise RequestError on a machine that lacks what torch.compile needs for its processors, or for its accelerators."""
    variable, usual = COMPILERS[kind]
    command = shlex.split(os.environ.get(variable, "")) or [usual]
    if shutil.which(command[0]) is None:
        raise RequestError(
            f"compile is true, and this machine has no compiler {command[0]!r}: install it (on Debian and Ubuntu: apt-get install g++),"
            f" name another one in {variable}, or leave compile out"
        )
    if not (header := Path(sysconfig.get_path("include"), "Python.h")).is_file():
        raise RequestError(
            f"compile is true, and {header} is missing, which compiled programs need: install it (on Debian and Ubuntu:"
            " apt-get install python3-dev), or leave compile out"
        )
