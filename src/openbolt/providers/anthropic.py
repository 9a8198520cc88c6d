"""Claude through the official SDK: its authentication, its retries, and its raw bytes.

Law: the only module that imports ``anthropic``, which takes a second: in a thread, in `warm_up`.
The SDK's own stream objects are not used: they build a model for each token. Its exceptions and
its transport's become `UpstreamError`s here.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from openbolt.errors import OpenBoltError, UpstreamError
from openbolt.http import Headers
from openbolt.model import ModelEvent, ModelRequest
from openbolt.protocols import Timeouts
from openbolt.providers import _messages_api as api
from openbolt.providers._failures import (
    broken_off,
    redacted,
    refused_connection,
    retry_after_of,
    timed_out,
)
from openbolt.providers._sse import MAX_EVENT_BYTES
from openbolt.providers._stream import Batches, ModelCall

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic
    from anthropic._response import AsyncAPIResponse

__all__ = ["AnthropicProvider"]

# Seconds that an idle connection is kept: a person's next prompt finds it open.
_KEEPALIVE = 60.0


class AnthropicProvider:
    """A `ModelProvider` over the SDK, on its aiohttp transport where aiohttp is installed.

    The SDK reads some of its settings from the environment (``ANTHROPIC_CUSTOM_HEADERS``, and its
    whole chain of credentials where ``api_key`` is None); `openbolt.providers.http` reads nothing.

    Args:
        api_key: The operator's key; empty for a server that wants none; None lets the SDK find its
            credentials. A request's own key goes before it.
        base_url: Without ``/v1``.
        max_retries: Further attempts before the first byte, for refusals that may pass.
        max_retry_wait: Seconds; where the upstream asks for a longer wait there is no retry, and
            the error says how long.
        timeouts: The transport knows one limit for any wait for bytes: the greater one of
            ``first_byte`` and ``idle``.
        max_connections: At once; further calls wait, up to ``timeouts.connect``.
        trust_env: Take proxies from the environment.
        max_event_bytes: One event of the stream at most.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = "https://api.anthropic.com",
        max_retries: int = 2,
        max_retry_wait: float = 10.0,
        timeouts: Timeouts = Timeouts(),
        max_connections: int = 1000,
        trust_env: bool = False,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._max_retries = max_retries
        self._max_retry_wait = max_retry_wait
        self._timeouts = timeouts
        self._max_connections = max_connections
        self._trust_env = trust_env
        self._max_event_bytes = max_event_bytes
        self._client: AsyncAnthropic | None = None
        self._bodiless: httpx2.Request  # stands for one that was sent; made with the client
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"AnthropicProvider(base_url={self._base_url!r})"

    async def warm_up(self) -> None:
        """Import the SDK and build its client, in a thread; call it while the app starts."""
        await self._ready()

    async def aclose(self) -> None:
        """Close every connection. A later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def stream(
        self, request: ModelRequest, /
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelEvent]]]:
        """One call; see `ModelProvider.stream`.

        Raises:
            InvalidRequestError: The request or its key can't be sent.
            UpstreamError: Refused, unreachable, or no event stream.
        """
        return ModelCall(self._open, request)

    async def _open(
        self, request: ModelRequest
    ) -> tuple[Batches, AbstractAsyncContextManager[object]]:
        client = self._client or await self._ready()
        key, own_key = self._api_key, request.api_key is not None
        if request.api_key is not None:
            key = api.check_key(request.api_key)
            client = client.with_options(api_key=key)
        body = _arguments(api.build_body(request), key)
        create: Any = client.messages.with_streaming_response.create
        try:
            calling = create(**body)
            response: AsyncAPIResponse[Any] = await calling.__aenter__()
        except Exception as error:
            failure = _refusal(error, key, own_key)
            raise failure from _shown(error, key)
        # The one that was sent has a body as long as the chat, and would be kept for the response.
        response.http_response.request = self._bodiless
        decoder = api.ReplyDecoder(
            max_event_bytes=self._max_event_bytes, secret=key, own_key=own_key
        )
        return Batches(_reads(response), decoder, partial(_meaning, key)), calling

    async def _ready(self) -> AsyncAnthropic:
        if self._client is not None:
            return self._client
        async with self._lock:
            if self._client is None:
                self._client = await asyncio.to_thread(self._build)
            return self._client

    def _build(self) -> AsyncAnthropic:
        import anthropic
        import httpx2

        waits = (self._timeouts.first_byte, self._timeouts.idle)
        known = [wait for wait in waits if wait is not None]
        connect = self._timeouts.connect
        timeout = httpx2.Timeout(
            connect=connect,
            pool=connect,
            read=max(known) if len(known) == len(waits) else None,
            write=self._timeouts.idle,
        )
        with_aiohttp = importlib.util.find_spec("aiohttp") is not None
        transport = (
            anthropic.DefaultAioHttpClient if with_aiohttp else anthropic.DefaultAsyncHttpxClient
        )
        client = anthropic.AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=self._max_retries,
            timeout=timeout,
            http_client=transport(
                timeout=timeout,
                limits=httpx2.Limits(
                    max_connections=self._max_connections, keepalive_expiry=_KEEPALIVE
                ),
                trust_env=self._trust_env,
                # A redirect would carry the key to whatever host it names.
                follow_redirects=False,
                event_hooks={"response": [self._limit_wait]},
            ),
        )
        self._bodiless = httpx2.Request("POST", self._base_url)
        _ = client.messages.with_streaming_response  # imports the rest
        return client

    async def _limit_wait(self, response: httpx2.Response) -> None:
        """Keep the SDK from sleeping for as long as an upstream names."""
        if response.is_success:
            return
        wait = retry_after_of(Headers(response.headers.multi_items()))
        if wait is not None and wait > self._max_retry_wait:
            response.headers["x-should-retry"] = "false"


def _arguments(body: dict[str, object], key: str | None) -> dict[str, Any]:
    """A body as arguments of the SDK's ``create``.

    The SDK speaks the API's version 2026-10-21, which knows no temperature; a request that names
    one goes out under the version before.
    """
    import anthropic

    headers: dict[str, object] = {"accept-encoding": "identity"}
    if key == "":
        headers["authorization"] = anthropic.omit
    arguments: dict[str, Any] = {**body, "extra_headers": headers}
    if (temperature := arguments.pop("temperature", None)) is not None:
        headers["anthropic-version"] = api.TEMPERATURE_VERSION
        arguments["extra_body"] = {"temperature": temperature}
    return arguments


def _refusal(error: Exception, key: str | None, own_key: bool) -> OpenBoltError:
    """What an exception before the first byte means."""
    import anthropic

    if isinstance(error, OpenBoltError):
        return error
    if isinstance(error, anthropic.APIStatusError):
        return api.status_failure(
            error.status_code,
            Headers(error.response.headers.multi_items()),
            error.response.content,
            secret=key,
            own_key=own_key,
        )
    said = redacted(_chain(error), key)
    if isinstance(error, anthropic.APITimeoutError):
        return timed_out(said)
    if isinstance(error, anthropic.APIConnectionError):
        return refused_connection(said)
    return UpstreamError("The model provider can't be called.", detail=said)


def _reads(response: AsyncAPIResponse[Any]) -> AsyncIterator[bytes]:
    """The reply's bytes; where nothing has to be decoded, without the three iterators in between.

    Each of them would be walked through at every wake.
    """
    answer = response.http_response
    if answer.headers.get("content-encoding", "identity") == "identity":
        return aiter(cast("AsyncIterable[bytes]", answer.stream))
    return aiter(response.iter_bytes())


def _meaning(key: str | None, error: Exception) -> UpstreamError | None:
    """What an exception of the transport means in mid-reply."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return timed_out(redacted(_chain(error), key))
    if isinstance(error, httpx2.HTTPError):
        return broken_off(redacted(_chain(error), key))
    return None


def _chain(error: BaseException) -> str:
    """An exception and its causes in one line; the SDK's own text is only "Connection error."."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(said) < 4:
        said.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return " < ".join(said)


def _shown(error: Exception, key: str | None) -> Exception | None:
    """The cause to keep: none whose own text shows the key."""
    return None if key and key in _chain(error) else error
