"""The measurements themselves work: each explains itself, and a tiny run has no errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = [
    "benchmarks.artifacts",
    "benchmarks.load",
    "benchmarks.peers.aiohttp_relay",
    "benchmarks.peers.fastapi_httpx",
    "benchmarks.peers.files",
    "benchmarks.peers.pump",
    "benchmarks.proxying",
    "benchmarks.run",
    "benchmarks.serve",
    "benchmarks.serve_proxy",
    "benchmarks.turns",
    "benchmarks.upstream",
]
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")


def run(module: str, *options: str) -> str:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    return done.stdout


@pytest.mark.parametrize("module", EXPLAINED)
def test_each_measurement_explains_itself(module: str) -> None:
    assert run(module, "--help").startswith("usage: ")


def test_turns_are_measured_without_a_network() -> None:
    names = [line[:18] for line in run("benchmarks.turns", "--chats=2", "--runs=1").splitlines()]

    assert names == ["to the first delta", "a chat of 1 delta ", "each further delta"]


@needs_proc
def test_a_tiny_run_reads_every_delta_of_every_chat(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    run("benchmarks.run", "--tiny", "--no-starts", "--only=pump", "--only=http", f"--json={file}")

    loads = ("timed", "fast", "crowd")
    results = json.loads(file.read_text())["results"]
    read = {each["name"]: [each[load]["deltas"] for load in loads] for each in results}
    assert read == {
        "byte pump": [16, 16, 16],
        "openbolt http, memory": [16, 16, 16],
        "openbolt http, embedded": [16, 16, 16],
    }


@needs_proc
def test_a_tiny_run_forwards_every_byte(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    run("benchmarks.proxying", "--tiny", "--only=openbolt", "--only=aiohttp", f"--json={file}")

    names = [each["name"] for each in json.loads(file.read_text())]
    assert names == ["aiohttp relay", "openbolt", "openbolt, secret"]
