"""Fetch pinned snapshots from the Hugging Face hub, through its own cache, with errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sentiment.pipeline.errors import InputError


def fetch(entry: Mapping[str, Any], where: str, kind: Literal["model", "dataset"], patterns: list[str]) -> Path:
    """Fetch the files of a pinned repository that fit the patterns; what the hub's cache holds is not fetched again.

    HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN work as the hub's library documents them:
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables

    Args:
        entry: the catalog entry, with `id` and `revision` (40 hexadecimal digits).
        where: the entry's place, for messages.
        kind: what the repository holds.
        patterns: file patterns, in which * crosses folders.

    Returns:
        The snapshot's folder.

    Raises:
        InputError: the pin is no commit, or the repository, the revision or the network is not to be had.
    """
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    name, revision = entry["id"], str(entry["revision"])
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(f"{where}.revision: found {revision}, must be a commit of 40 hexadecimal digits, not a branch")
    try:
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns))
    except hub.HFValidationError as error:
        raise InputError(f"{where}.id: found {name}, must be a repository's name such as org/name: {error}") from error
    except hub.GatedRepoError as error:
        raise InputError(f"{where}: {name} is gated; accept its terms on the hub and set HF_TOKEN") from error
    except hub.RevisionNotFoundError as error:
        raise InputError(f"{where}.revision: {name} has no revision {revision}") from error
    except hub.RepositoryNotFoundError as error:
        raise InputError(f"{where}.id: the hub has no {kind} {name}, or it is private; then set HF_TOKEN") from error
    except (hub.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]
        raise InputError(
            f"{where}: {name} at {revision[:7]} is not in the hub's cache and cannot be fetched "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}); check the "
            "network and HF_HUB_OFFLINE, or choose an entry of another source, such as minilm-package for a model"
        ) from error
