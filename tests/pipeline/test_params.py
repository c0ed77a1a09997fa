"""Guards params.yaml, its schema and catalog.yaml: what is refused and in which words, and that they agree."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from sentiment.cli import choices
from sentiment.pipeline.catalog import catalog_entry, read_yaml
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.params import TrainParams, fields, load_params, params_problems
from tests.conftest import ROOT

Change = Callable[..., None]

CATALOG = read_yaml(ROOT / "catalog.yaml")
COMMITTED = read_yaml(ROOT / "params.yaml")


def problems(**changes: Any) -> list[str]:
    """Check the committed params with a few values changed, by dotted key."""
    params = copy.deepcopy(COMMITTED)
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = params
        for parent in parents:
            place = place[parent]
        place[last] = value
    return params_problems(params, CATALOG)


def test_the_committed_params_are_accepted_and_read_as_written(workspace: Path) -> None:
    params = load_params()
    assert params.seed == 0
    assert params.data.name == "builtin"
    assert params.prepare.train_rows is None
    assert params.text.strip_html is True
    assert params.train.learning_rate == pytest.approx(0.001, rel=1e-12)


def test_every_problem_of_a_file_is_told_at_once(workspace: Path, change: Change) -> None:
    change(
        "params.yaml",
        **{
            "seed": -1,
            "devise": "cpu",
            "model.name": "gtp2",
            "tokenize.truncation_side": "rigth",
            "train.epochs": "three",
            "train.lerning_rate": 0.1,
            "train.warmup_fraction": 1.5,
        },
    )
    text = (workspace / "params.yaml").read_text(encoding="utf-8")
    (workspace / "params.yaml").write_text(re.sub(r"  dpi: .*\n", "", text), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_params()
    first, *lines = str(error.value).splitlines()
    assert first == "params.yaml has 8 problem(s):"
    assert len(lines) == 8
    for expected in (
        r"  seed: found -1, must be at least 0",
        r"  devise: no such key, allowed: seed, threads, device, .* \(did you mean device\?\)",
        r"  model\.name: found gtp2, allowed: gpt2-mini, gpt2, .* \(did you mean gpt2\?\); .*catalog\.yaml: models",
        r'  tokenize\.truncation_side: found "rigth", allowed: right, left, head\+tail \(did you mean right\?\)',
        r'  train\.epochs: found "three", must be a whole number',
        r"  train\.lerning_rate: no such key, allowed: epochs, .* \(did you mean learning_rate\?\)",
        r"  train\.warmup_fraction: found 1\.5, must be at most 1",
        r"  plot\.dpi: missing, must be given \(dots per inch of the figures\)",
    ):
        assert sum(bool(re.fullmatch(expected, line)) for line in lines) == 1, expected


def test_a_key_with_a_dot_is_no_such_key_and_a_long_value_is_cut() -> None:
    found = params_problems({**COMMITTED, "train.epochs": 3, "seed": "7" * 500}, CATALOG)
    assert [problem[:27] for problem in found] == ['seed: found "77777777777777', "train.epochs: no such key, "]
    assert len(found[0]) < 150


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.class_weights", "even", "allowed: none, balanced, or must be a mapping"),
        (
            "train.class_weights",
            {"negative": 1},
            "allowed: none, balanced, or must have one entry for each of negative",
        ),
        ("train.frozen_blocks", "half", "must be a whole number, or allowed: all"),
        ("train.lora.modules", [], "must have a length of at least 1"),
        ("train.lora.rank", 100_000, "must be at most 1024"),
        ("tokenize.augmentation.copies", 10**9, "must be at most 100"),
        (
            "tokenize.label_words",
            {"negative": ["bad"], "good": ["good"]},
            "must have one entry for each of negative, pos",
        ),
        ("prepare.validation_fraction", 0, "must be greater than 0"),
        ("prepare.test_fraction", 1.0, "must be less than 1"),
        ("train.dropout", 1, "must be less than 1"),
        ("seed", 4294967296, "must be less than 4294967296"),
        ("plot.dpi", 49, "must be at least 50"),
        ("seed", True, "must be a whole number"),
        ("train.weight_decay", False, "must be a number"),
        ("text.strip_html", 1, "must be true or false"),
        ("prepare.train_rows", "all", "must be a whole number"),
        ("train.epochs", None, "must be a whole number"),
        ("train.learning_rate", "2e-05", "must be a number"),
        ("data.name", 7, "must be text"),
        ("train", 5, "must be a mapping"),
        ("device", None, "allowed: cpu, cuda, mps"),
        ("train.best_by", "acuracy", "allowed: log_loss, accuracy (did you mean accuracy?)"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_problem(key: str, value: Any, words: str) -> None:
    (line,) = problems(**{key: value})
    assert line.startswith(f"{key}: found {json.dumps(value)}")
    assert words in line


@pytest.mark.parametrize(
    ("key", "place"), [("prepare.strip_html_breaks", "text.strip_html"), ("tokenize.lowercase", "text.lowercase")]
)
def test_a_key_that_has_moved_names_its_new_place(key: str, place: str) -> None:
    assert problems(**{key: True}) == [f"{key}: no such key any more, its place is {place} now"]


def test_an_unknown_name_lists_every_entry_of_the_catalog() -> None:
    data, model = problems(**{"data.name": "zzz", "model.name": "zzz"})
    assert f"data.name: found zzz, allowed: {', '.join(CATALOG['datasets'])};" in data
    assert f"model.name: found zzz, allowed: {', '.join(CATALOG['models'])};" in model
    assert "did you mean" not in data + model


@pytest.mark.parametrize("key", ["prepare.train_rows", "prepare.validation_rows", "prepare.test_rows", "train.dropout"])
def test_null_is_allowed_where_it_means_something(key: str) -> None:
    assert problems(**{key: None}) == []


def test_null_is_refused_everywhere_else() -> None:
    keys = {key for key, _ in fields()}
    nullable = {"prepare.train_rows", "prepare.validation_rows", "prepare.test_rows", "train.dropout"}
    assert {key for key in keys if problems(**{key: None})} == keys - nullable


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["train.learning_rate", "train.weight_decay", "base.pretraining_learning_rate"])
def test_a_number_that_is_not_finite_is_refused(key: str, value: float) -> None:
    assert len(problems(**{key: value})) == 1


@pytest.mark.parametrize("key", ["seed", "train.epochs", "tokenize.max_length", "prepare.train_rows"])
def test_a_whole_number_written_with_a_point_is_refused(key: str) -> None:
    """JSON Schema takes 64.0 for an integer; the stages would get a float."""
    assert len(problems(**{key: 64.0})) == 1


def test_scientific_notation_as_dvc_writes_it_is_a_number(workspace: Path) -> None:
    path = workspace / "params.yaml"
    text = path.read_text(encoding="utf-8").replace("  learning_rate: 0.001", "  learning_rate: 2e-05")
    path.write_text(text, encoding="utf-8")
    assert load_params().train.learning_rate == 2e-05


def test_a_missing_section_is_told_with_what_it_is_for(workspace: Path) -> None:
    params = {key: value for key, value in COMMITTED.items() if key != "base"}
    (line,) = params_problems(params, CATALOG)
    assert re.fullmatch(r"base: missing, must be given \(.+\)", line)


@pytest.mark.parametrize("name", ["params.yaml", "catalog.yaml"])
def test_a_missing_file_is_named(name: str, workspace: Path) -> None:
    (workspace / name).unlink()
    with pytest.raises(InputError, match=rf"^{name}: no such file here; run it from /"):
        load_params()


@pytest.mark.parametrize("content", [b"seed: [1\n", b"seed: 0\nseed: 1\n", b"seed: *x\n", b"a: \xe9\n", b"a: 1\n---\n"])
def test_broken_yaml_is_an_input_error_that_names_the_file(content: bytes, workspace: Path) -> None:
    (workspace / "params.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"^params\.yaml: not readable as YAML"):
        load_params()


@pytest.mark.parametrize(("content", "kind"), [("", "NoneType"), ("- 1\n", "list"), ("word\n", "str")])
def test_yaml_without_a_mapping_is_refused(content: str, kind: str, workspace: Path) -> None:
    (workspace / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"^params\.yaml: holds {kind}, must be a mapping"):
        load_params()


def test_values_keep_their_types_and_whole_numbers_become_floats_where_due() -> None:
    """A dropout is written into the model's config.json, where 0 and 0.0 are different bytes; null stays null."""
    given = {**COMMITTED["train"], "weight_decay": 0, "dropout": 0, "lora": {**COMMITTED["train"]["lora"], "alpha": 8}}
    typed = TrainParams.model_validate(given)
    assert [type(v) for v in (typed.weight_decay, typed.dropout, typed.lora.alpha)] == [float, float, float]
    assert [type(v) for v in (typed.epochs, typed.lora.rank)] == [int, int]
    assert TrainParams.model_validate({**given, "dropout": None}).dropout is None
    with pytest.raises(ValidationError):
        typed.epochs = 4  # type: ignore[misc]  # frozen


def test_params_yaml_has_the_keys_of_the_models_in_their_order() -> None:
    def keys(content: dict[str, Any], prefix: str = "") -> list[str]:
        found = []
        for name, value in content.items():
            found.append(prefix + name)
            if isinstance(value, dict) and name != "label_words":
                found += keys(value, f"{prefix}{name}.")
        return found

    assert keys(COMMITTED) == [key for key, _ in fields()]


def test_every_param_is_described() -> None:
    assert [key for key, field in fields() if not field.description] == []


@pytest.mark.parametrize("path", [Path("params.schema.json"), Path("docs/choices.md"), Path("params.yaml")])
def test_what_is_written_from_the_models_is_current(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m sentiment choices --write` writes it."""
    monkeypatch.chdir(ROOT)
    assert path.read_text(encoding="utf-8") == choices.written()[path]


def test_the_schema_for_editors_accepts_the_committed_file_and_refuses_what_the_check_refuses() -> None:
    """Jsonschema is an implementation of its own."""
    validator = Draft202012Validator(json.loads((ROOT / "params.schema.json").read_text(encoding="utf-8")))
    assert validator.is_valid(COMMITTED)
    for key, value in {"seed": -1, "device": "gpu", "train": {}, "plot": {"dpi": 100, "worst_rows": 1, "x": 1}}.items():
        assert not validator.is_valid({**COMMITTED, key: value}), key
        assert problems(**{key: value})


def test_every_hub_entry_is_pinned_and_every_entry_names_its_licence(workspace: Path) -> None:
    for kind in ("datasets", "models"):
        for name in CATALOG[kind]:
            entry = catalog_entry(kind, name)
            assert entry["source"] in ("builtin", "hub", "local", "package"), name
            assert isinstance(entry["licence"], str), name
            assert entry["licence"], name
            if entry["source"] == "hub":
                assert re.fullmatch(r"[0-9a-f]{40}", entry["revision"]), name
                assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry["id"]), name
    assert {entry["source"] for entry in CATALOG["models"].values()} == {"builtin", "hub", "local", "package"}


@pytest.mark.parametrize(
    ("change_entry", "words"),
    [
        ({"source": "hup"}, "found hup, allowed: builtin, hub, local (did you mean hub?)"),
        ({"revision": None}, "catalog.yaml: datasets.sst2.revision: missing, an entry of source hub needs it"),
        ({"labels": {"negative": [0], "positive": [1, "0"]}}, "catalog.yaml: datasets.sst2.labels: 0 stands for both"),
        ({"labels": {"negative": [0]}}, "must be negative and positive, each with a list of its words"),
        ({"labels": {"negative": "bad", "positive": "good"}}, "each label must have a list of words"),
        ({"source": ["hub"]}, "found ['hub'], allowed: builtin, hub, local"),
    ],
)
def test_a_slip_in_the_chosen_catalog_entry_is_told_and_one_in_another_is_not(change_entry: Any, words: str) -> None:
    changed = {key: value for key, value in {**CATALOG["datasets"]["sst2"], **change_entry}.items() if value}
    catalog = {**CATALOG, "datasets": {**CATALOG["datasets"], "sst2": changed}}
    (line,) = params_problems({**COMMITTED, "data": {"name": "sst2"}}, catalog)
    assert words in line
    assert params_problems(COMMITTED, catalog) == []


@pytest.mark.parametrize("splits", ["../../*", "/etc/*", "a/../b", "", None])
def test_a_pattern_of_files_outside_the_dataset_is_told(splits: object, workspace: Path, change: Change) -> None:
    change("catalog.yaml", **{"datasets.imdb.splits.train": splits})
    change("params.yaml", **{"data.name": "imdb"})
    with pytest.raises(InputError, match=r"1 problem\(s\):\n  catalog\.yaml: datasets\.imdb\.splits\.train: found "):
        load_params()


def test_dvc_rewrites_params_yaml_to_the_same_bytes(tmp_path: Path) -> None:
    """Otherwise the first `dvc exp run -S` would reformat the whole file."""
    from dvc.utils.serialize import modify_yaml

    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    with modify_yaml(tmp_path / "params.yaml"):
        pass
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
