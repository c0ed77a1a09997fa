"""The command `run`: an experiment with other choices than params.yaml makes, checked before DVC starts.

`dvc exp run` then runs what has changed. Where that fails, params.yaml is put back as it was.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sentiment.cli.check import find_problems
from sentiment.cli.options import Commands, Options, add_command
from sentiment.pipeline.artifacts import read_json
from sentiment.pipeline.catalog import read_yaml
from sentiment.pipeline.errors import InputError, did_you_mean
from sentiment.pipeline.params import Params, fields, flatten, params_problems
from sentiment.pipeline.paths import CATALOG, METRICS, PARAMS
from sentiment.pipeline.progress import say


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = add_command(commands, "run", run, "Run an experiment with other choices, such as train.epochs=5.", __doc__)
    about = f"a key of {PARAMS} and its value, as `dvc exp run -S` reads it; `choices` lists the keys"
    parser.add_argument("choices", nargs="*", metavar="KEY=VALUE", help=about)
    parser.add_argument("--name", help="the experiment's name; DVC invents one otherwise")
    parser.add_argument("--queue", action="store_true", help="put it into DVC's queue; KEY=A,B then tries A and B")


def run(options: Options) -> None:
    """Run the experiment, print its numbers, and say how to keep or undo it.

    Raises:
        InputError: a choice cannot be made, or DVC could not run it.
    """
    check_choices(options.choices, options.queue)
    flags = [flag for choice in options.choices for flag in ("-S", choice)]
    named = ["--name", options.name] if options.name else []
    known = experiments()
    run_dvc([*flags, *named, *(["--queue"] if options.queue else [])])
    if options.queue:
        say("queued; `dvc exp run --run-all` runs what is in the queue, `dvc queue remove --queued` empties it")
        return
    made = sorted(experiments() - known)
    say(how_to_go_on(options.name or (made[0] if made else ""), read_json(METRICS)["test"]))


def check_choices(choices: list[str], several: bool) -> None:
    """Raise if params.yaml with the choices made is wrong, or names what cannot work here.

    Args:
        choices: words of the form KEY=VALUE.
        several: whether a value may be a list of values to try, A,B.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
    from hydra.errors import HydraException

    check_keys(choices)
    try:
        tries = get_hydra_sweeps({PARAMS: choices})
        if len(tries) > 1 and not several:
            raise InputError(f"{len(tries)} experiments: several values are tried with --queue alone")
        for overrides in tries:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(shutil.copy(PARAMS, folder))
                apply_overrides(copy, overrides[PARAMS])
                content = read_yaml(copy)
            problems = params_problems(content, read_yaml(CATALOG)) or find_problems(Params.model_validate(content))
            if problems:
                raise InputError(f"{len(problems)} problem(s), nothing was run:\n  " + "\n  ".join(problems))
    except (DvcException, HydraException) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"{' '.join(choices)}: not readable: {reason}; quote what holds blanks or brackets") from error


def check_keys(choices: list[str]) -> None:
    """Raise if a word is not of the form KEY=VALUE, or its key is not one of params.yaml."""
    known = {*(key for key, _ in fields()), *(key for key, _ in flatten(read_yaml(PARAMS)))}
    for choice in choices:
        key, sign, _ = choice.partition("=")
        if not sign:
            raise InputError(f"{choice}: must be KEY=VALUE, such as train.epochs=5")
        if key not in known:
            raise InputError(
                f"{key}: no such key of {PARAMS}{did_you_mean(key, known)}; `python -m sentiment choices` lists them"
            )


def run_dvc(flags: list[str]) -> None:
    """Run `dvc exp run`; params.yaml is as it was where that fails or is interrupted.

    Raises:
        InputError: it failed.
    """
    before, status = PARAMS.read_bytes(), 1
    try:
        status = subprocess.run([sys.executable, "-m", "dvc", "exp", "run", *flags], check=False).returncode  # noqa: S603
    finally:
        if status:
            PARAMS.write_bytes(before)
    if status:
        raise InputError(
            f"the experiment failed, what is above says why; {PARAMS} is as it was, and `dvc repro` brings the rest "
            "of the workspace in line with it"
        )


def experiments() -> set[str]:
    """Return the names of the experiments that there are."""
    command = ["git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return {name for name in listed.stdout.split() if name}


def how_to_go_on(name: str, test: Mapping[str, float]) -> str:
    """Say how good an experiment is that lies in the workspace, and how to keep or undo it."""
    files = f"{PARAMS} dvc.lock {METRICS}"
    return (
        f"experiment {name}: accuracy {test['accuracy']:.4f}, log loss {test['log_loss']:.4f} on test; `python -m "
        "sentiment show` compares. It lies in the workspace now:\n"
        f"  keep it here:       git commit -m {name} {files}\n"
        f"  keep it aside:      dvc exp branch {name} BRANCH\n"
        f"  back to the commit: git checkout {files} && dvc checkout\n"
        f"  take it up again:   dvc exp apply {name}; forget it: dvc exp remove {name}"
    )
