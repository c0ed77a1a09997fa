"""Guards the way to the hub: pinned, from its cache where that holds the files, and every failure told with a remedy.

huggingface_hub reads its environment when it is imported, so each fetch runs in a process of its own; the hub is a
cache folder written by the test, or a stand-in on 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from sentiment.hub import fetch
from sentiment.pipeline.errors import InputError
from tests.conftest import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHERE = "catalog.yaml: models.mine"
CATALOG = YAML(typ="safe", pure=True).load(ROOT / "catalog.yaml")
DRIVER = """
import json, sys, time
time.sleep = lambda seconds: None  # the library waits 23 seconds in all between its retries
from sentiment.pipeline.errors import InputError
from sentiment.hub import fetch
try:
    print(fetch(*json.loads(sys.argv[1])))
except InputError as error:
    print("InputError:", error)
"""


def environment(**values: str) -> dict[str, str]:
    """Give this process's environment without what steers the hub's library and proxies, and with the values."""
    plain = {k: v for k, v in os.environ.items() if not k.upper().startswith("HF_") and "proxy" not in k.lower()}
    return {**plain, "PYTHONPATH": str(ROOT), **values}


def fetched(name: str, kind: str = "model", patterns: tuple[str, ...] = ("*",), **env: str) -> str:
    """Fetch in a process of its own and give what it printed: the folder, or the input error."""
    call = json.dumps([{"id": name, "revision": COMMIT}, WHERE, kind, list(patterns)])
    command = [sys.executable, "-c", DRIVER, call]
    done = subprocess.run(command, env=environment(**env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    return done.stdout.strip()


def cache(folder: Path, repository: str, commit: str, files: dict[str, bytes]) -> Path:
    """Lay a snapshot out as the hub's library does: content in blobs, names as links to them."""
    snapshot = folder / repository / "snapshots" / commit
    for number, (name, content) in enumerate(files.items()):
        blob = folder / repository / "blobs" / f"{number:040x}"
        for path in (blob, snapshot / name, folder / repository / "refs" / "main"):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    (folder / repository / "refs" / "main").write_text(commit)
    return snapshot


@pytest.mark.parametrize(("kind", "prefix"), [("model", "models"), ("dataset", "datasets")])
@pytest.mark.parametrize(("variable", "below"), [("HF_HUB_CACHE", "."), ("HF_HOME", "hub")])
def test_a_cached_snapshot_is_found_offline(kind: str, prefix: str, variable: str, below: str, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "deep/model.safetensors": b"weights"}
    snapshot = cache(tmp_path / below, f"{prefix}--org--mine", COMMIT, files)
    found = fetched("org/mine", kind, **{variable: str(tmp_path)}, HF_HUB_OFFLINE="1")
    assert Path(found) == snapshot.resolve()
    assert {name: (Path(found) / name).read_bytes() for name in files} == files


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("rotten_tomatoes", {s: f"{s}.parquet" for s in ("train", "validation", "test")}),
        ("imdb", {s: f"plain_text/{s}-00000-of-00001.parquet" for s in ("train", "test", "unsupervised")}),
        ("sst2", {s: f"data/{s}-00000-of-00001.parquet" for s in ("train", "validation", "test")}),
    ],
)
def test_hub_datasets_are_prepared_from_the_cache(
    name: str, files: dict[str, str], workspace: Path, change: Callable[..., None]
) -> None:
    """The files lie as on the hub, unlabelled ones (label -1) included, which no split may read."""
    entry = CATALOG["datasets"][name]
    unlabelled = {"imdb": "unsupervised", "sst2": "test"}.get(name)
    contents = {}
    for split, file in files.items():
        labels = [-1] * 60 if split == unlabelled else [0, 1] * 30
        texts = [f"{split} {number}<br />" for number in range(60)]
        pd.DataFrame({"idx": range(60), entry["text"]: texts, "label": labels}).to_parquet(workspace / "file.parquet")
        contents[file] = (workspace / "file.parquet").read_bytes()
    cache(workspace / "cache", f"datasets--{entry['id'].replace('/', '--')}", entry["revision"], contents)
    change("params.yaml", **{"data.name": name})
    env = environment(HF_HUB_CACHE=str(workspace / "cache"), HF_HUB_OFFLINE="1")
    command = [sys.executable, "-m", "stages.prepare"]
    done = subprocess.run(command, cwd=workspace, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    test = pd.read_parquet(workspace / "data" / "prepared" / "test.parquet")
    origin = "validation" if name == "sst2" else "test"
    assert list(test["text"]) == [f"{origin} {number}" for number in range(60)]
    assert list(test["label"]) == [0, 1] * 30
    assert set(test["source"]) == {files[origin]}
    train, validation = (
        pd.read_parquet(workspace / "data" / "prepared" / f"{split}.parquet") for split in ("train", "validation")
    )
    read = {"train", *files} - {"test", "unsupervised"} - ({"validation"} if name == "sst2" else set())
    assert {text.split()[0] for text in [*train["text"], *validation["text"]]} == read


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:39], COMMIT.upper(), COMMIT + "0", f"{COMMIT}\n", None])
def test_a_revision_that_is_no_commit_is_refused(revision: str | None) -> None:
    message = "catalog.yaml: models.mine.revision: found .*, must be a commit of 40 hexadecimal digits"
    with pytest.raises(InputError, match=f"(?s){message}"):
        fetch({"id": "org/mine", "revision": revision}, WHERE, "model", ["*"])


def test_what_is_not_cached_cannot_be_had_offline(tmp_path: Path) -> None:
    answer = fetched("org/mine", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert answer.startswith(f"InputError: {WHERE}: org/mine at {COMMIT[:7]} is not in the hub's cache and cannot be")
    assert answer.endswith(
        "check the network and HF_HUB_OFFLINE, or choose an entry of another source, such as minilm-package for a model"
    )


class StandIn(BaseHTTPRequestHandler):
    """Answers as the hub does, by the repository's name."""

    asked: list[str] = []  # noqa: RUF012
    refusals = {  # noqa: RUF012
        "missing": (404, "RepoNotFound"),
        "private": (401, "RepoNotFound"),
        "rewritten": (404, "RevisionNotFound"),
        "gated-401": (401, "GatedRepo"),
        "gated-403": (403, "GatedRepo"),
        "forbidden": (403, ""),
        "down": (503, ""),
    }

    def do_GET(self) -> None:
        """Answer a listing or a file."""
        self.asked.append(self.path)
        name = self.path.partition("/org/")[2].split("/")[0]
        listing = [
            {"type": "file", "path": p, "size": 2, "oid": f"{n:040x}"} for n, p in enumerate(("a.json", "b.txt"))
        ]
        if name == "hangs-up":
            self.close_connection = True
        elif name == "login-page":
            self.answer(200, b"<html>Please log in</html>")
        elif name in self.refusals:
            code, reason = self.refusals[name]
            self.answer(code, b"{}", **({"X-Error-Code": reason} if reason else {}))
        elif "/tree/" in self.path:
            self.answer(200, json.dumps(listing).encode())
        elif name == "gated-files":
            self.answer(403, b"", **{"X-Error-Code": "GatedRepo"})
        else:
            self.answer(200, b"{}", ETag='"' + "0" * 40 + '"', **{"X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815

    def answer(self, code: int, body: bytes, **headers: str) -> None:
        """Send one whole answer."""
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/missing", ".id: the hub has no dataset org/missing, or it is private; then set HF_TOKEN"),
        ("org/private", ".id: the hub has no dataset org/private, or it is private; then set HF_TOKEN"),
        ("org/rewritten", f".revision: org/rewritten has no revision {COMMIT}"),
        ("org/gated-401", ": org/gated-401 is gated; accept its terms on the hub and set HF_TOKEN"),
        ("org/gated-403", ": org/gated-403 is gated; accept its terms on the hub and set HF_TOKEN"),
        ("org/gated-files", ": org/gated-files is gated; accept its terms on the hub and set HF_TOKEN"),
    ],
)
def test_a_refusal_of_the_hub_is_told_with_its_remedy(name: str, message: str, endpoint: str, tmp_path: Path) -> None:
    assert fetched(name, "dataset", HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path)) == f"InputError: {WHERE}{message}"


@pytest.mark.parametrize(
    ("name", "cause"), [("forbidden", "403"), ("down", "503"), ("hangs-up", ""), ("login-page", "")]
)
def test_a_hub_that_gives_no_sense_is_told_with_the_cause(name: str, cause: str, endpoint: str, tmp_path: Path) -> None:
    answer = fetched(f"org/{name}", HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path))
    assert answer.startswith(f"InputError: {WHERE}: org/{name} at {COMMIT[:7]} ")
    assert cause in answer
    assert "check the network" in answer


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_an_endpoint_that_does_not_answer_is_told(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as deaf:  # bound, but not listening: connections are refused
        deaf.bind(("127.0.0.1", 0))
        closed = f"{scheme}127.0.0.1:{deaf.getsockname()[1]}"
        answer = fetched("org/mine", HF_ENDPOINT=closed, HF_HOME=str(tmp_path))
    assert answer.startswith(f"InputError: {WHERE}: org/mine at {COMMIT[:7]} is not in the hub's cache and cannot be")
    assert "check the network" in answer


@pytest.mark.parametrize("name", ["org/mine/more", "org--mine", "org/mi ne", "https://huggingface.co/org/mine"])
def test_an_id_that_no_repository_can_have_is_refused(name: str, tmp_path: Path) -> None:
    assert fetched(name, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1").startswith(f"InputError: {WHERE}.id: ")


def test_only_the_wanted_files_are_fetched_and_only_once(endpoint: str, tmp_path: Path) -> None:
    env = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    folder = Path(fetched("org/mine", patterns=("*.json",), **env))
    assert sorted(path.name for path in folder.iterdir()) == ["a.json"]
    assert any("/tree/" in path for path in StandIn.asked)
    StandIn.asked.clear()
    assert fetched("org/mine", patterns=("*.json",), **env) == str(folder)
    assert not [path for path in StandIn.asked if "/org/" in path]
    assert fetched("org/mine", patterns=("*.json",), **env, HF_HUB_OFFLINE="1") == str(folder)
    incomplete = fetched("org/mine", patterns=("*.txt",), **env, HF_HUB_OFFLINE="1")
    assert incomplete.startswith(f"InputError: {WHERE}: org/mine at {COMMIT[:7]} is not in the hub's cache")
