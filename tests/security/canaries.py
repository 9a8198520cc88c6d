"""No test's secrets are told: not in a log line, an error, a turn's failure, or a repr.

Every credential and secret that comes into being anywhere in the run is remembered (what token
sources give, keys, secrets, passwords, providers' tokens, master keys), and what is said is
searched for them, and for whatever has the form of one. A test in which something is found fails.

Looked at is what ``openbolt`` logs from DEBUG on, and what other libraries log from INFO on while
they work for it; with tracebacks, whatever levels the test has set, and without changing what it
sees of its logs; every error response, and every `TurnFailed`; the repr of all that an application
is made of. (What other libraries log at DEBUG isn't: httpcore writes header fields there. Nor what
a test's own HTTP client logs, nor what other processes do.)
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

import pytest

from openbolt import envelope, guards
from openbolt.access import SharedPassword
from openbolt.app import OpenBolt
from openbolt.auth.github import GitHub
from openbolt.auth.identity import Grant
from openbolt.auth.oidc import OpenIdConnect
from openbolt.auth.tokens import api_key_hash
from openbolt.chat.events import TurnFailed
from openbolt.clock import SystemTokens
from openbolt.hidden import Hidden
from openbolt.http import Response
from openbolt.secrets import SecretStore
from openbolt.testing import SequenceTokens

__all__ = ["WATCH", "Watch", "nothing_is_told"]

CREDENTIAL_BYTES = 32
"""Random tokens from this size on are credentials; shorter ones are ids."""

SHORTEST = 12
"""Characters of a secret that is searched for: shorter ones, as tests have them, are words."""

_TOKEN_CHARS = 52
_RUN = re.compile(rf"[a-z2-7]{{{_TOKEN_CHARS},}}")
_API_KEY = re.compile(r"obk_[a-z2-7]{52}_[a-z2-7]{6}")
_FORMS = re.compile(r"\bgh[opru]_[A-Za-z0-9]{16,}|sk-ant-[A-Za-z0-9_-]{8,}|\bobt_[a-z2-7]{52}")


class Watch:
    """Knows what is secret, and remembers where it was said."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._secrets: set[str] = set()
        self._found: list[str] = []

    def learn_token(self, token: str, /) -> None:
        """A credential of base32 characters, for good.

        Not that of all zeros, which a counting source can give: it is what tests make up, too.
        """
        if len(set(token)) > 1:
            self._tokens.add(token)

    def learn(self, secret: object, /) -> None:
        """A secret of any form, until the test is over."""
        if isinstance(secret, str) and len(secret.strip()) >= SHORTEST:
            self._secrets.add(secret)

    def look(self, text: str, where: str, /) -> None:
        """Search a text."""
        found = sorted(set(self._secrets_in(text)), key=len, reverse=True)
        for secret in found:
            text = text.replace(secret, f"[{secret[:6]}… of {len(secret)} characters]")
        if found:
            self._found.append(f"{where}: {text[:600]}")

    def take(self) -> list[str]:
        """What was found since the last time, and forget secrets that aren't credentials."""
        found, self._found = self._found, []
        self._secrets.clear()
        return found

    def _secrets_in(self, text: str) -> Iterator[str]:
        yield from (secret for secret in self._secrets if secret in text)
        yield from (found[0] for found in _FORMS.finditer(text))
        yield from (found[0] for found in _API_KEY.finditer(text) if api_key_hash(found[0]))
        for run in _RUN.findall(text):
            parts = (run[at : at + _TOKEN_CHARS] for at in range(len(run) - _TOKEN_CHARS + 1))
            yield from (part for part in parts if part in self._tokens)


WATCH = Watch()


@pytest.fixture(autouse=True)
def nothing_is_told() -> Iterator[None]:
    """Fail a test in which a secret was told."""
    yield
    fail_if_told(WATCH.take())


def fail_if_told(found: Iterable[str], /) -> None:
    """Fail where there is something."""
    if told := sorted(set(found)):
        pytest.fail("secrets were told:\n" + "\n".join(told), pytrace=False)


# What is said


_FORMAT = logging.Formatter("%(name)s %(levelname)s: %(message)s")


def _is_ours(name: str) -> bool:
    return name == "openbolt" or name.startswith(("openbolt.", "openbolt_"))


def _floor(logger: logging.Logger) -> int:
    return logging.DEBUG if _is_ours(logger.name) else logging.INFO


def _is_for_us(logger: logging.Logger) -> bool:
    """Whether somebody of ours logs, or has called who does."""
    frame: FrameType | None = sys._getframe(1)
    while not _is_ours(logger.name) and frame is not None:
        if _is_ours(str(frame.f_globals.get("__name__"))):
            return True
        frame = frame.f_back
    return _is_ours(logger.name)


def _watch_logs() -> None:
    """Every record from its logger's floor on is looked at; handlers get those that they would."""
    is_enabled, call_handlers = logging.Logger.isEnabledFor, logging.Logger.callHandlers

    def watched_is_enabled(self: logging.Logger, level: int) -> bool:
        return level >= _floor(self) or is_enabled(self, level)

    def watched_call(self: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= _floor(self) and _is_for_us(self):
            text = record.exc_text  # which formatting sets, for all handlers after it
            try:
                WATCH.look(_FORMAT.format(record), "log")
            finally:
                record.exc_text = text
        if is_enabled(self, record.levelno):
            call_handlers(self, record)

    logging.Logger.isEnabledFor = watched_is_enabled  # type: ignore[method-assign]
    logging.Logger.callHandlers = watched_call  # type: ignore[method-assign]


def _watch_errors() -> None:
    """Every error response, whoever imported the function that makes them."""
    make = guards.error_response

    @functools.wraps(make)
    def watched(error: Exception, /, *, request_id: str = "") -> Response:
        response = make(error, request_id=request_id)
        assert isinstance(response.body, bytes)
        WATCH.look(f"{response.body.decode()} {response.headers.items}", "error response")
        return response

    for module in list(sys.modules.values()):
        if getattr(module, "error_response", None) is make:
            module.error_response = watched  # type: ignore[attr-defined]


def _after(kind: type[Any], name: str, look: Callable[..., None]) -> None:
    """Call ``look`` with the instance and the arguments after a method."""
    method = getattr(kind, name)

    @functools.wraps(method)
    def watched(self: Any, *args: Any, **named: Any) -> Any:
        result = method(self, *args, **named)
        look(self, *args, **named)
        return result

    setattr(kind, name, watched)


def _look_at_parts(_: OpenBolt, *parts: Any, **more: Any) -> None:
    WATCH.look(repr((parts, more)), "repr of what an application is made of")


def _look_at_failure(event: TurnFailed, *_: Any, **__: Any) -> None:
    WATCH.look(str(event), "a turn's failure")


# What is secret


def _learn_hidden(hidden: Hidden, *_: Any) -> None:
    text = hidden.reveal()
    # Settings hide names of backends and addresses, too, for the password that may be in them.
    if "@" in text or "://" not in text:
        WATCH.learn(text)


def _learn_grant(grant: Grant, *_: Any, **__: Any) -> None:
    WATCH.learn(grant.access_token)
    WATCH.learn(grant.refresh_token)


def _learn_put(kind: type[SecretStore]) -> None:
    put = kind.put

    @functools.wraps(put)
    async def watched(self: SecretStore, user_id: str, name: str, value: str, /) -> Any:
        WATCH.learn(value)
        return await put(self, user_id, name, value)

    kind.put = watched  # type: ignore[method-assign]


def _learn_tokens(kind: type[SystemTokens] | type[SequenceTokens]) -> None:
    token = kind.token

    @functools.wraps(token)
    def watched(self: Any, size: int = 16, /) -> str:
        made = token(self, size)
        if size >= CREDENTIAL_BYTES:
            WATCH.learn_token(made)
        return made

    kind.token = watched  # type: ignore[method-assign]


def _learn_master_keys() -> None:
    parse = envelope.parse_key

    @functools.wraps(parse)
    def watched(text: str, /) -> bytes:
        WATCH.learn(text.strip())
        return parse(text)

    for module in list(sys.modules.values()):
        if getattr(module, "parse_key", None) is parse:
            module.parse_key = watched  # type: ignore[attr-defined]


def _install() -> None:
    _watch_logs()
    _watch_errors()
    _after(OpenBolt, "__init__", _look_at_parts)
    _after(TurnFailed, "__init__", _look_at_failure)
    _after(Hidden, "__init__", _learn_hidden)
    _after(Grant, "__init__", _learn_grant)
    _after(SharedPassword, "__init__", lambda it, *_, **__: WATCH.learn(it.password))
    for provider in (GitHub, OpenIdConnect):
        _after(provider, "__init__", lambda it, *_, **__: WATCH.learn(it.client_secret))
    _learn_put(SecretStore)
    for source in (SystemTokens, SequenceTokens):
        _learn_tokens(source)
    _learn_master_keys()


_install()
