"""Browsers as attackers meet them: cookies by RFC 6265bis, requests by the Fetch standard.

Law: a browser here sends what a real one would for the same deed of a page. A test writes a field
that browsers keep for themselves (``Origin``, ``Cookie``, ``Host``) only to stand for an attacker's
own program, or for something in between. Older browsers, which know neither ``SameSite`` nor
``Sec-Fetch-Site``, are there as well, since some visitors have them.
"""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlencode, urljoin, urlsplit

from attrs import define, evolve, field, frozen

from openbolt.http import EMPTY_BODY, Handler, Headers, Request, RequestContext, StreamBody
from openbolt.lifetime import Work
from tests.handlers.building import Answer, once

PUBLIC = "https://app.example"
EVIL = "https://evil.example"
SIBLING = "https://sites.app.example"
"""Another origin of the same site: pages of other people below the same domain."""

FORM = "application/x-www-form-urlencoded"


@frozen
class KeptCookie:
    """A cookie in a jar.

    Attributes:
        domain: None: for this host alone.
    """

    name: str
    value: str
    host: str
    domain: str | None
    secure: bool
    http_only: bool
    same_site: str

    def goes_to(self, url: SplitResult) -> bool:
        host = url.hostname or ""
        if self.secure and url.scheme != "https":
            return False
        if self.domain is None:
            return host == self.host
        return host == self.domain or host.endswith(f".{self.domain}")


def kept_cookie(line: str, url: SplitResult) -> KeptCookie | None:
    """What a browser makes of a ``Set-Cookie`` of a server at this URL; None: it drops it."""
    pair, *rest = (part.strip() for part in line.split(";"))
    name, _, value = pair.partition("=")
    said = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
    host = url.hostname or ""
    domain = said.get("domain", "").lstrip(".").lower() or None
    secure = "secure" in said
    if domain is not None and ("." not in domain or not f".{host}".endswith(f".{domain}")):
        return None
    if secure and url.scheme != "https":
        return None
    if name.startswith("__Host-") and not (secure and said.get("path") == "/" and domain is None):
        return None
    if name.startswith("__Secure-") and not secure:
        return None
    same_site = said.get("samesite", "lax").lower()
    return KeptCookie(name, value, host, domain, secure, "httponly" in said, same_site)


@define
class Browser:
    """Somebody's browser, in front of the attacked application.

    Attributes:
        address: Where it sits in the network.
        knows_same_site: False: it sends every cookie along, whoever asks.
        says_where_from: False: it has no ``Sec-Fetch-Site``.
    """

    handler: Handler
    work: Work
    address: str = "198.51.100.7"
    knows_same_site: bool = True
    says_where_from: bool = True
    jar: list[KeptCookie] = field(factory=list)

    def another(self, **changes: object) -> Browser:
        """A browser of somebody else."""
        return evolve(self, jar=[], **changes)

    def copy(self) -> Browser:
        """Whoever got hold of all that is in the jar."""
        return evolve(self, jar=list(self.jar))

    def cookie(self, name: str) -> str | None:
        """A cookie's value."""
        return next((kept.value for kept in self.jar if kept.name == name), None)

    def plant(self, line: str, at: str = PUBLIC) -> bool:
        """Take a ``Set-Cookie`` from somebody; whether the browser does."""
        url = urlsplit(at)
        kept = kept_cookie(line, url)
        if kept is None:
            return False
        same = [c for c in self.jar if (c.name, c.domain) == (kept.name, kept.domain)]
        if any(c.secure and url.scheme != "https" and c.goes_to(url) for c in same):
            return False
        self.jar = [c for c in self.jar if c not in same or c.host != kept.host]
        if "max-age=0" not in line.lower():
            self.jar.append(kept)
        return True

    def scripts_see(self, at: str = PUBLIC) -> str:
        """``document.cookie`` of a page."""
        seen = (c for c in self.jar if c.goes_to(urlsplit(at)) and not c.http_only)
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in seen)

    # What pages and people do

    async def visit(self, url: str, *, by: str | None = None, **headers: str) -> Answer:
        """Open a page: by a link on another, or typed."""
        fields = {"accept": "text/html,*/*;q=0.8", "sec-fetch-mode": "navigate", **headers}
        return await self._send("GET", url, by, fields, b"", is_visit=True)

    async def submit(
        self, url: str, *, by: str, body: bytes | Mapping[str, str] = b"", kind: str = FORM
    ) -> Answer:
        """Post a form, which a page may do for its visitor without being seen."""
        content = body if isinstance(body, bytes) else urlencode(body).encode()
        fields = {"accept": "text/html,*/*;q=0.8", "sec-fetch-mode": "navigate"}
        fields |= {"content-type": kind, "origin": by}
        return await self._send("POST", url, by, fields, content, is_visit=True)

    async def fetch(
        self,
        url: str,
        *,
        by: str | None = PUBLIC,
        method: str = "GET",
        json: object = None,
        content: bytes = b"",
        kind: str | None = None,
        **headers: str,
    ) -> Answer:
        """A script's request with credentials.

        Args:
            by: The origin of the script's page; ``null`` for one in a sandbox; None for a program
                (which has no jar of its own).
            kind: The content type; None: what fetch() gives the body, nothing for a `Blob`.
        """
        if json is not None:
            content, kind = jsons.dumps(json).encode(), kind or "application/json"
        fields = {"accept": "*/*", "sec-fetch-mode": "cors", **headers}
        if kind is not None:
            fields["content-type"] = kind
        if by is not None and (method not in {"GET", "HEAD"} or _site(by, url) != "same-origin"):
            fields["origin"] = by
        return await self._send(method, url, by, fields, content, is_visit=False)

    async def _send(
        self,
        method: str,
        target: str,
        by: str | None,
        headers: Mapping[str, str],
        content: bytes,
        *,
        is_visit: bool,
    ) -> Answer:
        url = urlsplit(urljoin(PUBLIC, target))
        site = _site(by, url.geturl())
        fields = {"host": url.netloc, **{n.replace("_", "-"): v for n, v in headers.items()}}
        if self.says_where_from:
            fields.setdefault("sec-fetch-site", site)
        else:
            fields.pop("sec-fetch-mode", None)
        cookies = [
            f"{c.name}={c.value}"
            for c in self.jar
            if c.goes_to(url)
            and (not self.knows_same_site or _rides_along(c, site, is_visit and method == "GET"))
        ]
        if cookies:
            fields.setdefault("cookie", "; ".join(cookies))
        response = await self.handler(
            Request(
                method,
                unquote(url.path) or "/",
                Headers.of(fields),
                StreamBody(once(content)) if content else EMPTY_BODY,
                RequestContext(spawn=self.work.spawn, client=self.address),
                query=url.query,
                scheme=url.scheme,
            )
        )
        for line in response.headers.get_all("set-cookie"):
            self.plant(line, url.geturl())
        return await Answer.of(response)


def _site(by: str | None, url: str) -> str:
    """``Sec-Fetch-Site`` of a request by a page of that origin."""
    if by is None:
        return "none"
    here, there = urlsplit(by), urlsplit(url)
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return "same-origin"
    same = here.scheme == there.scheme and _registered(here) == _registered(there)
    return "same-site" if same else "cross-site"


def _registered(url: SplitResult) -> str:
    """The domain that somebody registered; enough for names below ``.example``."""
    return ".".join((url.hostname or url.path).split(".")[-2:])


def _rides_along(cookie: KeptCookie, site: str, is_safe_visit: bool) -> bool:
    if site != "cross-site" or cookie.same_site == "none":
        return True
    return cookie.same_site == "lax" and is_safe_visit
