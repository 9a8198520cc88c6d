"""What a failed call means, in one wording for every HTTP library.

Law: the public message names the host and never the path or query, which may hold a token.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from openbolt.errors import UpstreamError, UpstreamTimeoutError

__all__ = ["cut_off", "timed_out", "unreachable"]


def unreachable(url: str, error: BaseException, /) -> UpstreamError:
    """Nothing was sent: no address, no connection, no TLS."""
    return UpstreamError(f"{_host(url)} can't be reached.", retryable=True, detail=_said(error))


def cut_off(url: str, error: BaseException, /) -> UpstreamError:
    """The connection broke, or what came is no HTTP."""
    return UpstreamError(f"{_host(url)} broke off the exchange.", detail=_said(error))


def timed_out(url: str, error: BaseException, /, *, sent: bool) -> UpstreamTimeoutError:
    """A limit ran out; ``sent`` where the other side may have seen the request."""
    return UpstreamTimeoutError(
        f"{_host(url)} took too long.", retryable=not sent, detail=_said(error)
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "The server"
    except ValueError:
        return "The server"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
