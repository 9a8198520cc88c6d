"""``python -m examples.server`` as a newcomer starts it: a process of its own, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from examples.server.site import page_policy
from tests.example_server import COMMAND, ROOT, ExampleServer, environment
from tests.handlers.building import Answer, Headers
from tests.serving import free_port

STRICT = {"PYTHONWARNINGS": "error"}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start the server where it should end by itself."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment({**STRICT, **variables}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@define
class Served(ExampleServer):
    """A running example server."""

    def __call__(
        self, method: str, target: str, /, *, json_body: object = None, **headers: str
    ) -> Answer:
        """Ask, with the target exactly as it is written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        body = None
        if json_body is not None:
            body = json.dumps(json_body)
            fields["content-type"] = "application/json"
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            return Answer(response.status, Headers(response.getheaders()), response.read())
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Served]:
    port = free_port()
    log = folder / f"output-{port}.txt"
    served = Served(folder / "data", {**STRICT, **variables}, arguments, port, log)
    served.start()
    try:
        yield served
    finally:
        served.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that only ask."""
    with serving(tmp_path_factory.mktemp("served")) as server:
        yield server


def test_the_page_is_served_with_a_policy_that_lets_in_its_own_files_only(served: Served) -> None:
    answer = served("GET", "/")
    assert (answer.status, answer.headers.get("content-type")) == (200, "text/html; charset=utf-8")
    (policy,) = answer.headers.get_all("content-security-policy")
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == ["'self'"]
    assert rules["frame-ancestors"] == rules["base-uri"] == ["'none'"]
    assert "unsafe" not in policy
    assert "<script>" not in answer.text
    assert served("GET", "/index.html").body == answer.body


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, "http://*.localhost:*"),
        ("https://{token}.preview.example/", "https://*.preview.example"),
        ("https://x-{token}-y.preview.example:444", "https://*.preview.example:444"),
        ("https://a.{token}.example", "https://*.example"),
    ],
)
def test_the_policy_lets_previews_into_frames_wherever_they_live(
    origin: str | None, source: str
) -> None:
    rules = dict(rule.split(" ", 1) for rule in page_policy(origin).split("; "))
    assert rules["frame-src"] == f"'self' {source}"


def test_everything_that_the_page_names_is_there_with_the_right_type(served: Served) -> None:
    page = served("GET", "/").text
    names = [part.partition('"')[0] for part in page.replace("src=", "href=").split('href="')[1:]]
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    local = [name.removeprefix("./") for name in names if name.rpartition(".")[2] in types]
    assert {"main.js", "base.css", "icon.svg"} <= set(local)
    for name in local:
        answer = served("GET", f"/{name}")
        kind = (answer.headers.get("content-type") or "").partition(";")[0]
        assert (answer.status, kind) == (200, types[name.rpartition(".")[2]])


def test_a_file_that_the_browser_has_is_not_sent_again(served: Served) -> None:
    tag = served("GET", "/main.js").headers.get("etag") or ""
    again = served("GET", "/main.js", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "target",
    [
        "/nothing",
        "/nothing.js",
        "/vendor",
        "/vendor/",
        "/vendor/VERSIONS.md",
        "/package.json",
        "/MAIN.JS",
        "/main.js/",
        "/../server/site.py",
        "/../../README.md",
        "/vendor/../main.js",
        "/%2e%2e/server/site.py",
        "/..%2fserver%2fsite.py",
        "/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/..%5cserver%5csite.py",
        "//etc/passwd",
        "/%00",
        "/main.js%00.html",
        "/.git/config",
    ],
)
def test_what_the_page_does_not_consist_of_is_not_found(served: Served, target: str) -> None:
    answer = served("GET", target)
    assert answer.error == (404, "not_found", None)


def test_another_host_name_is_refused(served: Served) -> None:
    assert served("GET", "/", host="evil.example").error == (403, "host_not_allowed", None)


def test_it_says_that_no_model_is_connected(served: Served) -> None:
    provider = served("GET", "/api/models").json["provider"]
    assert provider["mock"] is True
    assert "ANTHROPIC_API_KEY" in provider["notice"]
    assert "ANTHROPIC_API_KEY" in served.log.read_text()


def say(served: Served, text: str) -> Answer:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    return served("POST", "/api/chat", json_body=body)


def test_chats_projects_and_their_files_outlive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        said = say(server, "[mock:pace=0] Make a todo list")
        assert said.frames[-1]["type"] == "finish"
        project = said.headers.get("x-openbolt-project")
        paths = ("/api/chats", f"/api/chats/{said.headers.get('x-openbolt-chat')}")
        paths = (*paths, f"/api/projects/{project}", f"/api/projects/{project}/files/index.html")
        before = [server("GET", path).body for path in paths]
        assert b"<!doctype html>" in before[-1].lower()
        link = server("POST", f"/api/projects/{project}/preview", json_body={}).json["url"]
        output = server.stop()
    assert "Traceback" not in output
    with serving(tmp_path) as server:
        assert [server("GET", path).body for path in paths] == before
        host = link.split("/")[2]
        assert server("GET", "/", host=host).body == before[-1]


def test_it_ends_quietly_when_it_is_told_to(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with serving(tmp_path) as server:
            output = server.stop(number)
            assert server.process is not None
            assert server.process.returncode in {0, -number}
        assert "Traceback" not in output


def test_other_machines_are_not_let_in_without_a_password() -> None:
    ended = run("--host", "0.0.0.0")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "OPENBOLT_PASSWORD=" in ended.stderr
    assert "127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_password_it_asks_under_which_names_it_is_reached() -> None:
    ended = run("--host", "0.0.0.0", OPENBOLT_PASSWORD="long")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "OPENBOLT_ALLOWED_HOSTS=" in ended.stderr


@pytest.mark.parametrize(
    "named",
    [
        {"OPENBOLT_ALLOWED_HOSTS": "builder.example"},
        {"OPENBOLT_PUBLIC_URL": "https://builder.example"},
    ],
)
def test_with_both_it_serves_whoever_knows_the_password(
    tmp_path: Path, named: dict[str, str]
) -> None:
    password = {"OPENBOLT_PASSWORD": "lang und ☃"}
    with serving(tmp_path, "--host", "0.0.0.0", **password, **named) as server:
        asked = server("GET", "/", host="builder.example")
        assert asked.error == (401, "unauthenticated", None)
        assert asked.headers.get("www-authenticate") == 'Basic realm="openbolt", charset="UTF-8"'
        right = "Basic OmxhbmcgdW5kIOKYgw=="
        for path in ("/", "/api/chats"):
            answer = server("GET", path, host="builder.example", authorization=right)
            assert answer.status == 200
        assert "lang und" not in server.stop()


def test_help_says_what_there_is_to_say() -> None:
    ended = run("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for word in ("--host", "--port", "--data", "--reload", "--open", "ANTHROPIC_API_KEY", "8787"):
        assert word in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("port", ["65536", "-1", "x", "²"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    ended = run(f"--port={port}")
    assert ended.returncode == 2
    assert "is not a port" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("OPENBOLT_MAX_TOKENS", "x"), ("ANTHROPIC_BASE_URL", "ftp://x")]
)
def test_a_setting_that_is_wrong_is_named(name: str, value: str) -> None:
    ended = run(**{name: value})
    assert (ended.returncode, name in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


def test_a_port_that_is_taken_is_said_so(served: Served, tmp_path: Path) -> None:
    ended = run("--port", str(served.port), "--data", str(tmp_path))
    assert ended.returncode != 0
    assert "address already in use" in ended.stderr
