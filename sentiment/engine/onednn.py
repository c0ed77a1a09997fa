"""Matrix products of linear layers through oneDNN, where it has faster kernels than torch's BLAS.

torch's CPU wheels bring both libraries and compute fp32 linear layers with MKL, which leaves AVX-512 unused on
processors that Intel did not make. The products are the same, in fp32; the order of their sums is another.
https://uxlfoundation.github.io/oneDNN/dev_guide_matmul.html
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers.pytorch_utils import Conv1D

from sentiment.engine.private_ops import onednn_linear

if TYPE_CHECKING:
    from sentiment.engine.families import Forwards

MIN_WEIGHTS = 2**18  # below, making oneDNN's code for each new number of tokens costs what its speed brings


def available() -> bool:
    """Return whether oneDNN is there and the processor has AVX-512; without, it is no faster, and slow for a Conv1D."""
    library: Any = torch.backends.mkldnn
    return bool(library.is_available()) and torch.backends.cpu.get_cpu_capability() == "AVX512"


def linear_forwards(model: torch.nn.Module) -> Forwards:
    """Return forwards of a model's larger linear layers that compute through oneDNN; none where that does not pay."""
    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear | Conv1D)]
    if not available():
        return []
    return [(layer, partial(_linear, layer)) for layer in layers if layer.weight.numel() >= MIN_WEIGHTS]


def _linear(layer: Any, rows: torch.Tensor) -> torch.Tensor:
    """Compute a linear layer in place of its own `forward`; what is not fp32, or is compiled, as it always was.

    Args:
        layer: a Linear, weight [out, in], or a Conv1D, weight [in, out].
        rows: [..., in].

    Returns:
        [..., out].
    """
    kind = (rows.device.type, rows.dtype)
    if kind != ("cpu", torch.float32) or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return cast("torch.Tensor", type(layer).forward(layer, rows))
    weight = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
    multiply: Any = Product.apply  # untyped
    return cast("torch.Tensor", multiply(rows, weight, layer.bias))


class Product(torch.autograd.Function):
    """`onednn_linear` and its gradients, which are products again."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Multiply rows [..., in] by a weight [out, in] and add a bias [out]."""
        ctx.save_for_backward(rows, weight)
        return onednn_linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of rows, weight and bias from that of the output, [..., out]."""
        rows, weight = ctx.saved_tensors
        [gradient] = gradients
        inputs, outputs = rows.flatten(0, -2), gradient.flatten(0, -2)
        of_rows = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_rows = onednn_linear(gradient, weight.t())
        if ctx.needs_input_grad[1] and weight.is_contiguous():
            of_weight = onednn_linear(outputs.t(), inputs.t())
        elif ctx.needs_input_grad[1]:  # laid out as the layer's own weight: torch would copy any other gradient
            of_weight = onednn_linear(inputs.t(), outputs.t()).t()
        if ctx.needs_input_grad[2]:
            of_bias = outputs.sum(0)
        return of_rows, of_weight, of_bias
