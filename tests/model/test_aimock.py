"""A turn against a stand-in for the Messages API that is not ours, so that ours is not the proof.

Law: a stream that another hand wrote is read whole, and its refusal is a refusal here.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.needs import need_packages
from tests.wire.replies import AFTER, BEFORE, HTML, PAGE, SCRIPT
from tests.wire.running import serving_model_at

HERE = Path(__file__).parent
FIXTURES = [
    {"match": {"userMessage": "A page"}, "response": {"content": PAGE}},
    {
        "match": {"userMessage": "Too much"},
        "response": {
            "error": {"message": "Slow down", "type": "rate_limit_error"},
            "status": 429,
            "retryAfter": 60,
        },
    },
]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_packages(HERE)
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    # It cuts by UTF-16 units, through an emoji too; the service never sends half a character.
    command = ["node", "node_modules/@copilotkit/aimock/dist/cli.js", "--port=0", "--strict"]
    process = subprocess.Popen(
        [*command, f"--fixtures={fixtures}", "--chunk-size=8"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        pytest.fail(f"aimock did not start:\n{said}")
    yield found[0]
    process.kill()
    process.communicate()


@pytest.fixture
def server(aimock: str) -> Iterator[str]:
    with serving_model_at(aimock) as url:
        yield url


def ask(server: str, text: str) -> httpx.Response:
    body = {"id": "c1", "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{server}/api/chat", json=body, timeout=60)


def test_a_reply_with_files_is_read_whole(server: str) -> None:
    answer = ask(server, "A page")

    assert answer.status_code == 200
    stored: dict[str, Any] = httpx.get(f"{server}/api/chats/c1").json()
    parts = stored["messages"][1]["parts"]
    assert [part["text"] for part in parts if part["type"] == "text"] == [BEFORE, AFTER]
    files = f"{server}/api/projects/{stored['projectId']}/files"
    assert httpx.get(f"{files}/index.html").text == HTML
    assert httpx.get(f"{files}/src/app.js").text == SCRIPT
    assert stored["messages"][1]["metadata"]["finishReason"] == "stop"


def test_its_rate_limit_is_a_429_before_the_first_byte(server: str) -> None:
    answer = ask(server, "Too much")

    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["error"]["code"] == "upstream_rate_limited"
    assert httpx.get(f"{server}/api/chats").json()["chats"] == []
