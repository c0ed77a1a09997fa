"""The benchmarks run, and their files and tables hold what they say; no speed is asked for."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import busy, gpu, harness, material, preparing, repositories, scoring, storing, training
from sentiment.backbones import loading
from sentiment.checkpoints.blocks import save_blocks
from sentiment.pipeline.catalog import read_yaml
from sentiment.tokens.tokenizer import load_tokenizer
from tests.conftest import ROOT, TEXTS


def run_small(benchmark: str, out: Path, *more: str) -> tuple[dict[str, Any], str]:
    """Run a benchmark from the root; its result file and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark}", "--small", "--out", str(out), *more],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads((out / f"{benchmark}-small.json").read_text()), done.stdout


def test_training_measures_all_variants_on_texts_from_files(tmp_path: Path) -> None:
    rows = "".join(f'"{text} {number}",{number % 2}\n' for number in range(4) for text in TEXTS)
    (tmp_path / "ours.csv").write_text(f"Review,Label\n{rows}")
    result, printed = run_small("training", tmp_path, "--texts", f"mine={tmp_path / 'ours.csv'}")
    assert [(row["texts"], row["variant"]) for row in result["rows"]] == [("mine", name) for name in training.VARIANTS]
    assert result["texts"]["mine"]["fixed_length"] == 128
    for row in result["rows"]:
        assert set(training.COLUMNS) <= set(row)
        assert min(row["seconds_per_step"], row["tokens_per_second"], row["memory_gb"], row["useful_gflops"]) > 0
        assert 0 < row["of_peak"] < 1
        assert row["variant"] in printed
    assert {"processor", "cores", "memory_gb", "versions", "date"} <= set(result["machine"])
    lengths = {name: rounds[0]["tokens_per_second"] for name, rounds in result["rounds"]["mine"].items()}
    assert set(lengths) == set(training.VARIANTS)


def test_the_gpus_benchmark_runs_on_the_cpu_and_trains_an_epoch(tmp_path: Path) -> None:
    names = [name for name in gpu.VARIANTS if "compiled" not in name]  # compiling takes a minute
    result, printed = run_small("gpu", tmp_path, "--device", "cpu", "--epoch", "--only", *names)
    assert [row["variant"] for row in result["rows"]] == names
    recipe = result["rows"][0]
    assert (recipe["variant"], recipe["times_recipe"]) == (gpu.RECIPE, 1)
    for row in result["rows"]:
        assert set(gpu.COLUMNS) <= set(row)
        assert row["times_recipe"] == pytest.approx(row["reviews_per_second"] / recipe["reviews_per_second"], rel=1e-4)
        assert row["minutes_per_epoch"] == pytest.approx(25_000 / row["reviews_per_second"] / 60, rel=1e-4)
        assert 0 < row["mfu"] < 1
        assert row["variant"] in printed
    assert result["epochs"]["long"]["reviews"] == 64
    assert result["epochs"]["long"]["tokens_per_second"] > 0


@pytest.mark.parametrize("fastest", [torch.bfloat16, torch.float32])
def test_mfu_is_the_share_of_the_fastest_product_in_whatever_precision(
    fastest: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "product_peak", lambda *request: 8.0 if fastest in request else 0.1)
    measured = gpu.against_peak(2.0, "cpu")
    assert (measured["peak_flops_per_second"], measured["mfu"]) == (8.0, 0.25)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, which is measured")
def test_the_gpus_benchmark_refuses_to_measure_a_gpu_that_is_not_there() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--small"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --device: found cuda, but torch ")
    assert "Traceback" not in done.stderr


def test_the_stock_trainer_computes_in_bf16_where_asked_for(tmp_path: Path) -> None:
    request = {"work": str(tmp_path), "files": {}, "model": None, "small": True, "classifier": False}
    made = material.make(request)
    setting = training.Setting("", made["model"], str(tmp_path), "short", 128, 1, 2, 1, 0)
    rows = material.read_ids(str(tmp_path), "short", "head")[:2]
    found = []
    for bf16 in (True, False):
        with ExitStack() as stack:
            trainer: Any = training.stock_head("max_length", bf16=bf16)(setting, rows, rows, stack)
        product = trainer.model.transformer.h[0].attn.c_attn
        product.register_forward_hook(lambda module, inputs, output: found.append(output.dtype))
        trainer.create_optimizer_and_scheduler(1)
        trainer.current_gradient_accumulation_steps = 1
        training.step(trainer, next(iter(trainer.get_train_dataloader())))
        assert product.weight.dtype == torch.float32
    assert found == [torch.bfloat16, torch.float32]


def test_long_texts_are_as_long_as_imdbs_reviews() -> None:
    """IMDb's train split: mean 234 words, median 174; the mean of the log-normal would be 215."""
    words = [len(text.split()) for text in gpu.long_texts(1000)]
    assert statistics.median(words) == pytest.approx(174, rel=0.1)
    assert statistics.stdev(map(math.log, words)) == pytest.approx(0.65, rel=0.1)
    assert gpu.long_texts(10) == gpu.long_texts(10)


def test_scoring_finds_the_same_probabilities_every_way(tmp_path: Path) -> None:
    result, printed = run_small("scoring", tmp_path)
    assert [row["variant"] for row in result["rows"]] == list(scoring.VARIANTS)
    assert all(row["difference"] < 1e-5 for row in result["rows"])
    assert all(row["variant"] in printed for row in result["rows"])


def test_preparing_measures_every_part(tmp_path: Path) -> None:
    result, printed = run_small("preparing", tmp_path)
    ours, raw, duplicates, _ = result["rows"]
    assert [row["measured"] for row in result["rows"]] == list(preparing.MEASURED)
    assert ours["tokens"] == raw["tokens"] > 0
    assert (duplicates["rows"], duplicates["kept"]) == (500, 450)
    assert all(row["measured"] in printed for row in result["rows"])


def test_starting_sets_a_stage_beside_dvc(tmp_path: Path) -> None:
    result, printed = run_small("starting", tmp_path)
    stage, dvc, torch = result["rows"]
    assert (stage["command"], dvc["command"], dvc["times_dvc"]) == ("stage prepare", "dvc status", 1)
    assert (torch["command"], torch["times_torch"]) == ("import torch, transformers", 1)
    assert stage["times_dvc"] == pytest.approx(stage["seconds"] / dvc["seconds"], rel=1e-4)
    assert stage["cpu_seconds"] > 0.1  # the child's, who imports pandas, not this process's
    assert "stage prepare" in printed


def test_busy_measures_alone_and_beside_another_job(tmp_path: Path) -> None:
    result, printed = run_small("busy", tmp_path)
    for row in result["rows"]:
        assert row["left"] == pytest.approx(row["tokens_per_second_busy"] / row["tokens_per_second_alone"], rel=1e-4)
        assert (row["threads"], row["waiting"]) == (1, "passive")
    assert "fair share" in " ".join(printed.split())
    assert [busy.fair_share(threads, 2) for threads in (1, 2, 3)] == pytest.approx([1, 2 / 3, 1 / 2])


def test_useful_flops_are_those_that_torch_counts() -> None:
    """Torch counts a padding-free batch; it counts attention's whole square, of which the upper half is no use."""
    config = transformers.GPT2Config(vocab_size=50, n_embd=32, n_layer=3, n_head=2, attn_implementation="eager")
    model = transformers.GPT2Model(config)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 20, dtype=torch.int64)).last_hidden_state.sum().backward()
    upper_half = 3 * config.n_layer * 2 * 4 * config.n_embd * (20 * 20 - 20 * 21 // 2)
    assert training.useful_flops(config, [20, 20], config.n_layer) == pytest.approx(
        counter.get_total_flops() - upper_half
    )


def test_a_child_that_fails_is_told() -> None:
    request = {"measured": "deduplicate", "rows": 10, "texts": "none", "work": "nowhere"}
    with pytest.raises(RuntimeError, match=r"'texts': 'none'.* ended with status 1"):
        harness.run_child(preparing.measure, request)


def test_a_child_makes_what_this_process_makes(tmp_path: Path) -> None:
    """What is small is made here, all else in a child."""
    request = {"files": {}, "model": None, "work": str(tmp_path), "small": True, "classifier": False}
    made = harness.run_child(material.make, request)
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert harness.run_here(material.make, request) == made
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == files
    assert set(made["sets"]) == {"short", "long"}


def test_rounds_go_forwards_and_backwards() -> None:
    seen: list[tuple[str, int]] = []

    def note(request: dict[str, Any]) -> dict[str, Any]:
        seen.append((request["name"], request["round"]))
        return {"seconds": float(request["round"])}

    results = harness.interleave(note, {"a": {"name": "a"}, "b": {"name": "b"}}, 3, small=True)
    assert seen == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert harness.medians(results["a"]) == {"seconds": 1.0}


def test_the_meter_sees_pages_and_the_peak_sees_memory() -> None:
    """In a process of its own: in this one an earlier test may have told the allocator to keep its pages."""
    code = """
from benchmarks.harness import meter, peak_memory
before = peak_memory()
with meter() as used:
    held = bytearray(300 * 2**20)
print(used["faults"], used["cpu_seconds"] >= used["system_seconds"] >= 0, peak_memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    faults, ordered, grown = done.stdout.split()
    assert int(faults) > 100
    assert ordered == "True"
    assert float(grown) > 0.25


def test_every_recipe_makes_its_step(tmp_path: Path) -> None:
    result, printed = run_small("recipes", tmp_path)
    names = list(read_yaml(ROOT / "recipes.yaml"))
    assert [row["recipe"] for row in result["rows"]] == names
    assert all(row["tokens"] > 0 and row["memory_gb"] > 0 and row["recipe"] in printed for row in result["rows"])


def test_growth_measures_each_stage_at_each_size_and_draws_it(tmp_path: Path) -> None:
    result, _ = run_small("growth", tmp_path)
    seen = {(row["stage"], row["reviews"]) for row in result["rows"]}
    assert seen == {(name, n) for name in ("prepare", "tokenize", "train", "evaluate") for n in (100, 200)}
    assert (tmp_path / "growth-small.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_storing_measures_what_each_run_adds_and_what_a_kill_costs(tmp_path: Path) -> None:
    """The stored bytes follow from which files differ; the second command sends just what had not arrived."""
    result, printed = run_small("storing", tmp_path)
    rows = {row["run"]: row for row in result["rows"]}
    names = list(storing.runs(2))
    assert list(rows) == ["the base itself", *names]
    for row in rows.values():
        assert row["pushed_mb"] == row["added_mb"] > 0
        assert row["whole_pushed_mb"] == row["whole_added_mb"] > 0
        assert row["run"] in printed
    full, half, top, head, adapter, merged = (rows[name]["added_mb"] for name in names)
    assert head < adapter < merged < full
    assert head < top < half < 0.6 * full
    assert all(rows[name]["whole_added_mb"] > 0.95 * full for name in names if "bf16" not in name)
    percent = [rows[name]["learns_percent"] for name in names]
    assert percent[:2] == [100, 100]
    assert percent[3] < percent[4] == percent[5] < percent[2] < 100
    seen = [(row["killed"], row["files"]) for row in result["interrupted"]]
    assert seen == [(killed, files) for killed in ("push", "pull") for files in ("one per block", "one for all")]
    sizes = {row["files"]: [] for row in result["interrupted"]}
    for row in result["interrupted"]:
        assert row["rewritten"] == 0
        assert row["arrived"] < row["objects"]
        sizes[row["files"]].append(row["arrived_mb"] + row["sent_mb"])
    for pushed, pulled in sizes.values():
        assert pushed == pytest.approx(pulled, abs=2e-6)
        assert pushed > 0.2


def test_an_object_is_whole_when_it_has_its_name_and_another_when_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "files/md5/ab"
    folder.mkdir(parents=True)
    names = ["c" * 30, "d" * 30 + ".dir", ".Xy.tmp", ".Zz123.tmp", "c" * 29]
    for name in names:
        (folder / name).write_bytes(b"12345")
    before = repositories.objects(tmp_path)
    assert set(before) == {"ab" + "c" * 30, "ab" + "d" * 30 + ".dir"}
    assert (repositories.weigh(before), repositories.written(tmp_path)) == (10, 25)
    (folder / "new").write_bytes(b"12345")
    (folder / "new").replace(folder / names[0])
    (folder / ("e" * 30)).write_bytes(b"123")
    compared = storing.compare(before, repositories.objects(tmp_path))
    assert compared == {"objects": 3, "arrived": 2, "rewritten": 1, "arrived_mb": 1e-5, "sent_mb": 8e-6}


def test_one_file_for_all_holds_the_same_model(tiny_models: Callable[[str], Path], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_models("gpt2"))
    model = loading.load_classifier(tiny_models("gpt2"), tokenizer, seed=0)
    save_blocks(loading.stored_weights(model), model.base_model_prefix, tmp_path / "blocks")
    model.config.save_pretrained(tmp_path / "blocks")
    storing.join(tmp_path / "blocks", tmp_path / "whole")
    assert {file.name for file in (tmp_path / "whole").iterdir()} == {"config.json", "model.safetensors"}
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


@pytest.mark.slow
def test_a_dvc_command_that_fails_or_ends_before_it_is_killed_is_told(tmp_path: Path) -> None:
    repository = repositories.Repository(tmp_path / "r", tmp_path / "beside")
    with pytest.raises(RuntimeError, match=r"dvc add nothing: status 1: .*'nothing' does not exist"):
        repository.dvc("add", "nothing")
    assert not repository.killed("version", when=lambda: False)
    assert repository.killed("version", when=lambda: True)
