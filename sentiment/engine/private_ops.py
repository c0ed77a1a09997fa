"""The private operations of torch in use, and the tests that fail when a version of torch changes one.

Beside these, `Embedding(_weight=...)` in `sentiment.training.compact_vocabulary`, which initialises no matrix only
to throw it away: tests/training/test_compact_vocabulary.py.
"""

from __future__ import annotations

from typing import cast

import torch


def onednn_linear(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply rows [..., in] by a weight [out, in] of any strides, and add a bias [out], through oneDNN.

    The compiler's own operation: no public one reaches oneDNN in fp32. Guarded by tests/engine/test_onednn.py, against
    numpy in double precision.
    """
    return cast("torch.Tensor", torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], ""))


def softmax_gradient(gradient: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the gradient of what a softmax over the last dimension was taken of, from that of its output.

    Written out, it takes three passes over the weights of attention. Guarded by tests/engine/test_dropout.py, against
    autograd.
    """
    return torch._softmax_backward_data(gradient, weights, -1, weights.dtype)
