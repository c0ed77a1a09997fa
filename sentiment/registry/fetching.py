"""Pull a model folder, and nothing else, from a git revision of a DVC repository into the user's cache.

Nothing is checked out and the repository's own cache stays as it is. The folder lies in the cache under the hash that
DVC gives its content, so revisions with equal models share it. Each file is put in place in one step, sentiment.json
as the last of them: where that lies, all of them lie.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sentiment.checkpoints.manifest import Manifest, no_manifest
from sentiment.pipeline.errors import InputError, allowed, plain_name
from sentiment.pipeline.labels import MANIFEST
from sentiment.pipeline.progress import say
from sentiment.registry.repository import opened


@dataclass(frozen=True)
class Fetched:
    """A model folder in the cache.

    Attributes:
        folder: where it lies.
        commit: the git commit it was taken from, 40 hexadecimal digits.
        files: the names of the files that had to be fetched, in the order they were.
    """

    folder: Path
    commit: str
    files: tuple[str, ...]


def find_model(folder: str, rev: str | None, repo: str | None, remote: str | None) -> tuple[Path, str | None]:
    """Find a model folder on this machine, or fetch it where a revision, repository or remote is named.

    Returns:
        The folder, and the commit of one that was fetched.

    Raises:
        InputError: there is no such folder with a manifest.
    """
    if rev or repo or remote:
        fetched = fetch_model(folder, rev, repo, remote)
        return fetched.folder, fetched.commit
    Manifest.read(Path(folder))
    return Path(folder), None


def cache_folder() -> Path:
    """Return the folder for fetched models: `sentiment/models` below XDG_CACHE_HOME, or below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentiment" / "models"


def fetch_model(folder: str, rev: str | None = None, repo: str | None = None, remote: str | None = None) -> Fetched:
    """Fetch a model folder, whether DVC or git itself keeps it.

    Files that the cache has are not fetched again, unless they have changed since; a complete folder needs no remote.

    Args:
        folder: its path from the repository's root.
        rev: a branch, tag, commit or experiment; None is the commit checked out, or the default branch of an address.
        repo: a repository's folder or address; None is the one here.
        remote: name of a DVC remote of the repository; None is its default.

    Raises:
        InputError: the repository, the revision, the remote, the folder or one of its files is not to be had.
    """
    # without a revision a local repository would show what lies in its folders, committed or not
    here = repo is None or Path(repo).is_dir()
    with opened(repo, rev or ("HEAD" if here else None), remote) as files:
        path = Path(folder).as_posix().strip("/")
        target = cache_folder() / _cache_key(files, path, rev)
        names = _incomplete(target) if (target / MANIFEST).is_file() else _listing(files, path)
        missing = [name for name in names if not (target / name).is_file()]
        wanted = sorted(missing, key=lambda name: (name == MANIFEST, name))
        if wanted:
            say(f"fetching {len(wanted)} file(s) of {path} into {target}")
        for name in wanted:
            _fetch_file(files, f"{path}/{name}", target / name)
        return Fetched(target, files.repo.get_rev(), tuple(wanted))


def _incomplete(target: Path) -> list[str]:
    """Take damaged files out of a folder of the cache, and name all that it should have and has not."""
    wrong = Manifest.read(target).differing(target)
    for name in wrong:
        (target / name).unlink(missing_ok=True)
    return [name for name, problem in wrong.items() if problem != "not listed"]


def _cache_key(files: Any, path: str, rev: str | None) -> str:
    """Name the content of a folder, without asking a remote: by DVC's hash, or for git's by that of sentiment.json.

    Raises:
        InputError: the revision has no such folder, it has no manifest, or what names its content is no plain name.
    """
    try:
        info = files.info(path)
    except FileNotFoundError as error:
        outs = [files.repo.fs.relpath(out.fs_path, files.repo.root_dir) for out in files.repo.index.outs]
        raise InputError(f"{path}: not in the revision {rev or 'HEAD'}; {allowed(path, sorted(outs))}") from error
    found: str | None = info.get("md5") or info.get("md5-dos2unix")
    if info["type"] != "directory":
        raise InputError(f"{path}: a file in the revision {rev or 'HEAD'}, must be a model folder")
    if found:
        return plain_name(found.removesuffix(".dir"), f"{path}: the md5 that DVC's files of the revision give")
    try:
        return hashlib.sha256(files.read_bytes(f"{path}/{MANIFEST}")).hexdigest()
    except FileNotFoundError as error:
        raise no_manifest(path) from error


def _listing(files: Any, path: str) -> list[str]:
    """Name the files of a folder of a revision.

    Raises:
        InputError: sentiment.json is not among them, or one is no plain name.
    """
    entries = files.ls(path, detail=True)
    found = [PurePosixPath(entry["name"]).name for entry in entries if entry["type"] == "file"]
    names = [plain_name(name, f"{path}: the list of its files in the revision") for name in found]
    if MANIFEST not in names:
        raise no_manifest(path)
    return names


def _fetch_file(files: Any, source: str, target: Path) -> None:
    """Fetch one file beside its place, then move it there in one step: no reader ever meets half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as aside:
        partial = Path(aside, target.name)
        files.get_file(source, str(partial))
        partial.replace(target)
