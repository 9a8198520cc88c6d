"""Every error that openbolt raises on purpose, and the HTTP status each one becomes.

Indentation is subclassing::

    OpenBoltError(code, status_hint, public_message)
      InvalidRequestError 400 (field)
        PayloadTooLargeError 413 · UnsupportedMediaTypeError 415 · MethodNotAllowedError 405
      UnauthenticatedError 401
      ForbiddenError 403
        StateMismatchError · CrossOriginError
      NotFoundError 404 · ConflictError 409 · PreconditionFailedError 412 · LockedError 423
      BudgetExceededError 402
      RateLimitedError 429 (retry_after)
      UpstreamError 502
        UpstreamOverloadedError 503 · UpstreamRateLimitedError 429 (retry_after)
        UpstreamTimeoutError 504 · OwnKeyRefusedError 400
      BackendError 503
        NotSupportedError 501
      ConfigurationError 500 (start-up only)

Law: ``public_message`` is written for the person who sent the request; whatever else is known (an
upstream's body, a path on disk) travels in ``__cause__`` or ``detail`` and never leaves the
process.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BackendError",
    "BudgetExceededError",
    "ConfigurationError",
    "ConflictError",
    "CrossOriginError",
    "ForbiddenError",
    "InvalidRequestError",
    "LockedError",
    "MethodNotAllowedError",
    "NotFoundError",
    "NotSupportedError",
    "OpenBoltError",
    "OwnKeyRefusedError",
    "PayloadTooLargeError",
    "PreconditionFailedError",
    "RateLimitedError",
    "StateMismatchError",
    "UnauthenticatedError",
    "UnsupportedMediaTypeError",
    "UpstreamError",
    "UpstreamOverloadedError",
    "UpstreamRateLimitedError",
    "UpstreamTimeoutError",
]


class OpenBoltError(Exception):
    """Root of the tree.

    Args:
        public_message: One sentence for the caller; safe to show.
        code: Stable machine-readable name; the class's own by default.
        detail: For logs only, never sent.
    """

    code: str = "internal"
    status_hint: ClassVar[int] = 500

    def __init__(
        self, public_message: str, /, *, code: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(public_message)
        self.public_message = public_message
        self.detail = detail
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.public_message} ({self.detail})" if self.detail else self.public_message


class InvalidRequestError(OpenBoltError):
    """The request can't be understood; ``field`` names where, as ``messages[2].role``."""

    code = "invalid_request"
    status_hint = 400

    def __init__(
        self,
        public_message: str,
        /,
        *,
        field: str | None = None,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(public_message, code=code, detail=detail)
        self.field = field


class PayloadTooLargeError(InvalidRequestError):
    """A body, file or value is over its limit."""

    code = "payload_too_large"
    status_hint = 413


class UnsupportedMediaTypeError(InvalidRequestError):
    """A JSON route was sent something that is not ``application/json``."""

    code = "unsupported_media_type"
    status_hint = 415


class MethodNotAllowedError(InvalidRequestError):
    """The path exists, the method on it doesn't; ``allowed`` lists those that do."""

    code = "method_not_allowed"
    status_hint = 405

    def __init__(self, public_message: str, /, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(public_message)
        self.allowed = allowed


class UnauthenticatedError(OpenBoltError):
    """Nobody is signed in; ``challenge`` becomes ``WWW-Authenticate``."""

    code = "unauthenticated"
    status_hint = 401

    def __init__(self, public_message: str, /, *, challenge: str | None = None) -> None:
        super().__init__(public_message)
        self.challenge = challenge


class ForbiddenError(OpenBoltError):
    """The caller is known and may not."""

    code = "forbidden"
    status_hint = 403


class StateMismatchError(ForbiddenError):
    """A sign-in came back with a state that this browser did not start."""

    code = "state_mismatch"


class CrossOriginError(ForbiddenError):
    """Another site tried to write, or an unknown Host was asked for."""

    code = "cross_origin"


class NotFoundError(OpenBoltError):
    """No such thing, or none that this caller may know of."""

    code = "not_found"
    status_hint = 404


class ConflictError(OpenBoltError):
    """Somebody else changed the same thing first."""

    code = "conflict"
    status_hint = 409


class PreconditionFailedError(OpenBoltError):
    """``if_match`` or ``if_none_match`` did not hold."""

    code = "precondition_failed"
    status_hint = 412


class LockedError(OpenBoltError):
    """Another writer holds the lease, or the file is locked."""

    code = "locked"
    status_hint = 423


class BudgetExceededError(OpenBoltError):
    """A spending limit was reached."""

    code = "budget_exceeded"
    status_hint = 402


class RateLimitedError(OpenBoltError):
    """Too many requests; try again after ``retry_after`` seconds (None: unknown)."""

    code = "rate_limited"
    status_hint = 429

    def __init__(self, public_message: str, /, *, retry_after: float | None = None) -> None:
        super().__init__(public_message)
        self.retry_after = retry_after


class UpstreamError(OpenBoltError):
    """An upstream failed. Its own 401 or 403 is a 502 here: the caller did nothing wrong."""

    code = "upstream_error"
    status_hint = 502

    def __init__(
        self,
        public_message: str,
        /,
        *,
        status: int | None = None,
        retryable: bool = False,
        detail: str | None = None,
    ) -> None:
        super().__init__(public_message, detail=detail)
        self.status = status
        self.retryable = retryable


class UpstreamOverloadedError(UpstreamError):
    """The upstream says it is overloaded (529, 503)."""

    code = "upstream_overloaded"
    status_hint = 503


class UpstreamRateLimitedError(UpstreamError):
    """The upstream limits the operator's key; ``retry_after`` in seconds where it said so."""

    code = "upstream_rate_limited"
    status_hint = 429

    def __init__(
        self,
        public_message: str,
        /,
        *,
        retry_after: float | None = None,
        status: int | None = 429,
        retryable: bool = True,
        detail: str | None = None,
    ) -> None:
        super().__init__(public_message, status=status, retryable=retryable, detail=detail)
        self.retry_after = retry_after


class UpstreamTimeoutError(UpstreamError):
    """The upstream did not answer, or fell silent, within its limit."""

    code = "upstream_timeout"
    status_hint = 504


class OwnKeyRefusedError(UpstreamError):
    """The upstream refused the key that the user has stored: theirs to mend, hence a 400."""

    code = "own_key_refused"
    status_hint = 400


class BackendError(OpenBoltError):
    """A store failed; raised by backends ``from`` their library's own error."""

    code = "backend_unavailable"
    status_hint = 503


class NotSupportedError(BackendError):
    """This backend can't do that, and says so in its ``limits``."""

    code = "not_supported"
    status_hint = 501


class ConfigurationError(OpenBoltError):
    """A setting is missing or wrong. Start-up only: names the setting and how to set it."""

    code = "configuration"

    def __init__(self, public_message: str, /, *, setting: str | None = None) -> None:
        super().__init__(public_message)
        self.setting = setting
