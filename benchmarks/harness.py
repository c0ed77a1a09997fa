"""What the benchmarks share: children and rounds, meters, the machine, tables and result files.

Whatever is compared runs in a child process of its own, because memory and the allocator's state belong to a process.
The children of one round run one after another, and the rounds repeat, in turns forwards and backwards: what else the
machine does then falls on all alike. Read ratios, not seconds.

A child is `python -m benchmarks.harness MODULE FUNCTION`: it reads a JSON request, calls the function with it, and
writes the JSON result.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentiment.pipeline.artifacts import write_json
from sentiment.pipeline.progress import say

RESULTS = Path("benchmarks/results")
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pandas", "scikit-learn")
Result = dict[str, Any]
Measure = Callable[[dict[str, Any]], Result]


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """Make a parser with the options that all benchmarks share."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--name", default="local", help="of the result file")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the result file")
    made.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    made.add_argument("--rounds", type=int, default=rounds, help="how often everything is measured")
    made.add_argument("--small", action="store_true", help="a tiny model, few texts, one round: does it run at all?")
    made.add_argument("--model", help="Hugging Face folder; its weights, or random ones where it holds none")
    made.add_argument(
        "--texts", action="append", default=[], metavar="NAME=FILE.csv", help="texts, column text or Review; repeatable"
    )
    return made


def named_files(texts: Sequence[str]) -> dict[str, str]:
    """Part arguments of the form NAME=FILE."""
    return dict(text.split("=", 1) for text in texts)


def run_child(measure: Measure, request: Mapping[str, Any]) -> Result:
    """Call a module's function in a process of its own.

    Args:
        measure: a function at a module's top level, from JSON to JSON.
        request: what it is called with.

    Raises:
        RuntimeError: the child failed.
    """
    module = Path(measure.__code__.co_filename).stem  # __module__ is __main__ where the module runs as a command
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", "benchmarks.harness", f"benchmarks.{module}", measure.__name__],
        env={"OMP_WAIT_POLICY": "passive", **os.environ},  # threads that spin while waiting suffer most from other jobs
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        hint = "; killed, most likely for lack of memory" if done.returncode == -9 else ""
        raise RuntimeError(f"{request}: the child ended with status {done.returncode}{hint}")
    result: Result = json.loads(done.stdout)
    return result


def run_here(measure: Measure, request: Mapping[str, Any]) -> Result:
    """Call the function in this process: enough to see that it runs."""
    result: Result = json.loads(json.dumps(measure(dict(request))))
    return result


def interleave(
    measure: Measure, requests: Mapping[str, Mapping[str, Any]], rounds: int, small: bool
) -> dict[str, list[Result]]:
    """Measure everything in interleaved rounds.

    Args:
        measure: a function at a module's top level; its request gains the key `round`.
        requests: what it is called with, by the name of what is measured.
        rounds: how often.
        small: everything in this process.

    Returns:
        The results of each name, one per round.
    """
    results: dict[str, list[Result]] = {name: [] for name in requests}
    for number in range(rounds):
        for name in list(requests)[:: 1 if number % 2 == 0 else -1]:
            run = run_here if small else run_child
            result = run(measure, {**requests[name], "round": number})
            results[name].append(result)
            numbers = ", ".join(f"{key} {shown(value)}" for key, value in result.items() if isinstance(value, float))
            say(f"round {number + 1} of {rounds}: {name}: {numbers}")
    return results


def medians(results: Sequence[Result]) -> dict[str, float]:
    """Take the median over the rounds of each number in the results."""
    names = [name for name, value in results[0].items() if isinstance(value, (int, float))]
    return {name: statistics.median(result[name] for result in results) for name in names}


@contextmanager
def meter(whose: int = resource.RUSAGE_SELF) -> Iterator[dict[str, float]]:
    """Measure what happens in the context.

    Args:
        whose: this process's own use, or RUSAGE_CHILDREN: that of the processes which it has waited for.

    Yields:
        A mapping that holds afterwards: seconds; cpu_seconds, of all threads; system_seconds, the kernel's part of
        them; faults, the pages that the kernel had to find and clear.
    """
    used: dict[str, float] = {}
    before, start = resource.getrusage(whose), time.perf_counter()
    yield used
    seconds, after = time.perf_counter() - start, resource.getrusage(whose)
    system = after.ru_stime - before.ru_stime
    used["seconds"] = seconds
    used["cpu_seconds"] = after.ru_utime - before.ru_utime + system
    used["system_seconds"] = system
    used["faults"] = after.ru_minflt - before.ru_minflt


def peak_memory() -> float:
    """Give the most memory that this process had at once, in GB.

    Linux counts getrusage's figure on from the process that started this one, so the kernel's own is read there.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    if found:
        return int(found.group(1)) * 1024 / 1e9
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def machine() -> dict[str, Any]:
    """Say where a measurement was made, with what, and when."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return {
        "processor": found.group(1) if found else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def publish(
    kind: str, arguments: argparse.Namespace, rows: list[dict[str, Any]], columns: Sequence[str], **more: Any
) -> None:
    """Write the result file, and print its rows as a table.

    Args:
        kind: what was measured; the file's name begins with it.
        arguments: the command line's.
        rows: one mapping per line of the table, all with the same keys.
        columns: the keys that the table shows.
        more: what else the file holds.
    """
    name = "small" if arguments.small else arguments.name
    model = None if arguments.model is None else Path(arguments.model).name
    settings = {"threads": arguments.threads, "rounds": arguments.rounds, "model": model}
    path = arguments.out / f"{kind}-{name}.json"
    write_json(path, {"machine": machine(), "settings": settings, "rows": rows, **more})
    print_table(kind, [{column: row[column] for column in columns} for row in rows])
    say(f"written to {path}")


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table, numbers on the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name, value in rows[0].items():
        text = isinstance(value, str)
        table.add_column(name.replace("_", " "), justify="left" if text else "right", no_wrap=text)
    for row in rows:
        table.add_row(*map(shown, row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def shown(value: Any) -> str:
    """Write a number with three digits that count, a thing that was not measured as nothing."""
    if value is None:
        return ""
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """Be a child."""
    module, function = sys.argv[1:]
    with redirect_stdout(sys.stderr):  # the result alone goes to standard output
        result = getattr(importlib.import_module(module), function)(json.load(sys.stdin))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
