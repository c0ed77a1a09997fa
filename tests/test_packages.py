"""Guards the way to a model in an installed package: found by its files, of the pinned version, no code of it run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sentiment.packages import installed_model
from sentiment.pipeline.errors import InputError

ENTRY = {"source": "package", "package": "some-model", "version": "1.2", "licence": "MIT"}
WHERE = "catalog.yaml: models.mine"


def install(site: Path, *files: str) -> None:
    """Lay a package out as pip does; its code raises when it is imported."""
    content = {"some_model/__init__.py": "raise RuntimeError", **dict.fromkeys(files, "{}")}
    information = "some_model-1.2.dist-info"
    content[f"{information}/METADATA"] = "Metadata-Version: 2.1\nName: some-model\nVersion: 1.2\n"
    content[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in content)
    for name, text in content.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_folder_is_found_and_nothing_of_the_package_is_imported(site: Path) -> None:
    install(
        site, "some_model/model/config.json", "some_model/model/model.safetensors", "some_model/1_Pooling/config.json"
    )
    assert installed_model(ENTRY, WHERE) == site / "some_model" / "model"
    assert "some_model" not in sys.modules


def test_what_is_not_installed_is_named_with_the_command(site: Path) -> None:
    with pytest.raises(InputError, match=r"models\.mine: not installed; run `pip install --no-deps some-model==1\.2`"):
        installed_model(ENTRY, WHERE)


def test_another_version_is_refused(site: Path) -> None:
    install(site, "some_model/config.json", "some_model/model.safetensors")
    with pytest.raises(
        InputError, match=r"models\.mine\.version: found 1\.2 installed, must be 1\.3; run `pip install"
    ):
        installed_model({**ENTRY, "version": "1.3"}, WHERE)


@pytest.mark.parametrize(
    "files", [(), ("some_model/model.safetensors",), ("some_model/config.json", "some_model/a.bin")]
)
def test_a_package_without_a_model_is_refused(site: Path, files: tuple[str, ...]) -> None:
    install(site, *files)
    with pytest.raises(InputError, match=r"some-model 1\.2 holds 0 folders with config\.json and \*\.safetensors"):
        installed_model(ENTRY, WHERE)
