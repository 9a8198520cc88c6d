"""``ANY /api/proxy/{upstream}/{path}``: to a configured server and back, with secrets put in here.

Laws: what goes out is what the upstream's configuration allows, and what comes back can't act as
our origin. A secret that is put in is in no answer, redirect, error or log. The client's going ends
the upstream call within a moment, and whatever is open is closed once. A redirect is never
followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import Factory, evolve, field, frozen

from openbolt.access import owner_of
from openbolt.clock import SystemClock, SystemTokens
from openbolt.errors import (
    ConfigurationError,
    CrossOriginError,
    MethodNotAllowedError,
    NotFoundError,
    UpstreamError,
    UpstreamTimeoutError,
)
from openbolt.http import Handler, Headers, Request, Response
from openbolt.limiting import RateLimits
from openbolt.origins import refuse_cross_site_writes
from openbolt.protocols import Clock, HttpSender, OutboundResponse, TokenSource
from openbolt.providers._failures import retry_after_of
from openbolt.proxy.answers import from_cache, passed, without_secrets
from openbolt.proxy.calls import Call, upload_of
from openbolt.proxy.configuration import upstreams_of
from openbolt.proxy.headers import check_framing, passed_on
from openbolt.proxy.injection import Secrets, cover
from openbolt.proxy.paths import checked_path, query_of, url_of
from openbolt.proxy.streaming import Deadline, Upload, while_wanted
from openbolt.proxy.upstreams import Upstream
from openbolt.retries import full_jitter
from openbolt.secrets import SecretStore
from openbolt.settings import Settings

if TYPE_CHECKING:
    from openbolt.proxy.caching import MemoryCache

__all__ = ["Proxy", "for_own_pages"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_MAY_PASS = frozenset({502, 503, 504})
_LONGEST_WAIT = 10.0
# Where a browser would run an answer, or show it as a part of a page, rather than read it.
_READ_AS = frozenset({"", "empty", "document", "image", "audio", "video", "track", "font"})
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_UNCACHED = ("range", "if-range", "if-match", "if-unmodified-since")


def _by_name(upstreams: Iterable[Upstream]) -> Mapping[str, Upstream]:
    named = {upstream.name: upstream for upstream in upstreams}
    return MappingProxyType(named)


def _new_cache(proxy: Proxy) -> MemoryCache | None:
    if not any(upstream.cache for upstream in proxy.upstreams.values()):
        return None
    try:
        from openbolt.proxy.caching import MemoryCache
    except ImportError as exc:
        raise ConfigurationError(
            "An upstream has a cache, which needs hishel: pip install 'openbolt[cache]'.",
            setting="upstreams",
        ) from exc
    return MemoryCache()


def _with_policies(proxy: Proxy) -> RateLimits | None:
    limits = proxy.limits
    own = [each.policy for each in proxy.upstreams.values() if each.policy is not None]
    if limits is None or not own:
        return limits
    return evolve(limits, policies={**limits.policies, **{policy.name: policy for policy in own}})


@frozen
class Proxy:
    """Forwards to upstreams; needs a principal.

    Attributes:
        limits: For upstreams with a rate of their own.
    """

    upstreams: Mapping[str, Upstream] = field(converter=_by_name)
    sender: HttpSender
    secrets: Secrets = field(factory=Secrets)
    limits: RateLimits | None = None
    clock: Clock = field(factory=SystemClock)
    tokens: TokenSource = field(factory=SystemTokens)
    _cache: MemoryCache | None = field(
        init=False, repr=False, eq=False, default=Factory(_new_cache, takes_self=True)
    )
    _limits: RateLimits | None = field(
        init=False, repr=False, eq=False, default=Factory(_with_policies, takes_self=True)
    )

    @classmethod
    def of(
        cls,
        settings: Settings,
        sender: HttpSender,
        /,
        *,
        secrets: SecretStore | None = None,
        limits: RateLimits | None = None,
        clock: Clock | None = None,
        tokens: TokenSource | None = None,
    ) -> Proxy:
        """From ``settings.upstreams`` and ``settings.upstream_secrets``.

        Raises:
            ConfigurationError: One of the two is wrong; or a user's own secret is wanted and there
                is no store of them.
        """
        upstreams, operators = upstreams_of(settings)
        for upstream in upstreams:
            if secrets is None and any(injection.is_users for injection in upstream.secrets):
                raise ConfigurationError(
                    f"upstreams: {upstream.name} wants a user's own secret, which needs a cipher; "
                    "set OPENBOLT_SECRET_KEYS.",
                    setting="upstreams",
                )
        return cls(
            upstreams,
            sender,
            Secrets(operators, secrets),
            limits,
            clock or SystemClock(),
            tokens or SystemTokens(),
        )

    async def __call__(self, request: Request, /) -> Response:
        """Forward a request."""
        upstream = self.upstreams.get(request.path_params["upstream"])
        if upstream is None:
            raise NotFoundError("There is no such upstream.")
        if request.method not in upstream.methods:
            raise MethodNotAllowedError(
                f"{upstream.name} takes {', '.join(upstream.methods)}.", allowed=upstream.methods
            )
        check_framing(request.headers)
        user_id = owner_of(request)
        if self._limits is not None and upstream.policy is not None:
            await self._limits.acquire(upstream.policy.name, f"user:{user_id}")
        path = checked_path(request.path_params["path"])
        injected = await self.secrets.of(upstream, user_id)
        query = query_of(request.query, upstream, injected.query)
        call = Call(
            request,
            upstream,
            url_of(upstream, path, query),
            url_of(upstream, path, query_of(request.query, upstream, {})),
            injected,
            passed_on(request.headers, upstream, injected.headers),
        )
        call = self._looked_up(call, user_id)
        if call.lookup is not None and call.lookup.found is not None:
            return from_cache(call)
        return await self._exchange(
            evolve(call, body=await upload_of(request, upstream.max_request_bytes))
        )

    def _looked_up(self, call: Call, user_id: str) -> Call:
        rules, asked = call.upstream.cache, call.request.headers
        if rules is None or self._cache is None or any(name in asked for name in _UNCACHED):
            return call
        from openbolt.proxy.caching import Lookup

        # The client's own conditions are looked at when the answer is there, whole.
        plain = Headers(pair for pair in call.headers.items if pair[0] not in _CONDITIONS)
        own = {*call.injected.headers, "via"}
        lookup = Lookup(
            self._cache,
            call.request.method,
            call.plain_url,
            Headers(pair for pair in plain.items if pair[0] not in own),
            scope="*" if rules.shared else user_id,
            shared=rules.shared,
        )
        return evolve(call, headers=plain, lookup=lookup)

    async def _exchange(self, call: Call) -> Response:
        upload = call.body if isinstance(call.body, Upload) else None
        async with AsyncExitStack() as stack:
            deadline = Deadline(call.upstream.total, call.upstream.name)
            stack.callback(deadline.close)
            try:
                async with while_wanted(call.request, upload), deadline.held():
                    answer = await self._answer(call, stack)
                    if self._again(call, answer):
                        answer = await self._answer(call, stack)
                        self._again(call, answer)
            except UpstreamError as error:
                if upload is not None and upload.failure is not None:
                    raise upload.failure from error
                cover(error, call.injected.values)
                raise
            if call.lookup is not None and call.lookup.found is not None:
                return from_cache(call)
            return passed(call, answer, deadline, stack)

    def _again(self, call: Call, answer: OutboundResponse) -> bool:
        """Show the cache the head of an answer; whether it has to be asked for once more."""
        if call.lookup is None:
            return False
        headers = without_secrets(answer.headers, call.injected)
        call.lookup.answered(answer.status, headers, now=self.clock.now())
        return call.lookup.again

    async def _answer(self, call: Call, stack: AsyncExitStack) -> OutboundResponse:
        """Send; and again, with full jitter, what may be sent again and may work then."""
        is_idempotent = call.request.method in _IDEMPOTENT
        attempt = 0
        while True:
            attempt += 1
            wait = full_jitter(self.tokens, attempt)
            async with AsyncExitStack() as held:
                try:
                    answer = await held.enter_async_context(self.sender.send(call.outbound))
                except UpstreamError as error:
                    # What never arrived can be sent again, whatever it is; what took too long
                    # would take so long again.
                    again = error.retryable or (
                        is_idempotent and not isinstance(error, UpstreamTimeoutError)
                    )
                    if attempt > call.upstream.retries or not again or not call.is_untouched:
                        raise
                else:
                    wait = max(wait, retry_after_of(answer.headers) or 0.0)
                    again = answer.status in _MAY_PASS and is_idempotent and wait <= _LONGEST_WAIT
                    if attempt > call.upstream.retries or not again or not call.is_untouched:
                        await stack.enter_async_context(held.pop_all())
                        return answer
            await self.clock.sleep(wait)


def for_own_pages(handler: Handler, trusted_origins: Iterable[str] = (), /) -> Handler:
    """Let no other site's page have a visitor's browser ask, not even with GET: it costs, and some
    upstreams do things when asked. And nothing that comes back becomes a part of a page: a script,
    a style sheet, a frame.

    Args:
        trusted_origins: As for `openbolt.origins.refuse_cross_site_writes`.
    """
    trusted = tuple(trusted_origins)
    refuse_cross_site_writes(handler, trusted)  # an entry that is wrong is told at the start

    async def guarded(request: Request, /) -> Response:
        headers = request.headers
        if any(each.lower() not in _READ_AS for each in headers.get_all("sec-fetch-dest")):
            raise CrossOriginError("What the proxy answers can't be a part of a page.")
        if "origin" not in headers and "sec-fetch-site" not in headers:
            return await handler(request)

        async def as_it_came(_: Request, /) -> Response:
            return await handler(request)

        return await refuse_cross_site_writes(as_it_came, trusted)(evolve(request, method="POST"))

    return guarded
