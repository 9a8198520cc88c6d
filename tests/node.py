"""Programs in Node that take commands: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.needs import need_packages


class NodeError(Exception):
    """A command failed in the program; what it says of that."""


class NodeProgram:
    """A script in a process of its own, that ends with the context.

    Attributes:
        error: What to raise of a command that failed.
    """

    error: ClassVar[type[Exception]] = NodeError

    def __init__(self, folder: Path, script: str, *arguments: str) -> None:
        need_packages(folder)
        self._process = subprocess.Popen(
            ["node", script, *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def tell(self, **command: object) -> Any:
        """Run a command; its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self.result()

    def result(self) -> Any:
        """What the program says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise self.error(answer["failed"])
        return answer["result"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


class CommandLine(NodeProgram):
    """One whose commands have names: ``client.mjs``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "client.mjs")

    def __call__(self, command: str, **options: object) -> Any:
        """Run a command of `client.mjs`; its answer."""
        return self.tell(command=command, **options)
