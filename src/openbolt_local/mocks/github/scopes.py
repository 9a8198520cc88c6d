"""The scopes of an OAuth app's token.

The law: a normalized list grants exactly what the list that it came from grants.
https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_INCLUDED = {
    "admin:gpg_key": ("write:gpg_key", "read:gpg_key"),
    "admin:org": ("write:org", "read:org"),
    "admin:public_key": ("write:public_key", "read:public_key"),
    "admin:repo_hook": ("write:repo_hook", "read:repo_hook"),
    "project": ("read:project",),
    "repo": ("repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"),
    "user": ("read:user", "user:email", "user:follow"),
    "write:gpg_key": ("read:gpg_key",),
    "write:org": ("read:org",),
    "write:packages": ("read:packages",),
    "write:public_key": ("read:public_key",),
    "write:repo_hook": ("read:repo_hook",),
}
_ALONE = {
    "admin:org_hook",
    "codespace",
    "delete:packages",
    "delete_repo",
    "gist",
    "notifications",
    "read:audit_log",
    "workflow",
}

SCOPES = frozenset(_INCLUDED) | frozenset(sum(_INCLUDED.values(), ())) | _ALONE
"""All that exist."""


def reach(scopes: Iterable[str]) -> frozenset[str]:
    """All scopes that these include, themselves among them."""
    held = frozenset(scopes)
    return held.union(*(_INCLUDED.get(scope, ()) for scope in held))


def normalized(scopes: Iterable[str]) -> tuple[str, ...]:
    """These in their order, without repeats, unknown ones, and those that another one includes."""
    known = [scope for scope in dict.fromkeys(scopes) if scope in SCOPES]
    return tuple(
        scope for scope in known if not any(scope in _INCLUDED.get(other, ()) for other in known)
    )


def parse_scopes(text: str) -> tuple[str, ...]:
    """The scopes that a request names, separated by spaces (or commas), normalized."""
    return normalized(word for word in re.split(r"[ ,]+", text) if word)
