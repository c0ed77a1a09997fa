"""Parity measures are those of their formulas, and texts keep their order on the way through onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sentiment.export.folder import check_parity
from sentiment.export.parity import TIMED_ALONE, TIMED_TOGETHER, agreement, measure_parity, open_onnx, speed
from sentiment.pipeline.errors import InputError
from tests.conftest import manifest

MANIFEST = manifest(temperature=2.0, threshold=0.6)


def test_differences_agreement_and_accuracy_are_those_written_out() -> None:
    own, other = np.array([0.10, 0.55, 0.61, 0.90]), np.array([0.15, 0.65, 0.60, 0.90])
    found = agreement(own, other, threshold=0.6, labels=[0, 1, 1, 1])
    assert found == pytest.approx(
        {
            "max_difference": 0.10,
            "mean_difference": (0.05 + 0.10 + 0.01 + 0.0) / 4,
            "label_agreement": 2 / 4,  # 0.55 and 0.65 part, and 0.61 and 0.60: positive is greater than the threshold
            "accuracy": 3 / 4,
        }
    )
    assert "accuracy" not in agreement(own, other, threshold=0.6, labels=None)


def test_probabilities_are_those_of_the_temperature() -> None:
    first, second = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    found = measure_parity({"own": lambda *_: first, "other": lambda *_: second}, [[1], [2]], [1, 0], MANIFEST)
    own, other = (1 / (1 + np.exp(-margin / 2)) for margin in (2.0, 1.0))
    assert found["other"]["max_difference"] == pytest.approx(own - other)
    assert found["other"]["mean_difference"] == pytest.approx((own - other) / 2)
    assert found["own"]["max_difference"] == 0.0
    assert [found[name]["accuracy"] for name in ("own", "other")] == [1.0, 1.0]
    assert [found[name]["label_agreement"] for name in ("own", "other")] == [1.0, 1.0]


@pytest.mark.parametrize("count", [1, 5, 40, 1000])
def test_times_are_taken_of_texts_from_the_first_to_the_last_part(count: int) -> None:
    calls: list[tuple[list[int], int]] = []

    def scorer(ids: Sequence[Sequence[int]], batch_size: int) -> np.ndarray:
        calls.append(([row[0] for row in ids], batch_size))
        return np.zeros((len(ids), 2))

    found = speed(scorer, [[i] for i in range(count)])
    assert set(found) == {"milliseconds_alone", "texts_per_second"}
    assert min(found.values()) > 0
    alone = [row for rows, size in calls if size == 1 for row in rows]
    _, *together = [rows for rows, size in calls if size == 32]
    assert len(alone) == len(set(alone)) == min(count, TIMED_ALONE)
    assert len(together[0]) == len(set(together[0])) == min(count, TIMED_TOGETHER)
    assert max(alone) >= count * (1 - 1 / len(alone)) - 1


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_logits_come_in_the_order_of_the_texts(batch_size: int, tmp_path: Path) -> None:
    """The graph gives the number of tokens and their sum, which padding must not change."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "t"]) for n in ("input_ids", "attention_mask")]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["real"]),
        helper.make_node("ReduceSum", ["attention_mask", "axes"], ["count"]),
        helper.make_node("ReduceSum", ["real", "axes"], ["sum"]),
        helper.make_node("Concat", ["count", "sum"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["logits"], to=TensorProto.FLOAT),
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2])
    graph = helper.make_graph(nodes, "sums", inputs, [output], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "m.onnx")
    ids = [[3, 4], [9], [1, 1, 1, 1], [5, 6, 7], [2, 2]]
    found = open_onnx(tmp_path / "m.onnx", threads=1)(ids, batch_size)
    assert found.tolist() == [[len(row), sum(row)] for row in ids]


@pytest.mark.parametrize(
    ("form", "measure", "fits", "not_fits"),
    [("fp32", "max_difference", 1e-5, 2e-3), ("int8", "mean_difference", 0.01, 0.03)],
)
def test_an_export_whose_answers_are_far_from_the_models_own_is_refused(
    form: str, measure: str, fits: float, not_fits: float
) -> None:
    good = {"fp32": {"max_difference": 1e-6}, "int8": {"mean_difference": 1e-3}}
    check_parity({"models": {**good, form: {measure: fits}}})
    check_parity({"models": {"fp32": good["fp32"]}})
    for wrong in (not_fits, float("nan")):
        with pytest.raises(
            InputError, match=rf"^{form}: {measure.replace('_', ' ')} of the .*; the export was not kept"
        ):
            check_parity({"models": {**good, form: {measure: wrong}}})
