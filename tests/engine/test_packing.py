"""Packed batches give what transformers' own models give when called the ordinary, padded way: losses, every gradient.

The reference never touches code of ours: a model loaded by transformers' Auto classes, padded rows, a mask.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional

from sentiment.backbones import layers, loading
from sentiment.engine import heads
from sentiment.engine.batches import pad
from sentiment.engine.heads import Formulation, Head, LabelWords
from sentiment.engine.packing import PACKED, Packer, attend_packed, positions_of_highest
from sentiment.tokens.encoding import encode
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import FAMILIES, LANGUAGE_MODELS, TEXTS, Pack, manifest
from tests.engine.test_heads import asked_of

Tiny = Callable[[str], Path]
KINDS = ("head", "label_words")
LABELS = torch.tensor([1, 0, 0, 1, 1, 0, 1, 0])
Rows = list[list[int]]


def load(family: str, kind: str, tiny_models: Tiny, tmp_path: Path) -> tuple[Any, Formulation, Any, Rows]:
    """A model of ours, its formulation, transformers' own with the same weights, and token ids, two of a length."""
    folder, tokenizer = tiny_models(family), load_tokenizer(tiny_models(family))
    asked = manifest(**asked_of(folder) if kind == "label_words" else {})
    ours, formulation = heads.load(folder, tokenizer, asked, seed=3, dropout=0.0)
    for name, parameter in ours.named_parameters():
        if name.startswith(("score", "classifier", "pre_classifier")):
            torch.nn.init.normal_(parameter, std=0.5)  # logits, and gradients below them, that differ visibly
    ours.save_pretrained(tmp_path)
    name = LANGUAGE_MODELS[family] if kind == "label_words" else "AutoModelForSequenceClassification"
    plain = getattr(transformers, name).from_pretrained(tmp_path)
    texts = [*TEXTS, "Fine.", "The plot is superb, but the acting is dull."]
    encoded = encode(tokenizer, texts, asked)
    lengths = [len(row) for row in encoded.ids]
    assert 3 < len(set(lengths)) < len(lengths)
    return ours, formulation, plain, encoded.ids


def reference_logits(plain: Any, formulation: Formulation, ids: Rows) -> torch.Tensor:
    """Padded logits [reviews, labels]; with label words from the whole vocabulary's at the place asked about."""
    batch = pad(ids, plain.config.pad_token_id)
    logits: torch.Tensor = plain(**batch).logits
    if isinstance(formulation, Head):
        return logits
    mask = formulation.mask_token_id
    places = [len(row) - 1 if mask is None else row.index(mask) for row in ids]
    asked = logits[range(len(ids)), places]
    return torch.stack([asked[:, list(words)].logsumexp(1) for words in formulation.words], 1)


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of every parameter; zeros where the loss does not reach it."""
    model.zero_grad()
    loss.backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The greatest difference, relative to the greatest value expected."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def count_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> int:
    """Hold gradients against each other; the number of those that are more than rounding."""
    assert found.keys() == wanted.keys()
    greatest = max(float(gradient.abs().max()) for gradient in wanted.values())
    moved = 0
    for name, gradient in wanted.items():
        if gradient.abs().max() > 1e-6 * greatest:
            assert difference(found[name], gradient) < 1e-5, name
            moved += 1
        else:  # zero but for rounding, as keys' biases are: softmax does not see them
            assert found[name].abs().max() < 1e-5 * greatest, name
    return moved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_every_gradient_are_the_padded_models(
    family: str, kind: str, tiny_models: Tiny, tmp_path: Path, pack: Pack
) -> None:
    ours, formulation, plain, ids = load(family, kind, tiny_models, tmp_path)
    make_batch = pack(ours)
    assert isinstance(make_batch, Packer)
    logits = formulation.logits(ours.train(), make_batch(ids))
    expected = reference_logits(plain.train(), formulation, ids)
    assert difference(logits, expected) < 1e-5
    assert expected.std() > 1e-2
    loss = functional.cross_entropy(logits, LABELS)
    plain_loss = functional.cross_entropy(expected, LABELS)
    if kind == "head":
        plain_loss = plain(**pad(ids, plain.config.pad_token_id), labels=LABELS).loss
    assert difference(loss, plain_loss) < 1e-5
    found, wanted = gradients(ours, loss), gradients(plain, plain_loss)
    assert count_equal(found, wanted) > 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_reviews_logits_depend_on_neither_company_nor_order(
    family: str, kind: str, tiny_models: Tiny, tmp_path: Path, pack: Pack
) -> None:
    ours, formulation, plain, ids = load(family, kind, tiny_models, tmp_path)
    make_batch = pack(ours)
    with torch.inference_mode():
        alone = torch.cat([formulation.logits(ours, make_batch([row])) for row in ids])
        expected = torch.cat([reference_logits(plain.eval(), formulation, [row]) for row in ids])
        assert difference(alone, expected) < 1e-5
        for order in ([0, 1, 2, 3, 4, 5, 6, 7], [7, 3, 0, 5, 6, 2, 4, 1], [4, 6, 4, 4]):
            together = formulation.logits(ours, make_batch([ids[i] for i in order]))
            assert difference(together, alone[order]) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_gives_the_same_gradients(
    family: str, kind: str, tiny_models: Tiny, tmp_path: Path, pack: Pack
) -> None:
    ours, formulation, _, ids = load(family, kind, tiny_models, tmp_path)
    make_batch = pack(ours.train())
    found = []
    for _ in range(2):
        loss = functional.cross_entropy(formulation.logits(ours, make_batch(ids)), LABELS)
        found.append(gradients(ours, loss))
        ours.activation_checkpointing_enable({"use_reentrant": False})
    assert all(torch.equal(gradient, found[1][name]) for name, gradient in found[0].items())


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_weights_are_dropped_in_training_only(family: str, tiny_models: Tiny, pack: Pack) -> None:
    """Every other dropout is off, so that only dropped weights of attention can make two runs differ."""
    folder, tokenizer = tiny_models(family), load_tokenizer(tiny_models(family))
    model = loading.load_classifier(folder, tokenizer, seed=0, dropout=0.5)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.endswith(
            ("attn.attn_dropout", "attention.self.dropout", "attention.dropout")
        ):
            module.p = 0.0
    batch = pack(model)([[5, 6, 7, 8, 9], [10, 11, 12], [13, 14, 15]])
    with torch.no_grad():
        runs = [Head().logits(model.train(mode), batch) for mode in (True, True, False, False)]
    assert (runs[0] - runs[1]).abs().max() > 1e-4
    assert (runs[0] - runs[2]).abs().max() > 1e-4
    assert torch.equal(runs[2], runs[3])


def test_dropped_weights_of_attention_are_a_share_and_the_rest_is_scaled_up() -> None:
    """All keys alike: each of 400 weights is 1/400; values are the unit vectors, so the output shows every weight."""
    layer = torch.nn.Module()
    layer.is_causal = False  # type: ignore[assignment]
    query = torch.zeros(1, 1, 800, 400)
    value = torch.eye(400).repeat(2, 1)[None, None]
    torch.manual_seed(0)
    output, _ = attend_packed(layer, query, query, value, None, 0.25, 1.0, lengths=torch.tensor([400, 400]))
    kept = output != 0
    assert float((~kept).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.allclose(output[kept] * 400, torch.tensor(1 / 0.75))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_saved_config_bears_no_trace(family: str, tiny_models: Tiny, tmp_path: Path, pack: Pack) -> None:
    model = loading.load_classifier(tiny_models(family), load_tokenizer(tiny_models(family)), seed=0)
    model.save_pretrained(tmp_path / "before")
    Head().logits(model, pack(model)([[5, 6], [7]]))
    assert model.config._attn_implementation == PACKED
    model.save_pretrained(tmp_path / "after")
    model.config.save_pretrained(tmp_path / "alone")
    saved = {name: (tmp_path / name / "config.json").read_text() for name in ("before", "after", "alone")}
    assert saved["before"] == saved["after"] == saved["alone"]
    assert PACKED not in json.loads(saved["after"]).values()


def test_gelu_new_becomes_one_kernel_and_the_config_still_says_gelu_new(tiny_models: Tiny) -> None:
    model: Any = loading.load_classifier(tiny_models("gpt2"), load_tokenizer(tiny_models("gpt2")), seed=0)
    plain: Any = transformers.AutoModel.from_pretrained(tiny_models("gpt2"))
    values = torch.linspace(-6, 6, 1001)
    for block, reference in zip(model.transformer.h, plain.h, strict=True):
        assert isinstance(block.mlp.act, torch.nn.GELU)
        assert torch.allclose(block.mlp.act(values), reference.mlp.act(values), atol=1e-6)
    assert model.config.activation_function == "gelu_new"


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_blocks_build_no_graph(family: str, tiny_models: Tiny, pack: Pack) -> None:
    model: Any = loading.load_classifier(tiny_models(family), load_tokenizer(tiny_models(family)), seed=0)
    layers.freeze(model, 1)
    blocks = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    needed: list[bool] = []
    for block in blocks:
        block.register_forward_hook(lambda module, inputs, output: needed.append(output.requires_grad))
    Head().logits(model.train(), pack(model)([[5, 6, 7], [8]]))
    assert needed == [False, True]


@pytest.mark.parametrize(
    ("family", "part"),
    [("gpt2", "mlp"), ("llama", "mlp"), ("bert", "intermediate"), ("roberta", "intermediate"), ("distilbert", "ffn")],
)
def test_the_last_block_computes_one_token_of_each_review(
    family: str, part: str, tiny_models: Tiny, pack: Pack
) -> None:
    model: Any = loading.load_classifier(tiny_models(family), load_tokenizer(tiny_models(family)), seed=0)
    blocks = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    tokens: list[int] = []
    for block in blocks:
        getattr(block, part).register_forward_hook(lambda module, inputs, output: tokens.append(inputs[0].shape[1]))
    Head().logits(model, pack(model)([[5, 6, 7], [8], [9, 10]]))
    assert tokens == [6, 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_computes_nearly_the_same(
    family: str, kind: str, tiny_models: Tiny, tmp_path: Path, pack: Pack
) -> None:
    ours, formulation, _, ids = load(family, kind, tiny_models, tmp_path)
    batch = pack(ours)(ids)
    with torch.inference_mode():
        expected = formulation.logits(ours, batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = formulation.logits(ours, batch).float()
    assert difference(found, expected) < 0.1


def test_a_packed_model_refuses_a_padded_batch(tiny_models: Tiny, pack: Pack) -> None:
    """It would look at the padding."""
    model = loading.load_classifier(tiny_models("bert"), load_tokenizer(tiny_models("bert")), seed=0)
    pack(model)
    with pytest.raises(TypeError, match="lengths"):
        model(**pad([[5, 6], [7]], 0))


def test_a_batch_is_one_row_whose_positions_begin_anew() -> None:
    batch = Packer(2)([[7, 8, 9], [7], [4, 5]])
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[7, 8, 9, 7, 4, 5]],
        "position_ids": [[2, 3, 4, 2, 2, 3]],
        "lengths": [3, 1, 2],
    }


def test_a_place_lies_in_its_own_review() -> None:
    values = torch.tensor([[0, 1, 1, 0, 0, 5]])
    assert positions_of_highest(values, torch.tensor([3, 2, 1])).tolist() == [1, 3, 5]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_last_token_read_is_the_padded_models_where_reviews_end_in_the_pad_token(
    family: str, tiny_models: Tiny, pack: Pack
) -> None:
    folder, tokenizer = tiny_models(family), load_tokenizer(tiny_models(family))
    model = loading.load_classifier(folder, tokenizer, seed=0)
    pad_id = tokenizer.pad_token_id
    ids = [[5, 6, pad_id], [7, pad_id, 9], [pad_id, pad_id], [8]]
    with torch.no_grad():
        expected = torch.cat([model(input_ids=torch.tensor([row])).logits for row in ids])
        assert difference(Head().logits(model, pack(model)(ids)), expected) < 1e-5


def test_label_words_ask_at_the_first_mask_of_each_review(tiny_models: Tiny, pack: Pack) -> None:
    folder, tokenizer = tiny_models("bert"), load_tokenizer(tiny_models("bert"))
    model = loading.load_language_model(folder, tokenizer)
    formulation, mask = LabelWords(((20,), (21,)), tokenizer.mask_token_id), tokenizer.mask_token_id
    ids = [[2, 30, mask, 3], [2, mask, 31, mask, 3]]
    with torch.no_grad():
        expected = torch.stack([model(input_ids=torch.tensor([row])).logits[0, row.index(mask), 20:22] for row in ids])
        assert difference(formulation.logits(model, pack(model)(ids)), expected) < 1e-5
