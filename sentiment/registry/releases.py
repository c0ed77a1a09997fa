"""Release the model: make sure that others can pull it from this commit, then name the commit by git tags.

The tags are gto's (https://doc.dvc.org/gto), which `dvc artifacts get` and `dvc.api.artifacts_show` read, and every
`--rev` takes: `sentiment@v1.2.0` for a version, `sentiment#prod#1` for the first time that one goes to the stage prod.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from sentiment.pipeline.errors import InputError, first_few
from sentiment.pipeline.params import flatten
from sentiment.pipeline.paths import FINETUNED
from sentiment.pipeline.progress import say
from sentiment.registry.repository import check_initialised, opened

SHOWN = 8  # names in one problem; more would hide the others


def release(version: str, stage: str | None = None, remote: str | None = None) -> list[str]:
    """Tag the commit that is checked out; or, of a version that there is, bring it to a stage.

    Args:
        version: as in v1.2.0 (https://semver.org), greater than all before it.
        stage: a name such as prod.
        remote: name of the DVC remote that must hold what DVC tracks; None is the default one.

    Returns:
        The new tags.

    Raises:
        InputError: names everything that stands against it; nothing is tagged then.
    """
    with opened() as files:
        check_initialised(files)
        repo = files.repo
        name = artifact_name(repo)
        versions = registered(repo.scm, name)
        known = versions.get(version) if stage else None
        problems = stage_problems(repo.scm, name, stage, known)
        if known:  # what else is checked held when it was registered
            with repo.switch(known):
                problems += pushed(repo, remote)
        else:
            problems += version_problems(version, versions, repo.scm.get_rev())
            problems += [*clean(repo), *current(repo), *pushed(repo, remote)]
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise InputError(f"{name} {version} is not released, nothing is tagged: {len(problems)} problem(s){listed}")
        return tag(repo.scm, name, version, stage, new=not known)


def artifact_name(repo: Any) -> str:
    """Find the name under which dvc.yaml declares the model.

    Raises:
        InputError: it declares none.
    """
    declared: dict[str, Any] = repo.artifacts.read().get("dvc.yaml", {})
    for name, artifact in declared.items():
        if artifact.path == FINETUNED.as_posix():
            return name
    raise InputError(f"dvc.yaml: no artifact with the path {FINETUNED}; declare it below `artifacts:`")


def registered(scm: Any, name: str) -> dict[str, str]:
    """Return each version, the withdrawn ones too, with its commit; the greatest comes first."""
    from gto.registry import GitRegistry

    with GitRegistry.from_scm(scm) as registry:
        versions = registry.find_artifact(name, create_new=True).get_versions(active_only=False)
    return {version.version: version.commit_hexsha for version in versions if version.is_registered}


def version_problems(version: str, versions: Mapping[str, str], commit: str) -> list[str]:
    """Return what is wrong with a new version.

    Args:
        version: the new one.
        versions: from `registered`.
        commit: what it would name, 40 hexadecimal digits.
    """
    from gto.versions import SemVer

    last = next(iter(versions), None)
    following = SemVer(last).bump_minor().version if last else "v1.0.0"
    if not SemVer.is_valid(version):
        return [f"VERSION: found {version}, allowed: v and a semantic version, such as {following} or v2.0.0-rc.1"]
    problems = [
        f"this commit is {other} already; `release {other} --stage STAGE` brings that to a stage"
        for other, named in versions.items()
        if named == commit
    ]
    if last and not SemVer(last) < SemVer(version):
        problems += [f"VERSION: found {version}, must be greater than {last}, such as {following}"]
    return problems


def stage_problems(scm: Any, name: str, stage: str | None, commit: str | None) -> list[str]:
    """Return what is wrong with a stage for a commit; None is a commit without a version."""
    from gto.constants import Action, check_string_is_valid
    from gto.tag import find, parse_name, parse_tag

    if stage is None:
        return []
    if not check_string_is_valid(stage):
        return [f"--stage: found {stage}, allowed: letters and digits, - and _ between them, such as prod"]
    made = find(name=name, stage=stage, scm=scm)  # by time, in whole seconds; a tag's number says what came later
    last = max(made, key=lambda tag: parse_name(tag.name).get("counter", 0), default=None)
    stages = {parse_name(tag.name).get("stage") for tag in find(name=name, scm=scm)} - {None}
    if stages and stage not in stages:
        say(f"warning: no version was in {stage} before; there are: {', '.join(sorted(map(str, stages)))}")
    there = last and last.target == commit and parse_tag(last).action == Action.ASSIGN
    return [f"--stage: it is in {stage} already"] if there else []


def clean(repo: Any) -> list[str]:
    """Return the problem of a working tree that differs from the commit."""
    staged, unstaged, untracked = repo.scm.status(untracked_files="all")
    changed = {*unstaged, *untracked, *(file for files in staged.values() for file in files)}
    return [f"not in the commit: {first_few(changed, SHOWN)}; commit, ignore or remove it"] if changed else []


def current(repo: Any) -> list[str]:
    """Return the problem of a dvc.lock that does not describe what lies here."""
    state = repo.status(check_updates=False)
    changes = [f"{stage}: {change}" for stage, found in state.items() for change in _changes(found)]
    hint = "`dvc pull` brings what is not here, `dvc repro` makes what has changed; then commit dvc.lock"
    return [f"dvc.lock does not say what lies here: {first_few(changes, SHOWN)}; {hint}"] if changes else []


def _changes(found: list[Any]) -> list[str]:
    """Name what DVC's status says of a stage, such as `changed command` or `params.yaml.seed modified`."""
    plain = [change for change in found if isinstance(change, str)]
    parts = [part for change in found if not isinstance(change, str) for part in change.values()]
    return plain + [f"{key} {state}" for part in parts for key, state in flatten(part)]


def pushed(repo: Any, remote: str | None) -> list[str]:
    """Return the problem of a remote that lacks what DVC tracks.

    Each file is looked up. `dvc status --cloud` will not do: it takes a folder's list of files for the files, and an
    unreachable remote for one in sync.
    """
    from dvc.config import NoRemoteError

    try:
        where = repo.cloud.get_remote(remote).name
        state = repo.data_status(remote=where, not_in_remote=True, granular=True, remote_refresh=True)
    except NoRemoteError:
        add = "`dvc remote add -d storage URL && dvc push && git commit -m remote .dvc/config`"
        return [f"no DVC remote to pull from; {add} makes and fills one, or name yours: --remote NAME"]
    except Exception as error:  # each kind of storage has errors of its own
        named = f"the remote {remote}" if remote else "the default remote"
        return [f"{named} does not say what it holds: {error}"]
    missing = first_few(state["not_in_remote"], SHOWN)
    return [f"not on the remote {where}: {missing}; `dvc push -r {where}` sends it"] if missing else []


def tag(scm: Any, name: str, version: str, stage: str | None, new: bool) -> list[str]:
    """Make the tags, all or none.

    Args:
        scm: the git repository.
        name: the artifact's name.
        version: the version.
        stage: the stage that it goes to; None is none.
        new: whether the version is yet to be registered.

    Returns:
        Their names.
    """
    from gto.registry import GitRegistry
    from gto.tag import delete_tag, find

    tags: list[str] = []
    with GitRegistry.from_scm(scm) as registry, ExitStack() as undo:
        if new:
            tags.append(registry.register(name, "HEAD", version, simple=True).tag)
            undo.callback(delete_tag, scm, tags[0])
        if stage:
            _wait_past(find(name=name, stage=stage, scm=scm))
            # by force, else gto keeps a version out of a stage that it was in before another
            tags.append(registry.assign(name, stage, version, force=True).tag)
        undo.pop_all()
    return tags


def _wait_past(tags: Iterable[Any]) -> None:
    """Wait until a new tag will be later than others: DVC takes the latest, and times are in whole seconds."""
    last = max((tag.tag_time for tag in tags), default=0)
    while int(time.time()) <= last <= time.time() + 1:  # a tag from a clock that is ahead is not waited for
        time.sleep(0.05)
