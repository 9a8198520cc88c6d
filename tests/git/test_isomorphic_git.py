"""A real isomorphic-git clones from and pushes to a real git host, through the proxy.

Each test has three processes: the client in Node, our server, and git's own `http-backend`.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from openbolt import Settings
from openbolt.access import LocalUser, SharedPassword, scoped, with_principal
from openbolt.asgi import serve_handler
from openbolt.guards import answer_errors, with_request_id, with_security_headers
from openbolt.http import Handler
from openbolt.protocols import Authenticator
from openbolt.proxy.git import GitProxy
from openbolt.routing import ANY, Route, Router
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import SequenceTokens
from openbolt_local.resolver import SystemResolver
from tests.git.conftest import Client, GitError
from tests.git.hosting import BASIC, PASSWORD, USER, GitHost, git, make_repository, serving_git
from tests.serving import serving_in_thread

AUTH = {"username": USER, "password": PASSWORD}
NOISE = os.urandom(3_000_000)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    root = tmp_path / "host"
    root.mkdir()
    make_repository(root, "app", {"index.html": b"<h1>Hello</h1>\n", "data.bin": NOISE})
    with serving_git(root) as host:
        yield host


@contextmanager
def proxying(
    host: GitHost,
    make_sender: type[AiohttpSender] | type[HttpxSender] = AiohttpSender,
    authenticator: Authenticator | None = None,
    **choices: Any,
) -> Iterator[str]:
    """Serve the git proxy alone, leading to a host; the URL for ``corsProxy``."""
    settings = Settings(git_hosts=(f"http://{host.authority}",), **choices)

    @asynccontextmanager
    async def open_handler() -> AsyncGenerator[Handler]:
        sender, resolver = make_sender(), SystemResolver()
        proxy = GitProxy.of(settings, sender, resolver, basic_is_gits=authenticator is None)
        router = Router([Route(ANY, "/api/git/{host}/{path:path}", scoped(proxy, "proxy"))])
        known = with_principal(router, authenticator or LocalUser())
        yield with_request_id(with_security_headers(answer_errors(known)), SequenceTokens())
        await sender.aclose()
        await resolver.aclose()

    with serving_in_thread(serve_handler(open_handler), log_config=None) as url:
        yield f"{url}/api/git"


@pytest.mark.parametrize("make_sender", [AiohttpSender, HttpxSender])
def test_a_clone_a_commit_and_a_push(
    isomorphic_git: Client,
    host: GitHost,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make_sender: type[AiohttpSender] | type[HttpxSender],
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("openbolt.proxy.git").debug("what is logged is seen")
    copy = tmp_path / "copy"
    with proxying(host, make_sender) as cors_proxy:
        common = {"dir": str(copy), "corsProxy": cors_proxy, "auth": AUTH}
        cloned = isomorphic_git("clone", url=host.url("app"), **common)
        assert (cloned["message"], len(cloned["asked"])) == ("First", 1)
        assert (copy / "index.html").read_bytes() == b"<h1>Hello</h1>\n"
        assert (copy / "data.bin").read_bytes() == NOISE
        pushed = isomorphic_git(
            "push", path="data.bin", content="more\n" * 100_000, message="Second", **common
        )
    assert pushed["ok"]
    bare = host.root / "app.git"
    assert git("rev-parse", "main", cwd=bare) == pushed["oid"]
    assert git("cat-file", "-s", "main:data.bin", cwd=bare) == "500000"
    git("fsck", "--strict", cwd=bare)
    # Nothing that was logged, by whomever, holds the credential in any form.
    logged = caplog.text + repr([vars(record) for record in caplog.records])
    assert "what is logged is seen" in logged
    assert PASSWORD not in logged
    assert BASIC.removeprefix("Basic ") not in logged


def test_what_reaches_the_host_is_gits_and_nothing_of_the_page(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    headers = {"cookie": "__Host-openbolt-session=secret", "x-mine": "1", "accept-language": "de"}
    with proxying(host) as cors_proxy:
        isomorphic_git(
            "clone",
            dir=str(tmp_path / "copy"),
            url=host.url("app"),
            corsProxy=cors_proxy,
            headers=headers,
            auth=AUTH,
        )
    assert [target for _, target, _ in host.requests] == [
        "/app.git/info/refs?service=git-upload-pack",
        "/app.git/info/refs?service=git-upload-pack",
        "/app.git/git-upload-pack",
    ]
    names = {name for _, _, fields in host.requests for name in fields}
    assert names == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-type",
        "content-length",
    }
    assert {fields["user-agent"] for _, _, fields in host.requests} == {"git/openbolt"}


def test_a_wrong_password_is_the_clients_to_mend(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    with proxying(host) as cors_proxy:
        cloned = isomorphic_git(
            "clone",
            dir=str(tmp_path / "copy"),
            url=host.url("app"),
            corsProxy=cors_proxy,
            auth=AUTH,
            wrongFirst=True,
        )
    assert (len(cloned["asked"]), cloned["asked"][1]) == (2, "again")


def test_behind_a_password_of_ours_the_hosts_goes_in_a_field_of_its_own(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    ours = base64.b64encode(b"me:our-password").decode()
    headers = {"authorization": f"Basic {ours}", "x-git-authorization": BASIC}
    copy = tmp_path / "copy"
    with proxying(host, authenticator=SharedPassword("our-password")) as cors_proxy:
        common = {"dir": str(copy), "corsProxy": cors_proxy, "headers": headers}
        isomorphic_git("clone", url=host.url("app"), **common)
        pushed = isomorphic_git("push", path="a.txt", content="a", message="Second", **common)
    assert pushed["ok"]
    assert {fields.get("authorization") for _, _, fields in host.requests} == {BASIC}


def test_our_own_password_never_reaches_a_git_host(isomorphic_git: Client, host: GitHost) -> None:
    ours = base64.b64encode(b"me:our-password").decode()
    with (
        proxying(host, authenticator=SharedPassword("our-password")) as cors_proxy,
        pytest.raises(GitError) as caught,
    ):
        isomorphic_git(
            "refs",
            url=host.url("app"),
            corsProxy=cors_proxy,
            headers={"authorization": f"Basic {ours}"},
        )
    assert (caught.value.code, caught.value.data["statusCode"]) == ("HttpError", 401)
    assert caught.value.data["response"] == "Sign in with a token.\n"
    assert [fields.get("authorization") for _, _, fields in host.requests] == [None]


def test_protocol_version_2_goes_through(isomorphic_git: Client, host: GitHost) -> None:
    with proxying(host) as cors_proxy:
        refs = isomorphic_git(
            "refs", url=host.url("app"), corsProxy=cors_proxy, protocolVersion=2, auth=AUTH
        )
    assert {ref["ref"] for ref in refs} == {"HEAD", "refs/heads/main"}
    assert host.requests[-1][2]["git-protocol"] == "version=2"


def test_a_pack_over_the_limit_is_cut_off(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    with (
        proxying(host, git_max_fetch_bytes=1_000_000) as cors_proxy,
        pytest.raises(GitError),
    ):
        isomorphic_git(
            "clone",
            dir=str(tmp_path / "copy"),
            url=host.url("app"),
            corsProxy=cors_proxy,
            auth=AUTH,
        )
    assert not (tmp_path / "copy" / "index.html").exists()


def test_a_push_over_the_limit_is_refused(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    with proxying(host, git_max_push_bytes=100_000) as cors_proxy:
        common = {"dir": str(tmp_path / "copy"), "corsProxy": cors_proxy, "auth": AUTH}
        isomorphic_git("clone", url=host.url("app"), **common)
        before = git("rev-parse", "main", cwd=host.root / "app.git")
        noise = os.urandom(150_000).hex()
        with pytest.raises(GitError) as caught:
            isomorphic_git("push", path="b.txt", content=noise, message="Large", **common)
    assert caught.value.data["statusCode"] == 413
    assert git("rev-parse", "main", cwd=host.root / "app.git") == before
    assert "/app.git/git-receive-pack" not in [target for _, target, _ in host.requests]


def test_a_redirect_within_the_host_is_followed(isomorphic_git: Client, host: GitHost) -> None:
    host.redirects["/old.git"] = f"http://{host.authority}/app.git"
    with proxying(host) as cors_proxy:
        refs = isomorphic_git("refs", url=host.url("old"), corsProxy=cors_proxy, auth=AUTH,
                              protocolVersion=1)  # fmt: skip
    assert "refs/heads/main" in {ref["ref"] for ref in refs}


def test_a_redirect_to_somewhere_else_reaches_nobody(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    with serving_git(tmp_path, "127.0.0.2", host.port) as inside:
        host.redirects["/old.git"] = f"http://127.0.0.2:{host.port}/app.git"
        with proxying(host) as cors_proxy, pytest.raises(GitError) as caught:
            isomorphic_git("refs", url=host.url("old"), corsProxy=cors_proxy, auth=AUTH)
    assert caught.value.data["statusCode"] == 502
    assert inside.requests == []


def test_a_host_that_isnt_listed_is_refused(
    isomorphic_git: Client, host: GitHost, tmp_path: Path
) -> None:
    with serving_git(tmp_path, "127.0.0.2", host.port) as inside:
        url = f"http://127.0.0.2:{host.port}/app.git"
        with proxying(host) as cors_proxy, pytest.raises(GitError) as caught:
            isomorphic_git("refs", url=url, corsProxy=cors_proxy, auth=AUTH)
    assert caught.value.data["statusCode"] == 403
    assert (inside.requests, host.requests) == ([], [])
