"""An upstream's answer on its way to the client.

Laws: what can't be passed is an error before the first byte; after it, the answer breaks off. What
an upstream says of its own credentials is said of ours only where we put them in.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from openbolt.errors import OwnKeyRefusedError, UpstreamError
from openbolt.http import EMPTY_BODY, Headers, Response, StreamBody
from openbolt.protocols import OutboundResponse
from openbolt.proxy.calls import Call
from openbolt.proxy.headers import check_answer, content_length, passed_back
from openbolt.proxy.injection import Injected
from openbolt.proxy.paths import located
from openbolt.proxy.streaming import AnswerTooLargeError, Deadline, SecretMask, relayed
from openbolt.proxy.upstreams import Upstream

__all__ = ["RedirectRefusedError", "from_cache", "passed", "without_secrets"]

_NO_BODY = frozenset({204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RedirectRefusedError(UpstreamError):
    """A redirect leads where a client may not be sent."""

    code = "redirect_refused"


def passed(
    call: Call, answer: OutboundResponse, deadline: Deadline, stack: AsyncExitStack, /
) -> Response:
    """An upstream's answer as the client gets it; a body takes over what the stack holds.

    Raises:
        UpstreamError: It can't be passed.
    """
    upstream, secrets = call.upstream, call.injected.values
    check_answer(answer)
    _check_status(call.injected, answer.status)
    is_bodiless = answer.status in _NO_BODY or call.request.method == "HEAD"
    declared = None if answer.status in _NO_BODY else content_length(answer.headers)
    if not is_bodiless and (declared or 0) > upstream.max_response_bytes:
        raise _too_large(upstream)
    headers = passed_back(_located(call, answer), upstream, length=declared, secrets=secrets)
    if is_bodiless:
        return Response(answer.status, headers)
    mask = SecretMask(secrets)
    if mask and answer.headers.get("content-encoding", "identity") != "identity":
        raise UpstreamError("The upstream packs its answer, though nobody asked for that.")
    if call.lookup is not None and answer.status == 200:
        from openbolt.proxy.caching import not_modified

        if not_modified(call.request.headers, answer.headers):
            return Response(304, _of_304(headers))
    body = relayed(
        answer.body, deadline, mask, declared=declared, limit=upstream.max_response_bytes
    )
    stack.push_async_callback(body.aclose)
    if call.lookup is not None and call.lookup.may_keep and upstream.cache is not None:
        from openbolt.proxy.caching import keeping

        body = keeping(body, call.lookup, limit=upstream.cache.max_entry_bytes)
    return Response(answer.status, headers, StreamBody(body, stack=stack.pop_all()))


def from_cache(call: Call, /) -> Response:
    """What is kept, as the client gets it."""
    from openbolt.proxy.caching import not_modified

    assert call.lookup is not None
    kept = call.lookup.found
    assert kept is not None
    answer = OutboundResponse(kept.status, kept.headers, aiter(EMPTY_BODY))
    headers = passed_back(_located(call, answer), call.upstream, length=len(kept.body))
    if not_modified(call.request.headers, kept.headers):
        return Response(304, _of_304(headers))
    return Response(kept.status, headers, kept.body)


def _of_304(headers: Headers) -> Headers:
    return Headers(pair for pair in headers.items if pair[0] != "content-length")


def _too_large(upstream: Upstream) -> AnswerTooLargeError:
    return AnswerTooLargeError(
        f"The upstream's answer is over {upstream.max_response_bytes} bytes."
    )


def _check_status(injected: Injected, status: int) -> None:
    """Without a secret of ours, a 401 or 403 is the caller's to know, and is passed back."""
    detail = f"status {status}"
    if status == 407 or status < 200:
        raise UpstreamError("The upstream can't be used through a proxy.", detail=detail)
    if status not in {401, 403} or injected.whose is None:
        return
    if injected.whose == "user":
        said = "The upstream refused your own secret; replace it in the settings."
        raise OwnKeyRefusedError(said, status=status, detail=detail)
    said = "The upstream refused the server's credentials."
    raise UpstreamError(said, status=status, detail=detail)


def _located(call: Call, answer: OutboundResponse) -> Headers:
    """An answer's fields with its ``Location`` as the client can follow it."""
    given = answer.headers.get_all("location")
    if not given:
        return answer.headers
    target = None
    if len(given) == 1:
        target = located(
            given[0],
            of=call.url,
            upstream=call.upstream,
            prefix=call.prefix,
            injected=call.injected.query,
        )
    if target is not None and not call.injected.are_in(target):
        return answer.headers.with_({"location": target})
    if answer.status in _REDIRECTS:
        raise RedirectRefusedError("The upstream redirects to where it may not lead.")
    return Headers(pair for pair in answer.headers.items if pair[0] != "location")


def without_secrets(headers: Headers, injected: Injected, /) -> Headers:
    """An answer's fields as they may be kept."""
    return Headers(
        (name, value)
        for name, value in headers.items
        if name != "set-cookie" and not injected.are_in(value)
    )
