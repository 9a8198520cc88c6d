"""The watch over the whole run does watch: leaks that are planted here are found.

(`canaries.WATCH.take` takes them away again, or these tests would fail for them, as others do.)
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest

from openbolt import Settings
from openbolt.access import SharedPassword
from openbolt.auth.github import GitHub
from openbolt.auth.identity import Grant
from openbolt.auth.oidc import OpenIdConnect
from openbolt.auth.tokens import new_api_key, new_session_token
from openbolt.chat.events import TurnFailed
from openbolt.clock import SystemTokens
from openbolt.errors import BackendError, InvalidRequestError
from openbolt.guards import answer_errors, error_response
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext, Response
from openbolt.protocols import OutboundRequest
from openbolt.secrets import SecretStore
from openbolt.testing import ManualClock, PlainCipher, SequenceTokens
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore
from tests.security.canaries import WATCH, fail_if_told

log = logging.getLogger("openbolt.planted")


async def put_secret() -> str:
    clock = ManualClock()
    store = SecretStore(MemoryKeyValueStore(clock), PlainCipher(), clock, Settings())
    await store.put("ann", "x", "a secret of hers")
    return "a secret of hers"


def of_cipher() -> str:
    key = generate_key()
    AesGcmCipher([key])
    return key


SECRETS: dict[str, Callable[[], str]] = {
    "session": lambda: new_session_token(SystemTokens()),
    "session of a test": lambda: new_session_token(SequenceTokens(123)),
    "API key": lambda: new_api_key(SystemTokens()),
    "part of an API key": lambda: new_api_key(SystemTokens())[4:56],
    "GitHub token": lambda: "gho_" + "a1B2" * 9,
    "GitHub refresh token": lambda: "ghr_" + "a1B2" * 9,
    "Anthropic key": lambda: "sk-ant-api03-abcdefgh",
    "master key": of_cipher,
    "password": lambda: SharedPassword("correct horse").password,
    "setting": lambda: str(Settings(anthropic_api_key="a key like no other").anthropic_api_key),
    "client secret": lambda: GitHub("id", "client-secret-1").client_secret,
    "client secret of another": lambda: (
        OpenIdConnect("https://issuer.example", "id", "client-secret-2").client_secret
    ),
    "provider's token": lambda: Grant("provider-token-1").access_token,
    "refresh token": lambda: str(Grant("x", None, "refresh-token-1").refresh_token),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_every_kind_of_secret_is_known(kind: str) -> None:
    secret = SECRETS[kind]()
    log.debug("said: <%s>", secret)
    (found,) = WATCH.take()
    assert found.startswith("log: openbolt.planted DEBUG: said: <[")
    assert secret not in found, "whoever reads the report isn't told it again"


async def test_a_secret_that_was_put_into_the_store_is_known() -> None:
    log.error("said: %s", await put_secret())
    assert len(WATCH.take()) == 1


@pytest.mark.parametrize(
    "text", ["", "a" * 300, "obk_" + "a" * 52 + "_aaaaaa", "sk-ant-", "gho_x", "2" * 52]
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    log.error("said: %s", text)
    assert WATCH.take() == []


def test_a_secret_is_found_in_a_traceback_and_the_log_stays_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = new_session_token(SystemTokens())
    try:
        raise ValueError(token)
    except ValueError:
        log.warning("it broke", exc_info=True)
        log.info("nobody asked for %s", token)
    assert len(WATCH.take()) == 2
    assert [record.message for record in caplog.records] == ["it broke"]
    assert log.getEffectiveLevel() == logging.WARNING


def test_others_are_looked_at_while_they_work_for_us() -> None:
    token = new_session_token(SystemTokens())
    theirs = logging.getLogger("httpx")
    theirs.info("GET /?%s", token)
    assert WATCH.take() == []
    ours = {"__name__": "openbolt.senders.planted", "theirs": theirs, "token": token}
    exec("theirs.info('GET /?%s', token); theirs.debug('header: %s', token)", ours)
    assert len(WATCH.take()) == 1


async def test_a_secret_is_found_in_an_error() -> None:
    token = new_session_token(SystemTokens())

    async def broken(_: Request, /) -> Response:
        raise InvalidRequestError("Wrong.", field=token)

    await answer_errors(broken)(request())
    assert [found.partition(":")[0] for found in WATCH.take()] == ["error response"]
    error_response(BackendError("Down.", detail=token))
    assert WATCH.take() == [], "what is for the log isn't in it"


def test_a_secret_is_found_in_a_turns_failure() -> None:
    TurnFailed(f"The key {new_api_key(SystemTokens())} was refused.", "internal")
    assert [found.partition(":")[0] for found in WATCH.take()] == ["a turn's failure"]


def test_a_secret_is_found_in_a_repr() -> None:
    @attrs.frozen
    class Careless:
        token: str

    WATCH.look(repr(Careless(new_session_token(SystemTokens()))), "repr")
    assert len(WATCH.take()) == 1


def test_a_test_that_told_something_fails() -> None:
    fail_if_told([])
    with pytest.raises(pytest.fail.Exception, match="secrets were told"):
        fail_if_told(["log: x"])


PLANTED = """
import logging
from openbolt.auth.tokens import new_session_token
from openbolt.clock import SystemTokens

def test_that_tells():
    logging.getLogger("openbolt.chat").debug("signed in as %s", new_session_token(SystemTokens()))

def test_that_does_not():
    logging.getLogger("openbolt.chat").debug("signed in as %s", "ann")
"""


def test_it_stands_over_every_test_without_being_asked_for(tmp_path: Path) -> None:
    planted = tmp_path / "test_planted.py"
    planted.write_text(PLANTED)
    root = Path(__file__).parents[2]
    options = ["-q", "-p", "tests.security.canaries", "-p", "no:cacheprovider", "-c", "/dev/null"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(planted)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "secrets were told:\nlog: openbolt.chat DEBUG: signed in as [" in done.stdout


# Values that hold secrets


def request(**fields: str) -> Request:
    context = RequestContext(spawn=lambda coroutine: coroutine.close())
    return Request("GET", "/", Headers.of(fields), EMPTY_BODY, context, query="code=secret-1")


@pytest.mark.parametrize(
    "name",
    ["authorization", "Cookie", "set-cookie", "x-api-key", "Private-Token", "proxy-authorization"],
)
def test_no_repr_shows_what_fields_keep_for_one_reader(name: str) -> None:
    fields = Headers.of({"accept": "text/plain", name: "secret-1"})
    values = [
        fields,
        request(**{name: "secret-1"}),
        Response(200, fields, b"secret-1"),
        OutboundRequest("POST", "https://api.example/x?key=secret-1", fields, b"secret-1"),
    ]
    assert [shown for shown in map(repr, values) if "secret-1" in shown] == []
    assert "('accept', 'text/plain')" in repr(fields)
    assert fields.get(name) == "secret-1"


def test_a_repr_still_says_which_body_it_is() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    assert "<8 bytes>" in repr(Response(200, Headers(), b"8 bytes!"))
    body = chunks()
    assert "async_generator" in repr(Response(200, Headers(), body))  # type: ignore[arg-type]
