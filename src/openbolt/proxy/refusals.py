"""What is said of a URL that isn't fetched.

Law: the public message repeats at most what the URL's text shows by itself. A name that can't be
resolved and one that leads to a forbidden address are told in the same words, so that nobody maps
a network by asking. The log gets the reason, and never a path or query, which may hold a token.
"""

from __future__ import annotations

from typing import Literal

from openbolt.errors import ForbiddenError, UpstreamError

__all__ = ["Reason", "ResponseTooLargeError", "TargetRefusedError", "refusal"]

Reason = Literal[
    "malformed",
    "scheme",
    "credentials",
    "port",
    "not_listed",
    "name",
    "address",
    "unresolved",
    "downgrade",
]

_UNKNOWN = "This address can't be fetched: its host isn't known here, or isn't a public one."
_SAID: dict[Reason, str] = {
    "scheme": "Only http and https addresses can be fetched.",
    "credentials": "The address holds a user name or a password; leave them out.",
    "port": "This port can't be fetched from.",
    "not_listed": "This host isn't one of those that can be fetched from.",
    "downgrade": "The address leads from https to http.",
}


class TargetRefusedError(ForbiddenError):
    """A URL leads where nothing may be fetched, or can't be read without doubt.

    Attributes:
        reason: For logs and metrics: more than the message tells.
        field: Which field of the request held the URL.
    """

    code = "target_refused"

    def __init__(
        self,
        public_message: str = _UNKNOWN,
        /,
        *,
        reason: Reason = "address",
        field: str = "url",
        detail: str | None = None,
    ) -> None:
        super().__init__(public_message, detail=detail)
        self.reason: Reason = reason
        self.field = field


class ResponseTooLargeError(UpstreamError):
    """An answer, or what it would unpack to, is over its limit."""

    code = "response_too_large"


def refusal(reason: Reason, detail: str, /) -> TargetRefusedError:
    """The error for a reason; what is wrong with a malformed URL (``detail``) is told."""
    if reason == "malformed":
        said = f"The address can't be read: {detail}."
    else:
        said = _SAID.get(reason, _UNKNOWN)
    return TargetRefusedError(said, reason=reason, detail=f"{reason}: {detail}"[:300])
