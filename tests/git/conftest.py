"""One Node process with isomorphic-git for all tests here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import lacking
from tests.node import CommandLine

HERE = Path(__file__).parent
PEER = HERE / "peer"


class GitError(Exception):
    """A command failed in isomorphic-git."""

    def __init__(self, failed: dict[str, Any]) -> None:
        super().__init__(failed)
        self.code: str = failed["code"]
        self.data: Any = failed["data"]


class Client(CommandLine):
    """`client.mjs` in a process of its own."""

    error = GitError


@pytest.fixture(scope="session")
def isomorphic_git() -> Iterator[Client]:
    if not shutil.which("git"):
        lacking("git with http-backend: apt-get install -y git")
    with Client(PEER) as client:
        yield client
