"""A real model, and the example server in front of it, each in a process of its own.

Law: the model is served by the very script that docs/how-to/local-model.md shows.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, frozen

from tests.example_server import ROOT, ExampleServer

GUIDE = ROOT / "docs/how-to/local-model.md"


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


@define
class Chatting(ExampleServer):
    """The example server, and what one says to it."""

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
