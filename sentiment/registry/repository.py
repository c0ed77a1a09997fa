"""Open a DVC repository at a revision or as it lies here; what DVC, git and gto say becomes an input error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sentiment.pipeline.errors import InputError, allowed


@contextmanager
def opened(
    repo: str | None = None, rev: str | None = None, remote: str | None = None, named: str = "a revision or experiment"
) -> Iterator[Any]:
    """Open a repository as DVC's file system (https://doc.dvc.org/api-reference/dvcfilesystem).

    Args:
        repo: its folder or address; None is the one here.
        rev: a git revision or experiment; None is what lies in the folder, or the default branch of an address.
        remote: name of a DVC remote; None is its default.
        named: what `rev` may be, for the message.

    Raises:
        InputError: the repository, the revision or the remote is not to be had, or what is read of it fails.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.scm import RevError
    from dvc_data.index.index import DataIndexDirError
    from gto.exceptions import GTOException
    from scmrepo.exceptions import SCMError

    where = "the repository here" if repo is None or repo == "." else _without_password(repo)
    try:
        config = _remotes(repo or ".") if repo is None or Path(repo).is_dir() else None
        files = DVCFileSystem(repo, rev=rev, remote=remote, config=config)
        known = files.repo.config["remote"]
    except RevError as error:
        raise InputError(
            f"{rev}: not {named} of {where}; `git log --oneline --all` and `dvc exp list -A` name them"
        ) from error
    except DvcException as error:
        raise InputError(f"{where}: cannot be opened as a DVC repository: {_reason(error)}") from error
    if remote is not None and remote not in known:
        raise InputError(f"--remote: found {remote}, {allowed(remote, known or ['none; no remote is set'])}")
    try:
        yield files
    except ImportError as error:  # the package for the remote's kind
        raise InputError(f"{where}: {error}, for example by `pip install`") from error
    except (GTOException, SCMError, DvcException, DataIndexDirError, OSError) as error:
        hint = "; is the model pushed (`dvc push`), and can the remote be reached from here?" if rev or repo else ""
        raise InputError(f"{where}: {_reason(error)}{hint}") from error


def check_initialised(files: Any) -> None:
    """Raise if git alone keeps an opened repository."""
    if files.repo.dvc_dir is None:
        raise InputError(f"{files.repo.root_dir}: not a DVC repository")


def _remotes(repo: str) -> dict[str, Any]:
    """Read the remotes as they are known now: a revision may be older than the remote that its files went to."""
    from dvc.repo import Repo

    with Repo(repo, uninitialized=True) as now:
        default = now.config["core"].get("remote")
        return {"remote": now.config["remote"], "core": {"remote": default} if default else {}}


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost cause of an error, which says more than those around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _without_password((str(error).splitlines() or [type(error).__name__])[0])


def _without_password(text: str) -> str:
    """Leave the user and password of addresses out of a message."""
    return re.sub(r"://[^/@\s]*@", "://", text)
