"""One request on its way to an upstream: what is sent, as often as it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import field, frozen

from openbolt.errors import PayloadTooLargeError
from openbolt.http import Headers, Request
from openbolt.protocols import OutboundRequest
from openbolt.proxy.headers import content_length
from openbolt.proxy.injection import Injected
from openbolt.proxy.streaming import Upload
from openbolt.proxy.upstreams import Upstream

if TYPE_CHECKING:
    from openbolt.proxy.caching import Lookup

__all__ = ["Call", "upload_of"]


@frozen
class Call:
    """A request that was checked.

    Attributes:
        plain_url: Without secrets.
        headers: As they are sent.
        lookup: In the cache, where the upstream has one.
    """

    request: Request
    upstream: Upstream
    url: str = field(repr=False)
    plain_url: str
    injected: Injected
    headers: Headers = field(repr=False)
    body: bytes | Upload = b""
    lookup: Lookup | None = None

    @property
    def outbound(self) -> OutboundRequest:
        """As a sender takes it."""
        fields = dict(self.lookup.conditions) if self.lookup else {}
        if isinstance(self.body, Upload) and self.body.declared is not None:
            fields["content-length"] = str(self.body.declared)
        headers = self.headers.with_(fields) if fields else self.headers
        timeouts = self.upstream.timeouts
        return OutboundRequest(self.request.method, self.url, headers, self.body, timeouts)

    @property
    def prefix(self) -> str:
        """What stands for the upstream's URL in our own paths."""
        ours = self.request.path.removesuffix(self.request.path_params["path"])
        return quote(self.request.root_path + ours.rstrip("/"), safe="/")

    @property
    def is_untouched(self) -> bool:
        """Nothing of its body is gone."""
        return isinstance(self.body, bytes) or not self.body.begun


async def upload_of(request: Request, limit: int, /) -> bytes | Upload:
    """A request's body, to be read by a sender; empty bytes where it has none.

    Raises:
        PayloadTooLargeError: It says that it is over the limit, in bytes.
    """
    declared = content_length(request.headers)
    if declared is not None and declared > limit:
        raise PayloadTooLargeError(f"The body is over {limit} bytes.")
    if declared == 0:
        return b""
    chunks = aiter(request.body)
    first: bytes | None = b""
    if declared is None:
        # Over HTTP/2 no field needs to tell of a body.
        while first == b"":
            first = await anext(chunks, None)
        if first is None:
            return b""
    return Upload(chunks, first=first or b"", declared=declared, limit=limit)
