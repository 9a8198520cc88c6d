"""One Node process with isomorphic-git for all tests here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.running import lacking, need_packages

HERE = Path(__file__).parent
PEER = HERE / "peer"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("node")


class GitError(Exception):
    """A command failed in isomorphic-git."""

    def __init__(self, failed: dict[str, Any]) -> None:
        super().__init__(failed)
        self.code: str = failed["code"]
        self.data: Any = failed["data"]


class Client:
    """`client.mjs` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "client.mjs"],
            cwd=PEER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, command: str, **options: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client ended with status {self._process.wait()}"
        answer = json.loads(line)
        if "failed" in answer:
            raise GitError(answer["failed"])
        return answer["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def isomorphic_git() -> Iterator[Client]:
    need_packages(PEER)
    if not shutil.which("git"):
        lacking("git with http-backend: apt-get install -y git")
    client = Client()
    yield client
    client.close()
