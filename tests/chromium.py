"""A headless Chromium to drive: what a person does with a page, and what they see.

Commands go through a pair of pipes in the DevTools protocol, each message JSON and a zero byte:
https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="needs chromium, which .ci/run installs where it can"
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Chromium:
    """One page; `with` starts and ends the browser."""

    def __init__(self, profile: Path) -> None:
        self.profile, self.number, self.said, self.rest = profile, 0, [], b""

    def __enter__(self) -> Chromium:
        """Start the browser and take hold of its first page."""
        theirs, self.commands = os.pipe()
        self.answers, their_answers = os.pipe()
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"]
        script = f'exec chromium "$@" 3<&{theirs} 4>&{their_answers}'  # the pipes must have these two numbers
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *flags],
            pass_fds=(theirs, their_answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        os.close(their_answers)
        self.session = None
        [page] = [t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Runtime", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the browser."""
        self.session = None
        self.send("Browser.close")
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.number += 1
        session = {"sessionId": self.session} if self.session else {}
        message = {"id": self.number, "method": method, "params": params, **session}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        answer = self._answer()
        assert "result" in answer, answer
        return dict(answer["result"])

    def _answer(self) -> dict[str, Any]:
        """Read messages up to the answer; remember what the page complained about on the way."""
        while True:
            while b"\0" not in self.rest:
                part = os.read(self.answers, 1 << 16)
                assert part, "chromium ended"
                self.rest += part
            line, self.rest = self.rest.split(b"\0", 1)
            message = json.loads(line)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                self.said.append(message["params"])
            if message.get("id") == self.number:
                return dict(message)

    def open(self, address: str) -> None:
        """Open an address, anew if it differs behind # alone, and wait until it is loaded and has its focus."""
        for target in ("about:blank", address):
            self.send("Page.navigate", url=target)
            self.wait_for("document.readyState == 'complete'")
        self.run("new Promise(requestAnimationFrame)")  # which comes after autofocus

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true; looked at again with every frame."""
        look = f"({condition}) ? done() : requestAnimationFrame(look)"
        self.run(f"new Promise(done => {{ const look = () => {look}; look(); }})")

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.send("Input.insertText", text=text)

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key and let it go; modifiers: 2 for Ctrl, 8 for Shift."""
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                modifiers=modifiers, text=text if kind == "keyDown" else "",
            )  # fmt: skip

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        place = self.run(box)
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def show_as(self, width: int, height: int, scheme: str = "light") -> None:
        """Give the window a size in pixels, and the user a liking for light or dark."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
