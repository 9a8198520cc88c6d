"""A rough prompt in, a better prompt out, streamed as plain text.

Law: the output never holds a tag that a chat would act on, whatever the model writes; and a failure
in mid-stream breaks the connection, so that a client can tell it from an end and restore what the
person wrote.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import frozen

from openbolt.access import principal_of
from openbolt.bodies import read_json
from openbolt.chat.assembly import counted
from openbolt.chat.prompt import enhancer_prompt
from openbolt.costs import PriceTable, Usage
from openbolt.errors import (
    InvalidRequestError,
    OpenBoltError,
    PayloadTooLargeError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.hidden import Hidden
from openbolt.http import Headers, Request, Response, StreamBody
from openbolt.model import (
    ModelEvent,
    ModelMessage,
    ModelRequest,
    ReplyStopped,
    TextDelta,
    UsageReported,
)
from openbolt.protocols import Meter, ModelProvider
from openbolt.secrets import SecretStore, own_model_key
from openbolt.settings import Settings

__all__ = ["Enhance", "EnhancerBody", "TagFilter"]

_log = logging.getLogger("openbolt.enhancer")

# No more blanks than `ArtifactParser` puts up with: without a bound the search would be quadratic.
_TAG = re.compile(r"<(?=\s{0,16}(?:/\s{0,16})?bolt)")
_MAYBE_TAG = re.compile(r"<\s{0,16}(?:/\s{0,16})?(?:b(?:o(?:l)?)?)?\Z")


class TagFilter:
    """Takes the edge off artifact tags: ``<boltArtifact`` becomes ``‹boltArtifact``."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str, /) -> str:
        """What is safe to pass on; the start of what may become a tag is held back."""
        safe = _TAG.sub("‹", self._held + text)
        maybe = _MAYBE_TAG.search(safe, max(0, safe.rfind("<")))
        at = maybe.start() if maybe else len(safe)
        self._held = safe[at:]
        return safe[:at]

    def finish(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return held


@frozen
class EnhancerBody:
    """The body of ``POST /api/enhancer``."""

    message: str
    model: str | None = None


@frozen
class Enhance:
    """``POST /api/enhancer``."""

    provider: ModelProvider
    settings: Settings
    secrets: SecretStore | None = None
    prices: PriceTable | None = None
    meter: Meter | None = None

    async def __call__(self, request: Request, /) -> Response:
        """A better prompt, as it is written."""
        asker = principal_of(request)
        body = await read_json(request, EnhancerBody, limit=self.settings.max_body_bytes)
        self._check(body)
        own_key = await own_model_key(self.secrets, asker.user_id)
        model_request = self._request(body, own_key)
        deadline = asyncio.get_running_loop().time() + self.settings.turn_timeout
        stack = AsyncExitStack()
        try:
            async with _while_wanted(request, self.settings.silence_timeout):
                batches = await stack.enter_async_context(self.provider.stream(model_request))
                if self.meter is not None and own_key is None:
                    bill = _Bill(batches)
                    stack.push_async_callback(self._charge, bill, model_request, asker.user_id)
                    batches = aiter(bill)
                first = await _first_text(batches)
        except TimeoutError as exc:
            await stack.aclose()
            raise UpstreamTimeoutError("The model did not answer in time.") from exc
        except BaseException:
            await stack.aclose()
            raise
        headers = Headers.of(
            {
                "content-type": "text/plain; charset=utf-8",
                "cache-control": "no-cache, no-transform",
                "x-accel-buffering": "no",
            }
        )
        text = _text(first, batches, self.settings.silence_timeout, deadline)
        return Response(200, headers, StreamBody(text, stack=stack))

    async def _charge(self, bill: _Bill, request: ModelRequest, user_id: str) -> None:
        """Count what the operator pays for, also of a prompt that nobody waited for."""
        usage = bill.usage
        usd = None if self.prices is None else self.prices.cost(request.model, usage)
        try:
            if self.meter is not None:
                await self.meter.spend(user_id, tokens=usage.tokens, usd=usd)
        except OpenBoltError as exc:
            _log.error("the cost of an enhanced prompt could not be counted: %s", exc)

    def _check(self, body: EnhancerBody) -> None:
        if not body.message.strip():
            raise InvalidRequestError("message: is empty", field="message")
        limit = self.settings.enhancer_max_chars
        if len(body.message) > limit:
            raise PayloadTooLargeError(f"message: is over {limit} characters", field="message")
        models = self.settings.models
        if body.model and models and body.model not in models:
            raise InvalidRequestError(f"model: must be one of {', '.join(models)}", field="model")

    def _request(self, body: EnhancerBody, own_key: Hidden | None) -> ModelRequest:
        # The person's text must not close the tag around it.
        message = body.message.replace("</prompt", "<\N{ZERO WIDTH SPACE}/prompt")
        return ModelRequest(
            body.model or self.settings.model,
            (ModelMessage.text("user", f"<prompt>\n{message}\n</prompt>"),),
            self.settings.enhancer_max_tokens,
            system=enhancer_prompt(),
            api_key=None if own_key is None else own_key.reveal(),
        )


class _Bill:
    """Passes a reply on and keeps count of its tokens."""

    def __init__(self, batches: AsyncIterator[Sequence[ModelEvent]]) -> None:
        self._batches = batches
        self.usage = Usage()

    def __aiter__(self) -> AsyncIterator[Sequence[ModelEvent]]:
        return self

    async def __anext__(self) -> Sequence[ModelEvent]:
        batch = await anext(self._batches)
        for event in batch:
            if isinstance(event, UsageReported):
                self.usage = counted(self.usage, event.usage)
        return batch


@asynccontextmanager
async def _while_wanted(request: Request, seconds: float) -> AsyncGenerator[None]:
    """At most so long, and no longer than the client waits; else `TimeoutError`."""
    gone = request.context.gone
    async with asyncio.timeout(seconds) as scope:
        if gone is None:
            yield
            return

        async def watch() -> None:
            await gone()
            scope.reschedule(0)

        watching = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watching.cancel()


async def _first_text(batches: AsyncIterator[Sequence[ModelEvent]]) -> str:
    """Wait for the first words, so that an early failure still becomes a status."""
    async for batch in batches:
        text = _join(batch)
        if text:
            return text
    raise UpstreamError("The model gave no answer.")


async def _text(
    first: str, batches: AsyncIterator[Sequence[ModelEvent]], silence: float, deadline: float
) -> AsyncIterator[bytes]:
    tags = TagFilter()
    yield tags.feed(first).encode("utf-8", "replace")
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with asyncio.timeout_at(min(loop.time() + silence, deadline)):
                batch = await anext(batches)
        except StopAsyncIteration:
            break
        except TimeoutError as exc:
            raise UpstreamTimeoutError("The model fell silent.") from exc
        if text := tags.feed(_join(batch)):
            yield text.encode("utf-8", "replace")
    yield tags.finish().encode("utf-8", "replace")


def _join(batch: Sequence[ModelEvent]) -> str:
    if any(isinstance(event, ReplyStopped) and event.reason == "refusal" for event in batch):
        raise UpstreamError("The model declined to rewrite this.")
    return "".join(event.text for event in batch if isinstance(event, TextDelta))
