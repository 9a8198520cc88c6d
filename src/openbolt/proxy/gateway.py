"""``/api/proxy/anthropic``: the model for an app under construction, which holds no key.

Laws: the key stands in one field of the outbound call and nowhere else. What may be spent is
reserved before the model is called, and what was received is settled once, however the answer ends.
Before the first byte a failure is a status; after it, one error event.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import NoReturn

from attrs import evolve, field, frozen

from openbolt.access import principal_of
from openbolt.bodies import json_response
from openbolt.costs import ANTHROPIC_2026_11, PriceTable, Usage
from openbolt.errors import InvalidRequestError, OpenBoltError, UpstreamError
from openbolt.hidden import Hidden
from openbolt.http import Headers, Principal, Request, Response, StreamBody
from openbolt.limiting import RateLimits
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse, Timeouts
from openbolt.providers import _messages_api as api
from openbolt.providers._failures import redacted
from openbolt.proxy.app_tokens import AppBearer, AppToken, AppTokens
from openbolt.proxy.headers import check_answer
from openbolt.proxy.metering import Metered, StreamMeter, metered_whole
from openbolt.proxy.model_calls import ModelCall, read_call
from openbolt.proxy.streaming import Deadline, SecretMask, relayed, while_wanted
from openbolt.secrets import SecretStore, own_model_key
from openbolt.settings import Settings

__all__ = ["CountTokens", "GatewayModels", "Messages", "ModelEndpoint", "ModelGateway"]

_log = logging.getLogger("openbolt.gateway")

_MAX_ANSWER = 64 * 1024 * 1024
_MAX_REFUSAL = 64 * 1024
_THE_CALLERS = frozenset({400, 404, 413, 422})
_INPUT_BYTES_PER_TOKEN = 2  # at least so many, but for what is made of nothing but symbols
_SLACK = 60.0
_MAY_HAVE_BEGUN = frozenset({"client_gone", "upstream_timeout"})


@frozen
class ModelEndpoint:
    """Where the model is.

    Attributes:
        base_url: Without ``/v1``.
        api_key: The operator's; None for a server that wants none.
        own_key_url: Where calls on a user's own key go, if elsewhere (``base_url`` is a mock's).
    """

    base_url: str = "https://api.anthropic.com"
    api_key: Hidden | None = None
    own_key_url: str | None = None


@frozen
class ModelGateway:
    """What the gateway's handlers share.

    Attributes:
        app_tokens: None: there are none, and only users call.
        limits: Told what was used, as chat tells it.
        own_key_prices: What a call on a user's own key costs; None: as ``prices``.
    """

    sender: HttpSender
    endpoint: ModelEndpoint
    settings: Settings
    app_tokens: AppTokens | None = None
    secrets: SecretStore | None = None
    prices: PriceTable = ANTHROPIC_2026_11
    own_key_prices: PriceTable | None = None
    limits: RateLimits | None = None

    async def begun(self, request: Request, call: ModelCall, /) -> _Account:
        """The account that a call is on, its cap reserved.

        Raises:
            BudgetExceededError: The app token's budget is spent.
            InvalidRequestError: The model has no price, and the token has a budget.
        """
        principal = principal_of(request)
        own_key = await own_model_key(self.secrets, principal.user_id)
        prices = self.prices if own_key is None else self.own_key_prices or self.prices
        hidden = own_key or self.endpoint.api_key
        key = None if hidden is None else hidden.reveal()
        account = _Account(self, principal, call, prices, key, own_key is not None)
        if isinstance(principal, AppBearer) and self.app_tokens is not None and call.max_tokens:
            at_most = Usage(
                output_tokens=call.max_tokens,
                cache_write_tokens=len(call.body) // _INPUT_BYTES_PER_TOKEN,
            )
            cap = prices.cost(call.model, at_most)
            if cap is None:
                raise InvalidRequestError("model: has no known price", field="model")
            seconds = self.settings.turn_timeout + _SLACK
            name = await self.app_tokens.reserve(principal, cap, seconds=seconds)
            account = evolve(account, reservation=name)
        return account

    def outbound(
        self, request: Request, call: ModelCall, account: _Account, path: str, /
    ) -> OutboundRequest:
        """The call as it is sent."""
        fields = api.headers(account.key)
        if not call.stream:
            fields["accept"] = "application/json"
        version = request.headers.get("anthropic-version") or ""
        if len(version) == 10 and version.replace("-", "").isdigit() and version.isascii():
            fields["anthropic-version"] = version
        settings = self.settings
        # An answer in one piece says nothing until it is whole.
        patience = settings.silence_timeout if call.stream else settings.turn_timeout
        url = (account.is_own_key and self.endpoint.own_key_url) or self.endpoint.base_url
        return OutboundRequest(
            "POST",
            f"{url.rstrip('/')}{path}",
            Headers.of({**fields, "user-agent": "openbolt"}),
            call.body,
            Timeouts(first_byte=patience, idle=settings.silence_timeout),
        )

    async def answered(
        self, request: Request, call: ModelCall, account: _Account, path: str, stack: AsyncExitStack
    ) -> tuple[OutboundResponse, Deadline]:
        """Call, held open by ``stack``, for as long as the client waits.

        Raises:
            UpstreamError: It can't be reached, or refused.
            InvalidRequestError: It refused what the caller sent; or the caller has gone.
        """
        deadline = Deadline(self.settings.turn_timeout, "The model")
        stack.callback(deadline.close)
        outbound = self.outbound(request, call, account, path)
        try:
            async with while_wanted(request, None), deadline.held():
                answer = await stack.enter_async_context(self.sender.send(outbound))
                if answer.status != 200:
                    await _refused(answer, account)
        except UpstreamError as error:
            error.detail = redacted(error.detail or "", account.key) or None
            raise
        check_answer(answer)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamError("The model provider's reply can't be read.")
        return answer, deadline


@frozen
class _Account:
    """One call: who pays, with which key, and what is reserved."""

    gateway: ModelGateway
    principal: Principal
    call: ModelCall
    prices: PriceTable
    key: str | None = field(repr=False)
    is_own_key: bool
    reservation: str | None = None

    async def settle(self, metered: Metered, /) -> None:
        """Write down what was used; a store that is down leaves the reservation, which counts."""
        gateway, principal, call = self.gateway, self.principal, self.call
        cost = metered.cost(self.prices, call.model)
        usage = metered.usage
        token = principal.token if isinstance(principal, AppBearer) else None
        _log.info(
            "gateway call%s: %s, %d tokens in, %d out, USD %s%s",
            f" of app token {token.id}" if token else "",
            call.model,
            usage.input_tokens,
            usage.output_tokens,
            "unknown" if cost is None else cost,
            " on the user's own key" if self.is_own_key else "",
        )
        try:
            if isinstance(principal, AppBearer) and gateway.app_tokens and self.reservation:
                await gateway.app_tokens.settle(principal, self.reservation, cost or Decimal(0))
            if gateway.limits is not None and not self.is_own_key:
                await gateway.limits.spend(principal.user_id, tokens=metered.tokens, usd=cost)
        except OpenBoltError as exc:
            _log.error("what a gateway call has cost could not be written down", exc_info=exc)


@frozen
class Messages:
    """``POST /api/proxy/anthropic/v1/messages``."""

    gateway: ModelGateway

    async def __call__(self, request: Request, /) -> Response:
        """The model's answer, in its own form."""
        call = await read_call(request, self.gateway.settings, _token(request))
        account = await self.gateway.begun(request, call)
        meter = StreamMeter(len(call.body))
        async with AsyncExitStack() as stack:
            bill = _Bill(account)
            stack.push_async_callback(bill.settle)
            try:
                answer, deadline = await self.gateway.answered(
                    request, call, account, "/v1/messages", stack
                )
            except (UpstreamError, InvalidRequestError) as error:
                if error.code not in _MAY_HAVE_BEGUN:
                    bill.metered = Metered(Usage())
                raise
            if call.stream:
                bill.metered, bill.meter = None, meter
            body = relayed(
                answer.body,
                deadline,
                SecretMask([account.key or ""]),
                declared=None,
                limit=_MAX_ANSWER,
            )
            stack.push_async_callback(body.aclose)
            headers = _headers(answer, stream=call.stream)
            if not call.stream:
                async with while_wanted(request, None):
                    whole = b"".join([chunk async for chunk in body])
                bill.metered = metered_whole(whole, len(call.body))
                return Response(200, headers, whole)
            stream = _streamed(body, meter)
            return Response(200, headers, StreamBody(stream, stack=stack.pop_all()))


class _Bill:
    """What is settled when a call is over.

    At first what was asked: a provider that was called reads that, also if nobody waits for it.
    """

    def __init__(self, account: _Account) -> None:
        self.meter: StreamMeter | None = None
        self.metered: Metered | None = metered_whole(b"", len(account.call.body))
        self._account = account

    async def settle(self) -> None:
        metered = self.metered
        if metered is None and self.meter is not None:
            metered = self.meter.metered()
        await self._account.settle(metered or Metered(Usage()))


async def _streamed(body: AsyncGenerator[bytes], meter: StreamMeter) -> AsyncGenerator[bytes]:
    try:
        async for chunk in body:
            meter.feed(chunk)
            yield chunk
        said = None if meter.is_whole else "The model provider's reply broke off."
    except UpstreamError as error:
        said = error.public_message
    if said is not None:
        data = f'{{"type":"error","error":{{"type":"api_error","message":"{said}"}}}}'
        yield f"event: error\ndata: {data}\n\n".encode()


@frozen
class CountTokens:
    """``POST /api/proxy/anthropic/v1/messages/count_tokens``; it costs nothing."""

    gateway: ModelGateway

    async def __call__(self, request: Request, /) -> Response:
        """The count, in the model's own form."""
        settings = self.gateway.settings
        call = await read_call(request, settings, _token(request), counts_only=True)
        account = await self.gateway.begun(request, call)
        async with AsyncExitStack() as stack:
            answer, deadline = await self.gateway.answered(
                request, call, account, "/v1/messages/count_tokens", stack
            )
            body = relayed(
                answer.body,
                deadline,
                SecretMask([account.key or ""]),
                declared=None,
                limit=_MAX_REFUSAL,
            )
            stack.push_async_callback(body.aclose)
            whole = b"".join([chunk async for chunk in body])
            return Response(200, _headers(answer, stream=False), whole)


@frozen
class GatewayModels:
    """``GET /api/proxy/anthropic/v1/models``: those that the caller may name."""

    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """The list, in the model provider's own form."""
        token = _token(request)
        names = (token.models if token else self.settings.models) or (self.settings.model,)
        rows = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "1970-01-01T00:00:00Z",
            }
            for name in names
        ]
        return json_response(
            {"data": rows, "has_more": False, "first_id": names[0], "last_id": names[-1]}
        )


def _token(request: Request) -> AppToken | None:
    principal = principal_of(request)
    return principal.token if isinstance(principal, AppBearer) else None


def _headers(answer: OutboundResponse, *, stream: bool) -> Headers:
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    fields = {"content-type": kind, "cache-control": "no-store", "x-accel-buffering": "no"}
    request_id = answer.headers.get("request-id") or ""
    if request_id.isascii() and request_id.replace("_", "").replace("-", "").isalnum():
        fields["request-id"] = request_id[:128]
    return Headers.of(fields)


async def _refused(answer: OutboundResponse, account: _Account) -> NoReturn:
    parts: list[bytes] = []
    size = 0
    async for chunk in answer.body:
        parts.append(chunk)
        size += len(chunk)
        if size >= _MAX_REFUSAL:
            break
    error = api.status_failure(
        answer.status,
        answer.headers,
        b"".join(parts)[:_MAX_REFUSAL],
        secret=account.key,
        own_key=account.is_own_key,
    )
    if answer.status in _THE_CALLERS and error.status == answer.status:
        # The caller wrote the request, so what is wrong with it is theirs to read.
        said = (error.detail or "").partition(": ")[2] or "The model provider refused the request."
        raise InvalidRequestError(said, code="refused_by_model")
    raise error
