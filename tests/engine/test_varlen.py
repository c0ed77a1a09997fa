"""A GPU's attention gives what transformers' own models give, padded: here on the CPU, with a stand-in for the kernel.

The stand-in does what the kernel's documentation says, with a mask over the whole row. Where there is a GPU the kernel
itself is held against it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from sentiment.backbones import loading
from sentiment.engine import varlen
from sentiment.engine.heads import Head
from sentiment.engine.packing import Packer
from sentiment.engine.varlen import VarlenPacker, attend_varlen
from sentiment.tokens import tokenizer
from tests.conftest import FAMILIES, Pack
from tests.engine.test_packing import KINDS, LABELS, Tiny, count_equal, difference, gradients, load, reference_logits

LENGTHS = [3, 1, 6, 6, 2]


def by_documentation(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool = False,
) -> torch.Tensor:
    """What `varlen_attn` says that it gives, in float64; tensors [tokens, heads, width]."""
    assert query.dtype == key.dtype == value.dtype
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert cu_seq_q[0] == 0
    assert cu_seq_q[-1] == len(query) == len(key)
    assert int(cu_seq_q.diff().max()) == max_q == max_k
    assert window_size in ((-1, -1), (-1, 0))  # (-1, 0) for causal attention
    assert enable_gqa == (query.shape[1] != key.shape[1])
    place = torch.arange(len(query))
    review = torch.bucketize(place, cu_seq_q[1:], right=True)
    seen = review[:, None] == review
    if window_size == (-1, 0):
        seen &= place[:, None] >= place
    groups = query.shape[1] // key.shape[1]
    q, k, v = (x.double().transpose(0, 1) for x in (query, key, value))
    k, v = (x.repeat_interleave(groups, 0) for x in (k, v))
    products = q @ k.transpose(1, 2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    weights = products.masked_fill(~seen, -torch.inf).softmax(-1)
    return (weights @ v).transpose(0, 1).to(query.dtype)


def asked_of_the_stand_in(
    states: list[torch.Tensor], places: dict[str, torch.Tensor], causal: bool, scale: float
) -> torch.Tensor:
    """What the kernel should give for a packed row of LENGTHS, from states [1, heads, tokens, width]."""
    q, k, v = (state[0].transpose(0, 1) for state in states)
    offsets, longest, window = places["offsets"], max(LENGTHS), (-1, 0) if causal else (-1, -1)
    grouped = q.shape[1] != k.shape[1]
    return by_documentation(
        q, k, v, offsets, offsets, longest, longest, scale=scale, window_size=window, enable_gqa=grouped
    )


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Let the stand-in take the kernel's place, for fp32 too; the types that it was called with."""
    called: list[torch.dtype] = []

    def stand_in(query: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        called.append(query.dtype)
        return by_documentation(query, *others, **named)

    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    monkeypatch.setattr(varlen, "KERNEL_TYPES", (torch.bfloat16, torch.float32))
    return called


def layer(causal: bool) -> Any:
    """A layer of attention, as far as it is asked."""
    module: Any = torch.nn.Module()
    module.is_causal = causal
    return module


def row(width: int, groups: int, dtype: torch.dtype = torch.float32) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Random queries, keys and values of four heads, and where the reviews stand in their row."""
    torch.manual_seed(0)
    tokens = sum(LENGTHS)
    states = [torch.randn(1, heads, tokens, width, dtype=dtype) for heads in (4, 4 // groups, 4 // groups)]
    batch = VarlenPacker(0)([[5] * length for length in LENGTHS])
    return states, {name: batch[name] for name in ("offsets", "real", "slots")}


@pytest.mark.parametrize("by_kernel", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_gradient_are_the_padded_models(
    family: str,
    kind: str,
    by_kernel: bool,
    tiny_models: Tiny,
    tmp_path: Path,
    kernel: list[torch.dtype],
    monkeypatch: pytest.MonkeyPatch,
    pack: Pack,
) -> None:
    ours, formulation, plain, ids = load(family, kind, tiny_models, tmp_path)
    if not by_kernel:
        monkeypatch.setattr(varlen, "KERNEL_TYPES", ())
    make_batch = pack(ours, "cuda")
    logits = formulation.logits(ours.train(), make_batch(ids))
    assert len(kernel) == (2 if by_kernel else 0)
    expected = reference_logits(plain.train(), formulation, ids)
    assert difference(logits, expected) < 1e-5
    assert expected.std() > 1e-2
    found = gradients(ours, functional.cross_entropy(logits, LABELS))
    wanted = gradients(plain, functional.cross_entropy(expected, LABELS))
    assert count_equal(found, wanted) > 15


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_goes_through_the_kernel(
    family: str, tiny_models: Tiny, tmp_path: Path, kernel: list[torch.dtype], pack: Pack
) -> None:
    """Llama turns its queries and keys in fp32; they too have to come in the type of the values."""
    ours, formulation, plain, ids = load(family, "head", tiny_models, tmp_path)
    batch = pack(ours, "cuda")(ids)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = formulation.logits(ours, batch).float()
    assert kernel == [torch.bfloat16] * 2
    assert difference(found, reference_logits(plain.eval(), formulation, ids)) < 0.1


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("width", "dropout", "by_kernel"), [(16, 0.0, True), (16, 1e-9, False), (12, 0.0, False)])
def test_what_the_kernel_does_not_know_is_padded_and_comes_to_the_same(
    causal: bool, groups: int, width: int, dropout: float, by_kernel: bool, kernel: list[torch.dtype]
) -> None:
    (q, k, v), places = row(width, groups)
    found, weights = attend_varlen(layer(causal), q, k, v, None, dropout, 0.3, **places)
    assert (len(kernel) == 1) == by_kernel
    expected = asked_of_the_stand_in([q, k, v], places, causal, 0.3)
    assert found.shape == (1, sum(LENGTHS), 4, width)
    assert torch.allclose(found[0], expected, atol=1e-6)
    assert weights is None


def test_dropped_weights_of_attention_are_a_share_and_the_rest_is_scaled_up() -> None:
    """All keys alike: each of 400 weights is 1/400; values are the unit vectors, so the output shows every weight."""
    batch = VarlenPacker(0)([[5] * 400] * 2)
    places = {name: batch[name] for name in ("offsets", "real", "slots")}
    query, value = torch.zeros(1, 1, 800, 400), torch.eye(400).repeat(2, 1)[None, None]
    torch.manual_seed(0)
    output, _ = attend_varlen(layer(causal=False), query, query, value, None, 0.25, 1.0, **places)
    kept = output != 0
    assert float((~kept).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.allclose(output[kept] * 400, torch.tensor(1 / 0.75))


def test_a_batch_says_where_its_reviews_stand() -> None:
    batch = VarlenPacker(2)([[7, 8, 9], [7], [4, 5]])
    plain = Packer(2)([[7, 8, 9], [7], [4, 5]])
    assert all(torch.equal(batch[name], tensor) for name, tensor in plain.items())
    assert batch["offsets"].tolist() == [0, 3, 4, 6]
    assert batch["offsets"].dtype == torch.int32
    assert batch["real"].tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    assert batch["slots"].tolist() == [0, 1, 2, 3, 6, 7]


def test_a_packer_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(VarlenPacker(2)))  # noqa: S301
    assert str(again([[1, 2], [3]])) == str(VarlenPacker(2)([[1, 2], [3]]))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_host_asks_the_gpu_for_no_number(
    family: str, kind: str, precision: str, tiny_models: Tiny, tmp_path: Path, pack: Pack
) -> None:
    """A tensor of the device meta holds no numbers: whatever would wait for one of a GPU's fails.

    In bf16 it is torch's own `varlen_attn` that is called, which there says the shapes of what it would give.
    """
    ours, formulation, _, ids = load(family, kind, tiny_models, tmp_path)
    batch = {name: tensor.to("meta") for name, tensor in pack(ours, "cuda")(ids).items()}
    ours.to("meta").train()
    if precision == "bf16":
        ours.bfloat16()  # autocast knows no device meta
    logits = formulation.logits(ours, batch)
    functional.cross_entropy(logits.float(), LABELS.to("meta")).backward()
    assert logits.shape == (len(ids), 2)
    assert sum(parameter.grad is not None for parameter in ours.parameters()) > 15
    with pytest.raises(RuntimeError, match="meta"):
        batch["lengths"].tolist()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_one_compiled_graph_takes_every_batch(family: str, tiny_models: Tiny, pack: Pack) -> None:
    """Without a break, and without compiling anew for another number of reviews or of tokens."""
    folder = tiny_models(family)
    model: Any = loading.load_classifier(folder, tokenizer.load_tokenizer(folder), seed=0, dropout=0.0)
    make_batch = pack(model.train(), "cuda")
    batches = [make_batch(ids) for ids in ([[5, 6, 7], [8, 9]], [[5] * 9, [6] * 4, [7] * 9], [[4] * 8, [9] * 30])]
    expected = [Head().logits(model, batch) for batch in batches]
    graphs: list[int] = []

    def count(graph: Any, inputs: list[torch.Tensor]) -> Any:
        graphs.append(1)
        return graph.forward

    model.base_model.compile(backend=count, fullgraph=True, dynamic=True)
    for batch, wanted in zip(batches, expected, strict=True):
        assert difference(Head().logits(model, batch), wanted) < 1e-5
    assert len(graphs) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlashAttention needs an NVIDIA GPU")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_kernel_does_what_its_documentation_says(causal: bool, groups: int) -> None:
    states, places = row(64, groups, torch.bfloat16)
    gradient = torch.randn(1, sum(LENGTHS), 4, 64, dtype=torch.bfloat16)
    results = []
    for device in ("cuda", "cpu"):
        leaves = [state.to(device).requires_grad_() for state in states]
        if device == "cuda":
            on_gpu = {name: tensor.cuda() for name, tensor in places.items()}
            output, _ = attend_varlen(layer(causal), *leaves, None, 0.0, 0.125, **on_gpu)  # type: ignore[arg-type]
        else:
            output = asked_of_the_stand_in(leaves, places, causal, 0.125)[None]
        output.backward(gradient.to(device))
        results.append([output.cpu(), *(leaf.grad.cpu() for leaf in leaves if leaf.grad is not None)])
    for found, expected in zip(*results, strict=True):
        assert difference(found.float(), expected.float()) < 2e-2
