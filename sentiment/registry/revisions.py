"""Open the models to be compared: of a git revision or experiment, straight from DVC's cache or remote, or a folder.

Nothing is checked out and nothing is copied into the cache: a file of a revision is a stream that reads what is wanted
(https://doc.dvc.org/api-reference/dvcfilesystem).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from sentiment.checkpoints.sketches import FILE as SKETCHES
from sentiment.pipeline.errors import InputError, plain_name
from sentiment.pipeline.params import flatten
from sentiment.pipeline.paths import FINETUNED
from sentiment.registry.repository import check_initialised, opened

_FOLDERS = ("data", "models")  # what is reported of the files that DVC tracks beside the model


@dataclass(frozen=True)
class Tracked:
    """What DVC knows of a file or folder: its md5, size in bytes and, of a folder, its number of files."""

    md5: str
    size: int | None
    files: int | None


class Folder:
    """A model in a folder on this machine."""

    def __init__(self, path: Path) -> None:
        """List the safetensors files."""
        self.title = str(path)
        self.identity = str(path.resolve())
        self.path = path
        self.files = sorted(file.name for file in path.glob("*.safetensors"))

    def md5(self, name: str) -> str:
        """Hash a file of the model as DVC does."""
        return _md5(self, name)

    def open(self, name: str) -> BinaryIO:
        """Open a file of the model."""
        return (self.path / name).open("rb")


class Revision:
    """A model in a git revision or DVC experiment, read from DVC's cache or remote."""

    def __init__(self, name: str, folder: str, files: Any, remote: str | None) -> None:
        """Find the model; its weights are not read.

        Args:
            name: as it was given.
            folder: the model's in the revision.
            files: from `opened`.
            remote: a DVC remote's name; None takes the default one.

        Raises:
            InputError: there is no such model, or its list of files is nowhere.
        """
        self.title, self.folder, self.fs, self.remote = name, folder, files, remote
        self.identity = f"{self.fs.repo.get_rev()}:{self.folder}"
        self._hashes = self._list()
        self.files = sorted(self._hashes)

    def _list(self) -> dict[str, str | None]:
        """List the files of weights and sketches with their md5, from what DVC has written down.

        Returns:
            File name to md5; None for a file that git holds itself.
        """
        from dvc_data.index import DataIndexDirError

        try:
            infos = self.fs.ls(self.folder, detail=True)
        except FileNotFoundError as error:
            raise InputError(
                f"{self.title}: no {self.folder} in that revision; name the model's folder after a colon, as in "
                f"{self.title.split(':')[0]}:models/base"
            ) from error
        except DataIndexDirError as error:
            raise InputError(f"{self.title}: the list of the files of {self.folder} {self._missing()}") from error
        every: dict[str, str | None] = {Path(info["name"]).name: info.get("md5") for info in infos}
        files = {name: md5 for name, md5 in every.items() if name.endswith(".safetensors") or name == SKETCHES}
        for name in files:
            plain_name(name, f"{self.title}: the list of the files of {self.folder}")
        if not files.keys() - {SKETCHES}:
            raise InputError(f"{self.title}: no *.safetensors in {self.folder} of that revision")
        return files

    def md5(self, name: str) -> str:
        """Return the md5 of a file of the model; only one that git holds itself is read for it."""
        return self._hashes[name] or _md5(self, name)

    def _missing(self) -> str:
        """Return the end of a message on what is missing: where it was looked for, and what brings it back."""
        where = f"the remote {self.remote}" if self.remote else "the default remote"
        flag = f" -r {self.remote}" if self.remote else ""
        return (
            f"is neither in the cache nor in {where}; `dvc fetch{flag} --all-commits` brings what another remote has, "
            f"`dvc push{flag} --all-commits` where the model was made sends it"
        )

    def open(self, name: str) -> BinaryIO:
        """Open a file of the model as a stream from the cache, or the remote.

        Raises:
            InputError: it is in neither.
        """
        try:
            stream = cast("BinaryIO", self.fs.open(f"{self.folder}/{name}"))
        except FileNotFoundError as error:
            raise InputError(f"{self.title}: {self.folder}/{name} {self._missing()}") from error
        if stream.seekable():
            return stream
        with stream:  # git's own objects are compressed as a whole
            return io.BytesIO(stream.read())

    def context(self) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Read what the revision says beside its weights.

        Returns:
            params and metrics by dotted key, and data by path as `Tracked`; and what of it cannot be read.
        """
        repo = self.fs.repo
        (params, unread), (metrics, more) = _shown(repo.params.show()), _shown(repo.metrics.show())
        known = {"params": params, "metrics": metrics, "data": _tracked(repo, self.folder)}
        return known, [f"{self.title}: {problem}" for problem in (*unread, *more)]


@contextmanager
def find(name: str, repo: str, remote: str | None) -> Iterator[Folder | Revision]:
    """Open what a name stands for: a folder with a model on this machine, or else a revision or an experiment.

    Args:
        name: of a revision or experiment, with a colon and the model's folder where it is another than usual.
        repo: path or address of the git repository.
        remote: a DVC remote's name; None takes the default one.

    Raises:
        InputError: it stands for nothing.
    """
    path = Path(name)
    if path.is_dir() and any(path.glob("*.safetensors")):
        yield Folder(path)
        return
    revision, _, folder = name.partition(":")
    named = "a folder with a model on this machine, nor a revision or experiment"
    with opened(repo, revision, remote, named) as files:
        check_initialised(files)
        yield Revision(name, folder.strip("/") or FINETUNED.as_posix(), files, remote)


def _shown(answer: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Flatten DVC's answer about params or metrics.

    Returns:
        Dotted key to value, the file's name in front where there are several; and what could not be read.
    """
    values: dict[str, Any] = {}
    problems = []
    for revision in answer.values():
        if "error" in revision:
            problems.append(str(revision["error"]))
        files = revision.get("data", {})
        first = next(iter(files), None)
        for file, content in files.items():
            if "error" in content:
                problems.append(f"{file} cannot be read: {content['error']}")
                continue
            held = flatten(content["data"]) if isinstance(content["data"], dict) else [("", content["data"])]
            values |= {key if file == first else f"{file}: {key}": value for key, value in held}
    return values, problems


def _tracked(repo: Any, model: str) -> dict[str, Tracked]:
    """Collect what DVC has written down of data and models, the one compared left out."""
    found = {}
    for item in (*repo.index.deps, *repo.index.outs):
        path = Path(repo.fs.relpath(item.fs_path, repo.root_dir)).as_posix()
        if path.split("/")[0] in _FOLDERS and path != model and item.hash_info and item.hash_info.value:
            found[path] = Tracked(item.hash_info.value, item.meta.size, item.meta.nfiles)
    return dict(sorted(found.items()))


def _md5(side: Folder | Revision, name: str) -> str:
    """Compute the hash that DVC names a file by; nothing is kept secret by it."""
    with side.open(name) as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest()  # type: ignore[arg-type]
