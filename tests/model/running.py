"""A real model, and the example server in front of it, each in a process of its own.

Law: the model is served by the very script that docs/how-to/local-model.md shows.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field, frozen

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/how-to/local-model.md"
START_SECONDS = 60.0


def documented_script() -> str:
    """The Python block of the guide."""
    [script] = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return str(script)


@contextmanager
def model_server(folder: Path) -> Iterator[str]:
    """Serve the local model until the context is left; its base URL."""
    script = folder / "serve_model.py"
    script.write_text(documented_script())
    with (folder / "model.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), "0"], stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, (folder / "model.log").read_text(errors="replace")[-4000:]
        yield url
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@define
class ExampleServer:
    """`python -m examples.server` with a folder for its data; it can be started again."""

    data: Path
    settings: Mapping[str, str]
    port: int = field(factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        own = ("ANTHROPIC_", "OPENBOLT_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        environment |= {"PYTHONPATH": str(ROOT / "src"), **self.settings}
        command = [sys.executable, "-m", "examples.server", f"--port={self.port}"]
        with (self.data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, f"--data={self.data}"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError((self.data / "server.log").read_text(errors="replace")[-4000:])

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def get(self, path: str) -> Any:
        """What a path answers, as JSON."""
        answer = httpx.get(self.url + path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str) -> Any:
        answer = httpx.post(self.url + path)
        answer.raise_for_status()
        return answer.json()

    def chunks(self, chat: str, text: str, **fields: object) -> Iterator[dict[str, Any]]:
        """Send a message; the chunks of the reply as they arrive."""
        body = {"id": chat, "messages": [{"role": "user", "content": text}], **fields}
        with httpx.stream("POST", f"{self.url}/api/chat", json=body, timeout=120) as answer:
            if not answer.is_success:
                raise RuntimeError(answer.read().decode())
            lines = (line for line in answer.iter_lines() if line.startswith("data: "))
            for line in lines:
                if line != "data: [DONE]":
                    yield json.loads(line.removeprefix("data: "))

    def ask(self, chat: str, text: str, **fields: object) -> Reply:
        """Send a message and wait for the end of the reply."""
        return Reply(list(self.chunks(chat, text, **fields)))


@frozen
class Reply:
    """The chunks of a reply."""

    chunks: list[dict[str, Any]]

    @property
    def deltas(self) -> list[str]:
        return [chunk["delta"] for chunk in self.chunks if chunk["type"] == "text-delta"]

    @property
    def text(self) -> str:
        return "".join(self.deltas)

    @property
    def usage(self) -> dict[str, Any]:
        [found] = [chunk["data"] for chunk in self.chunks if chunk["type"] == "data-usage"]
        return dict(found)

    @property
    def finish_reason(self) -> str:
        return str(self.chunks[-1]["messageMetadata"]["finishReason"])


def visible_text(message: dict[str, Any]) -> str:
    """The text of a stored message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")
