"""A real headless Chromium, spoken to over a pipe by the DevTools protocol; no library between."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
PATIENCE_SECONDS = 60


class Browser:
    """One page of one Chromium. `events` holds what the page told of since the last `open`."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._waiting = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """One command and its answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._waiting += os.read(self._answers, 1 << 20)
        message, self._waiting = self._waiting.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, place: Path, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True) -> None:
        """Load a file as a screen of that size shows it, and wait until it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.events.clear()
        self.call("Page.navigate", url=place.as_uri())
        while not self.told("Page.loadEventFired"):
            self.events.append(self._next())

    def told(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self) -> list[Any]:
        """Errors and warnings: of the console, of scripts, and of the browser about the page."""
        said = [event["args"] for event in self.told("Runtime.consoleAPICalled")]
        logged = [event["entry"] for event in self.told("Log.entryAdded") if event["entry"]["level"] in ("warning", "error")]
        return [*said, *logged, *self.told("Runtime.exceptionThrown")]

    def requests(self) -> list[str]:
        """Everything that the page has asked for, itself first; what is written inside it is no request."""
        urls = [event["request"]["url"] for event in self.told("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:")]

    def screenshot(self, place: Path) -> None:
        """The whole page as a PNG."""
        place.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]))

    def pdf(self, place: Path) -> None:
        place.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Starts the `chromium` of this machine with a new profile in `folder`, and ends it."""
    path = shutil.which("chromium")
    assert path is not None
    (its_commands, commands), (answers, its_answers) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(handle, fcntl.F_DUPFD, 10) for handle in (its_commands, its_answers)]
    log = os.open(folder / "chromium.log", os.O_CREAT | os.O_WRONLY)
    plumbing = [
        (os.POSIX_SPAWN_DUP2, theirs[0], 3),
        (os.POSIX_SPAWN_DUP2, theirs[1], 4),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    process = os.posix_spawn(path, [path, *FLAGS, f"--user-data-dir={folder}/profile"], os.environ, file_actions=plumbing, setpgroup=0)
    for handle in (its_commands, its_answers, *theirs, log):
        os.close(handle)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
