"""A fetch: redirects one by one, then a body that is unpacked while it comes.

Law: every request goes through the guard's own ``send``; and one deadline holds from the first
look-up to the last byte, so that an answer that drips ends as well as one that never comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from typing import Any, TypeVar

from attrs import evolve, frozen

from openbolt.errors import UpstreamError, UpstreamTimeoutError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, OutboundResponse
from openbolt.proxy.decoding import ACCEPT_ENCODING, BodyDecoder
from openbolt.proxy.policy import FetchPolicy
from openbolt.proxy.redirects import redirected
from openbolt.proxy.refusals import ResponseTooLargeError
from openbolt.proxy.targets import Target

__all__ = ["Fetched", "fetched"]

T = TypeVar("T")
Send = Callable[[OutboundRequest], AbstractAsyncContextManager[OutboundResponse]]

_OF_THE_PACKING = frozenset({"content-encoding", "content-length"})
_BREATH = 16  # pieces after which other tasks get their turn, however much there is to unpack


@frozen
class Fetched:
    """An answer at the end of its redirects.

    Attributes:
        url: Where it came from, after the last redirect.
        headers: As sent, less ``Content-Encoding`` and ``Content-Length`` of what was unpacked.
        body: Unpacked; at most the policy's ``max_decoded_bytes``.
        redirects: The URLs before.
    """

    url: str
    status: int
    headers: Headers
    body: AsyncIterator[bytes]
    redirects: tuple[str, ...] = ()

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.body])


@frozen
class _Deadline:
    host: str
    at: float

    @classmethod
    def after(cls, seconds: float, host: str) -> _Deadline:
        return cls(host, asyncio.get_running_loop().time() + seconds)

    async def hold(self, step: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout_at(self.at):
                return await step
        except TimeoutError as exc:
            raise UpstreamTimeoutError(f"Fetching from {self.host} took too long.") from exc


@asynccontextmanager
async def fetched(
    send: Send, request: OutboundRequest, policy: FetchPolicy, /, *, secret: tuple[str, ...] = ()
) -> AsyncGenerator[Fetched]:
    """See `openbolt.proxy.guard.GuardedSender.fetch`."""
    url = policy.admit(request.url).url
    headers = request.headers.with_({"accept-encoding": ACCEPT_ENCODING})
    request = evolve(request, url=url, headers=headers)
    deadline = _Deadline.after(policy.total, Target.parse(url).host)
    passed: list[OutboundRequest] = []
    while True:
        async with AsyncExitStack() as stack:
            response = await deadline.hold(stack.enter_async_context(send(request)))
            following = redirected(request, response, secret=secret)
            if following is None:
                decoder = _decoder(request, response, policy)
                body = await stack.enter_async_context(
                    aclosing(_unpacked(response.body, decoder, deadline))
                )
                yield Fetched(
                    request.url,
                    response.status,
                    _headers(response, decoder),
                    body,
                    tuple(each.url for each in passed),
                )
                return
        passed.append(request)
        if len(passed) > policy.max_redirects:
            raise UpstreamError(
                f"{deadline.host} redirects more than {policy.max_redirects} times."
            )
        if following in passed:
            raise UpstreamError(f"{deadline.host} redirects in a circle.")
        request = following


def _decoder(
    request: OutboundRequest, response: OutboundResponse, policy: FetchPolicy
) -> BodyDecoder:
    declared = response.headers.get("content-length") or ""
    limit = policy.max_response_bytes
    # By length first: int() refuses text of thousands of digits.
    if request.method != "HEAD" and declared.isascii() and declared.isdigit():
        digits = declared.lstrip("0")
        if len(digits) > len(str(limit)) or int(digits or "0") > limit:
            raise ResponseTooLargeError(f"The answer is over {limit} bytes.")
    return BodyDecoder(
        ", ".join(response.headers.get_all("content-encoding")),
        max_encoded=limit,
        max_decoded=policy.max_decoded_bytes,
        max_ratio=policy.max_ratio,
    )


def _headers(response: OutboundResponse, decoder: BodyDecoder) -> Headers:
    if not decoder.is_packed:
        return response.headers
    return Headers(pair for pair in response.headers.items if pair[0] not in _OF_THE_PACKING)


async def _unpacked(
    chunks: AsyncIterator[bytes], decoder: BodyDecoder, deadline: _Deadline
) -> AsyncGenerator[bytes]:
    pieces = 0
    while (chunk := await deadline.hold(_next(chunks))) is not None:
        for piece in decoder.feed(chunk):
            yield piece
            pieces += 1
            if pieces % _BREATH == 0:
                await asyncio.sleep(0)
    decoder.finish()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
