"""Find a model that an installed Python package carries as plain files. Nothing of the package is imported or run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from sentiment.pipeline.errors import InputError


def installed_model(entry: Mapping[str, Any], where: str) -> Path:
    """Find the Hugging Face folder in an installed package.

    Args:
        entry: the catalog entry, with `package`, the name on PyPI, and `version`, which is pinned as a revision is.
        where: the entry's place, for messages.

    Raises:
        InputError: the package is not installed, has another version, or carries no model.
    """
    name, version = entry["package"], str(entry["version"])
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise InputError(f"{where}: not installed; run `pip install --no-deps {name}=={version}`") from error
    if package.version != version:
        raise InputError(
            f"{where}.version: found {package.version} installed, must be {version}; "
            f"run `pip install --no-deps {name}=={version}`"
        )
    folders = {file.parent for file in package.files or () if file.name.endswith(".safetensors")}
    found = [folder for folder in folders if (Path(str(package.locate_file(folder))) / "config.json").is_file()]
    if len(found) != 1:
        raise InputError(
            f"{where}: {name} {version} holds {len(found)} folders with config.json and *.safetensors, not 1"
        )
    return Path(str(package.locate_file(found[0])))
