"""The products of hidden layers in fp8 (Micikevicius and others, 2022, arXiv:2209.05433), by torchao.

Each factor of a product is scaled, as a whole, to the range of its format just before: e4m3 for what passes forward and weights, e5m2 for
gradients. All else is as under bf16: weights, their gradients and moments are in fp32, and the embedding, the norms, attention, routers
and the head are computed as there. Linear layers with a side that is no multiple of 16 stay in bf16, since the hardware takes no others.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.errors import RequestError
from pipeline.train.recompute import layers_of

if TYPE_CHECKING:  # a recipe is read without loading torch
    import torch
    from torch import nn

LEAST_CAPABILITY = (8, 9)
SIDE = 16
FORMS = 64
"""Greatest number of ways in which linear layers are compiled."""
ROUTER = "gate"
"""The name of a layer that chooses experts: a choice that is rounded is another one."""


def multiply_in_fp8(model: "nn.Module", device: "torch.device") -> None:
    """Let the hidden layers of a model that is on a device compute in fp8.

    Raises RequestError where the device or the library is missing, or no layer can.
    """
    import torch

    check_kind(device.type)
    if (capability := torch.cuda.get_device_capability(device)) < LEAST_CAPABILITY:
        name, found = torch.cuda.get_device_name(device), ".".join(map(str, capability))
        raise RequestError(f"update.precision is fp8, and {name} has compute capability {found}: use bf16, or a device of 8.9 or more")
    compile_apart(in_fp8(model))


def check_kind(kind: str) -> None:
    """Raises RequestError for a kind of device without fp8, and where torchao is missing."""
    if kind != "cuda":
        raise RequestError(
            f"update.precision is fp8, and a {kind} has no products in fp8: use bf16, or a GPU of compute capability 8.9 or more"
        )
    if find_spec("torchao") is None:
        raise RequestError("update.precision is fp8, and torchao is not installed: pip install -e '.[fp8]', or use bf16")


def in_fp8(model: "nn.Module", emulate: bool = False) -> "list[nn.Module]":
    """Put layers that compute in fp8 in the place of a model's hidden linear layers; these stay the owners of their weights, by the same
    names. Returns the new ones. With `emulate` the factors are rounded all the same, and multiplied in fp32 on any device."""
    from torch import nn
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    config, found = Float8LinearConfig(emulate=emulate, pad_inner_dim=True), list[nn.Module]()
    for layer in layers_of(model):
        convert_to_float8_training(layer, module_filter_fn=_fits, config=config)
        found += [module for module in layer.modules() if type(module).__name__ == "Float8Linear"]
    if not found:
        raise RequestError(
            f"update.precision is fp8, and no hidden layer of this model is linear with sides that are multiples of {SIDE}:"
            " use bf16, or such widths"
        )
    return found


def compile_apart(layers: "list[nn.Module]", backend: str = "inductor") -> None:
    """Compile each of some layers by itself, since scaling that is not fused with what is around it costs more than fp8 gains.

    Layers of one shape share what was compiled. It is made anew for each shape, precision of the input and number of rows, with gradients
    and without: for a decoder more often than torch allows by itself, after which it would go on uncompiled.
    """
    import torch

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, FORMS)
    for layer in layers:
        layer.compile(backend=backend, dynamic=False)


def _fits(module: "nn.Module", name: str) -> bool:
    from torch import nn

    return type(module) is nn.Linear and name.split(".")[-1] != ROUTER and not any(side % SIDE for side in module.weight.shape)
