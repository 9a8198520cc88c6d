"""``python -m examples.server`` in a process of its own, as whoever has a checkout starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from attrs import Factory, define, field

from tests.serving import JsonApi, end, free_port

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "examples.server")
START_SECONDS = 60.0
"""To the first answer, on a busy machine too; it takes about two."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Of whoever runs the tests, without their keys and settings."""
    own = ("ANTHROPIC_", "GITHUB_", "OPENBOLT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), **settings}


@define
class ExampleServer(JsonApi):
    """The server over a folder of data; it can be ended and started again.

    Attributes:
        settings: By their names in the environment.
        arguments: Of the command line, besides port and folder.
        log: All that it says.
    """

    data: Path
    settings: Mapping[str, str] = field(factory=dict)
    arguments: Sequence[str] = ()
    port: int = field(factory=free_port)
    log: Path = Factory(lambda self: self.data / "server.log", takes_self=True)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        where = (f"--port={self.port}", f"--data={self.data}")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *where, *self.arguments],
                cwd=ROOT,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end_of_patience = time.monotonic() + START_SECONDS
        while time.monotonic() < end_of_patience and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"it did not answer:\n{self.log.read_text(errors='replace')[-4000:]}")

    def _answers(self) -> bool:
        try:
            # It may refuse the name that it is called by.
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> str:
        """End it as Ctrl-C does; all that it said."""
        if self.process is not None:
            end(self.process, how)
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would: no chance to save anything."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
