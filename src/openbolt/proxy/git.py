"""``ANY /api/git/{host}/{path}``: git's smart HTTP for pages, as isomorphic-git's ``corsProxy``.

Laws: only git's own requests go out, only to listed hosts, through the fetch guard; only git's own
answers come back, and nothing of them runs as our origin. A credential goes to the host it was sent
for and is dropped at a redirect to another; cookies never leave. Both ways stream, in bounded size
and time, and the client's going ends the call.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from attrs import evolve, frozen

from openbolt.access import principal_of
from openbolt.errors import UpstreamError
from openbolt.http import Headers, Request, Response, StreamBody
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse, Timeouts
from openbolt.proxy.calls import upload_of
from openbolt.proxy.git_shapes import GitHosts, GitRequest, git_authorization
from openbolt.proxy.guard import (
    GuardedSender,
    LiteralOnlyGuard,
    Resolver,
    ResponseTooLargeError,
)
from openbolt.proxy.headers import check_answer, check_framing, content_length
from openbolt.proxy.redirects import redirected
from openbolt.proxy.streaming import Deadline, SecretMask, Upload, relayed, while_wanted
from openbolt.proxy.targets import Target
from openbolt.settings import Settings

__all__ = ["GitProxy"]

_TIMEOUTS = Timeouts(connect=10.0, first_byte=120.0, idle=60.0)
"""A host counts and packs for a while before it answers; while it does so git shows progress."""

_MAX_REDIRECTS = 3
_MAX_WORDS = 4096
_TOLD = frozenset({400, 401, 403, 404, 410, 413, 422, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_INERT = {
    "cache-control": "no-store",
    "content-disposition": "attachment",
    "content-security-policy": (
        "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class NotGitError(UpstreamError):
    """A host answered with something that isn't smart HTTP: a page, or git's older protocol."""

    code = "not_git"


class RepositoryMovedError(UpstreamError):
    """A repository has another address now, which the client has to use itself."""

    code = "repository_moved"


@frozen
class GitProxy:
    """Forwards git's requests; needs a principal.

    Attributes:
        guard: Admits `hosts` and nothing else.
        basic_is_gits: Nobody shows by ``Authorization: Basic`` who they are to this server, so that
            it is meant for the git host. Else only ``X-Git-Authorization`` goes there.
    """

    guard: HttpSender
    hosts: GitHosts
    settings: Settings
    basic_is_gits: bool = False

    @classmethod
    def of(
        cls,
        settings: Settings,
        sender: HttpSender,
        resolver: Resolver | None = None,
        /,
        *,
        basic_is_gits: bool = False,
    ) -> GitProxy:
        """From ``settings.git_hosts`` and the limits beside it.

        Args:
            sender: One that honors ``connect_to``, where there is a resolver.
            resolver: None where names can't be pinned: in a Worker.

        Raises:
            ConfigurationError: ``git_hosts`` holds what isn't a host.
        """
        hosts = GitHosts.parse(settings.git_hosts)
        policy = hosts.policy()
        if resolver is None:
            return cls(LiteralOnlyGuard(sender, policy), hosts, settings, basic_is_gits)
        return cls(GuardedSender(sender, resolver, policy), hosts, settings, basic_is_gits)

    async def __call__(self, request: Request, /) -> Response:
        """Forward a request."""
        principal_of(request)
        check_framing(request.headers)
        if request.method == "OPTIONS":
            return Response(204, Headers.of({"allow": "GET, POST, OPTIONS"}))
        authorization = git_authorization(request.headers, basic_is_gits=self.basic_is_gits)
        asked = GitRequest.of(request, self.hosts, authorization)
        body: bytes | Upload = b""
        if not asked.asks:
            body = await upload_of(request, self.settings.git_max_push_bytes)
        return await self._exchange(request, asked, body)

    async def _exchange(
        self, request: Request, asked: GitRequest, body: bytes | Upload
    ) -> Response:
        upload = body if isinstance(body, Upload) else None
        host = Target.parse(asked.url).host
        async with AsyncExitStack() as stack:
            deadline = Deadline(self.settings.git_timeout, host)
            stack.callback(deadline.close)
            try:
                async with while_wanted(request, upload), deadline.held():
                    answer = await self._answer(asked, _outbound(asked, body), stack)
            except UpstreamError as error:
                if upload is not None and upload.failure is not None:
                    raise upload.failure from error
                raise
            if answer.status != 200:
                return await _refused(answer, deadline, host)
            return self._streamed(asked, answer, deadline, stack)

    async def _answer(
        self, asked: GitRequest, outbound: OutboundRequest, stack: AsyncExitStack
    ) -> OutboundResponse:
        for _ in range(_MAX_REDIRECTS + 1):
            async with AsyncExitStack() as held:
                answer = await held.enter_async_context(self.guard.send(outbound))
                check_answer(answer)
                if answer.status not in _REDIRECTS:
                    await stack.enter_async_context(held.pop_all())
                    return answer
                outbound = self._moved(asked, outbound, answer)
        raise UpstreamError("The git host redirects too often.")

    def _moved(
        self, asked: GitRequest, outbound: OutboundRequest, answer: OutboundResponse
    ) -> OutboundRequest:
        """The request that a redirect asks for; only references are asked for elsewhere."""
        following = redirected(evolve(outbound, body=b""), answer)
        target = Target.parse(following.url) if following is not None else None
        if (
            following is None
            or target is None
            or target.origin not in self.hosts.origins.values()
            or not target.path.endswith(asked.tail)
        ):
            raise NotGitError("The git host redirects to where no repository is.")
        if asked.asks:
            return following
        # Its body is gone; and git itself asks for the references first and goes on from there.
        moved = f"{target.authority}{target.path.removesuffix(asked.tail)}"
        raise RepositoryMovedError(f"The repository has moved; use its new address {moved[:200]}.")

    def _streamed(
        self,
        asked: GitRequest,
        answer: OutboundResponse,
        deadline: Deadline,
        stack: AsyncExitStack,
    ) -> Response:
        kind = (answer.headers.get("content-type") or "").strip().lower()
        if kind != asked.result_type or answer.headers.get("content-encoding", "identity") != (
            "identity"
        ):
            raise NotGitError("The host doesn't speak git's smart HTTP protocol there.")
        limit = self.settings.git_max_fetch_bytes
        declared = content_length(answer.headers)
        if declared is not None and declared > limit:
            raise ResponseTooLargeError(f"The repository's answer is over {limit} bytes.")
        body = relayed(answer.body, deadline, SecretMask(()), declared=declared, limit=limit)
        stack.push_async_callback(body.aclose)
        fields = {"content-type": kind, **_INERT}
        if declared is not None:
            fields["content-length"] = str(declared)
        return Response(200, Headers.of(fields), StreamBody(body, stack=stack.pop_all()))


def _outbound(asked: GitRequest, body: bytes | Upload) -> OutboundRequest:
    headers = asked.headers
    if isinstance(body, Upload) and body.declared is not None:
        headers = headers.with_({"content-length": str(body.declared)})
    method = "GET" if asked.asks else "POST"
    return OutboundRequest(method, asked.url, headers, body, _TIMEOUTS)


async def _refused(answer: OutboundResponse, deadline: Deadline, host: str) -> Response:
    """What a git host says instead of an answer: its status, and its words if they are text.

    ``WWW-Authenticate`` stays behind: a browser would ask for a password in our name, while
    isomorphic-git goes by the status.
    """
    # Azure DevOps says 203 to whoever isn't signed in, with a page to do so.
    status = 401 if answer.status == 203 else answer.status
    if status not in _TOLD:
        raise NotGitError(
            "The host doesn't speak git's smart HTTP protocol there.", detail=f"status {status}"
        )
    words = b""
    kind = (answer.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind == "text/plain" and answer.headers.get("content-encoding", "identity") == "identity":
        while len(words) < _MAX_WORDS and (chunk := await deadline.next(answer.body)):
            words += chunk
    text = words[:_MAX_WORDS].decode("utf-8", "replace") or f"{host} answers with {status}.\n"
    fields = {"content-type": "text/plain; charset=utf-8", **_INERT}
    after = answer.headers.get("retry-after") or ""
    if after.isascii() and after.isdigit() and len(after) < 7:
        fields["retry-after"] = after
    return Response(status, Headers.of(fields), text.encode())
