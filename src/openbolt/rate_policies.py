"""Which limits there are, what they are by default and why, and which of them hold for each route.

Law: every route has an entry, also one without a limit. A default stops what a person at a page or
a well-behaved program never does, and nothing that they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NoReturn

from attrs import evolve

from openbolt.errors import ConfigurationError
from openbolt.protocols import RatePolicy

__all__ = [
    "ADDED_UP",
    "DEFAULT_POLICIES",
    "ROUTE_POLICIES",
    "policies_from",
    "route_policies",
]

_MINUTE = 60.0
_TEN_MINUTES = 600.0

DEFAULT_POLICIES = (
    # A reply costs money, and a person reads one before asking for the next. Programs of the same
    # user share it.
    RatePolicy("chat", 30, _MINUTE, fails="closed"),
    RatePolicy("enhancer", 30, _MINUTE, fails="closed"),
    # An app under construction calls the model for whoever tries it out.
    RatePolicy("model", 60, _MINUTE, fails="closed"),
    # A sign-in takes two requests: fifteen people of one office, far too few to guess codes.
    RatePolicy("sign-in", 30, _TEN_MINUTES, per="address", fails="closed"),
    RatePolicy("sign-in-account", 10, _TEN_MINUTES, per="account", fails="closed"),
    # Wrong passwords and keys. A page that a browser loads with a wrong one asks a dozen times.
    RatePolicy("guesses", 30, _TEN_MINUTES, per="address", fails="closed"),
    # Upstreams may cost money, and the operator's secrets go along.
    RatePolicy("proxy", 300, _MINUTE, fails="closed"),
    # A clone takes two or three requests, a push as many.
    RatePolicy("git", 60, _MINUTE),
    # A page polls and pages through lists; nobody needs ten a second for long.
    RatePolicy("reads", 600, _MINUTE, shared=False),
    RatePolicy("writes", 120, _MINUTE, shared=False),
    # Whole projects and accounts are put together for these.
    RatePolicy("exports", 30, _MINUTE, shared=False),
    # One program gone wild leaves the user half of what they have.
    RatePolicy("api-key", 300, _MINUTE, per="key", shared=False),
    # What anybody may ask for: who is signed in, links that were shared.
    RatePolicy("public", 600, _MINUTE, per="address", shared=False),
    # A previewed page loads its files, all at once, and again at each change.
    RatePolicy("previews", 1200, _MINUTE, per="address", shared=False),
)

ADDED_UP = (
    RatePolicy("tokens", 1, 1.0, unit="tokens", fails="closed"),
    RatePolicy("spend", 1, 1.0, unit="micro-usd", fails="closed"),
)
"""What is known only after a reply: off by default, since what is much is the operator's to say."""

_READS = ("api-key", "reads")
_WRITES = ("api-key", "writes")
_EXPORTS = ("api-key", "exports")
_SPENDING = ("tokens", "spend")

_TABLE: dict[tuple[str, ...], str] = {
    ("api-key", "chat", *_SPENDING): "POST /api/chat",
    ("api-key", "enhancer", *_SPENDING): "POST /api/enhancer",
    ("api-key", "model", *_SPENDING): "POST /api/proxy/anthropic/v1/messages",
    ("api-key", "model"): "POST /api/proxy/anthropic/v1/messages/count_tokens",
    ("api-key", "proxy"): "ANY /api/proxy/{upstream}/{path:path}",
    ("api-key", "git"): "ANY /api/git/{host}/{path:path}",
    # Stopping a reply saves money: it is refused as late as reading is.
    _READS: """
        POST /api/chat/{id}/stop
        GET /api/chat/{id}/stream
        GET /api/chats
        GET /api/chats/{id}
        GET /api/chats/{id}/shares
        GET /api/projects
        GET /api/projects/{id}
        GET /api/projects/{id}/app-tokens
        GET /api/projects/{id}/files/{path:path}
        GET /api/projects/{id}/locks
        GET /api/projects/{id}/shares
        GET /api/projects/{id}/versions
        GET /api/auth/keys
        GET /api/auth/sessions
        GET /api/models
        GET /api/preferences
        GET /api/proxy/anthropic/v1/models
        GET /api/secrets
        GET /api/usage
    """,
    _WRITES: """
        PATCH /api/chats/{id}
        DELETE /api/chats/{id}
        POST /api/chats/{id}/fork
        POST /api/chats/{id}/rewind
        POST /api/chats/{id}/shares
        POST /api/chats/import
        PATCH /api/projects/{id}
        DELETE /api/projects/{id}
        POST /api/projects/{id}/app-tokens
        DELETE /api/projects/{id}/app-tokens/{token_id}
        PUT /api/projects/{id}/files/{path:path}
        DELETE /api/projects/{id}/files/{path:path}
        PUT /api/projects/{id}/locks/{path:path}
        DELETE /api/projects/{id}/locks/{path:path}
        POST /api/projects/{id}/fork
        POST /api/projects/{id}/preview
        POST /api/projects/{id}/rewind
        POST /api/projects/{id}/shares
        POST /api/projects/import
        DELETE /api/shares/{id}
        POST /api/auth/keys
        DELETE /api/auth/keys/{id}
        DELETE /api/auth/sessions
        DELETE /api/auth/sessions/{id}
        PUT /api/secrets/{name}
        DELETE /api/secrets/{name}
        PATCH /api/preferences
        DELETE /api/account
    """,
    _EXPORTS: """
        GET /api/chats/{id}/export
        GET /api/projects/{id}/export
        GET /api/account/export
    """,
    ("sign-in",): """
        GET /api/auth/{provider}/login
        GET /api/auth/{provider}/callback
    """,
    ("public",): """
        GET /api/auth/session
        POST /api/auth/logout
        GET /api/shared/{token}
        GET /api/shared/{token}/export
        GET /api/shared/{token}/files/{path:path}
    """,
    ("previews",): """
        GET /preview/{token}
        GET /preview/{token}/
        GET /preview/{token}/{path:path}
    """,
    # Probes of the machine that runs the server; what they cost is their asker's to limit.
    (): """
        GET /healthz
        GET /readyz
        GET /metrics
    """,
}

ROUTE_POLICIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        line.strip(): names
        for names, lines in _TABLE.items()
        for line in lines.splitlines()
        if line.strip()
    }
)
"""Method and template of a route to the names of its policies; none for one without a limit."""


def route_policies(method: str, template: str, /) -> tuple[str, ...]:
    """The names of a route's policies.

    Raises:
        LookupError: The route isn't in the table.
    """
    try:
        return ROUTE_POLICIES[f"{method} {template}"]
    except KeyError:
        raise LookupError(
            f"{method} {template} has no entry in openbolt.rate_policies.ROUTE_POLICIES."
        ) from None


_WRITTEN = re.compile(
    r"(?P<limit>[0-9]{1,15})/(?P<period>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>[smhd]?)"
    r"(?:/(?P<burst>[0-9]{1,15}))?(?:/(?P<fails>open|closed))?"
)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def policies_from(overrides: Iterable[str] = (), /, *, factor: int = 1) -> dict[str, RatePolicy]:
    """The policies that hold, by name: the defaults, but for what is overridden.

    Args:
        overrides: ``NAME=LIMIT/PERIOD``, ``NAME=LIMIT/PERIOD/BURST``, either with ``/open`` or
            ``/closed`` behind it, or ``NAME=off``. A period is seconds, or has ``s``, ``m``, ``h``
            or ``d`` behind it: ``chat=600/1h/30``.
        factor: How many times as much the defaults allow; what is written stays as it is written.

    Raises:
        ConfigurationError: An entry is none of these, or names no policy.
    """
    known = {policy.name: policy for policy in (*DEFAULT_POLICIES, *ADDED_UP)}
    held = {
        policy.name: evolve(policy, limit=policy.limit * factor, burst=policy.burst * factor)
        for policy in DEFAULT_POLICIES
    }
    for entry in overrides:
        name, _, written = (part.strip() for part in entry.partition("="))
        if name not in known:
            _refuse(entry, f"there is no such policy; there are {', '.join(known)}")
        if written == "off":
            held.pop(name, None)
        else:
            held[name] = _overridden(known[name], entry, written)
    return held


def _overridden(policy: RatePolicy, entry: str, written: str) -> RatePolicy:
    found = _WRITTEN.fullmatch(written)
    if found is None:
        _refuse(entry, "write NAME=LIMIT/PERIOD, NAME=LIMIT/PERIOD/BURST or NAME=off")
    fails: Literal["open", "closed"] = policy.fails
    if found["fails"]:
        fails = "open" if found["fails"] == "open" else "closed"
    try:
        return evolve(
            policy,
            limit=int(found["limit"]),
            period=float(found["period"]) * _SECONDS[found["unit"]],
            burst=int(found["burst"] or 0),
            fails=fails,
        )
    except ConfigurationError as exc:
        _refuse(entry, exc.public_message, exc)


def _refuse(entry: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise ConfigurationError(
        f"rate_limits holds {entry!r}: {why}; set OPENBOLT_RATE_LIMITS.", setting="rate_limits"
    ) from cause
