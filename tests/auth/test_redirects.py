"""Where a sign-in leads back to: never to another origin, whatever is asked for.

`ada_url` is the parser that browsers' standard (WHATWG URL) is implemented by in Node.js: it says
where a browser would go.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import ada_url
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbolt import Settings
from openbolt.auth.redirects import (
    MAX_RETURN_TO,
    callback_url,
    mount_path,
    redirect,
    safe_return_to,
    sign_in_path,
)
from openbolt.errors import InvalidRequestError
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext

ORIGIN = "https://app.example"


def request(
    host: str | None = "app.example", *, scheme: str = "https", root_path: str = ""
) -> Request:
    headers = Headers.of({} if host is None else {"host": host})
    context = RequestContext(spawn=lambda work: work.close())
    return Request("GET", "/", headers, EMPTY_BODY, context, scheme=scheme, root_path=root_path)


def returns_to(text: str | None) -> str:
    return safe_return_to(text, default="/")


def where(location: str) -> ada_url.URL:
    """Where a browser on our page goes."""
    return ada_url.URL(location, base=f"{ORIGIN}/api/auth/github/callback?code=x")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/chat/abc",
        "/chat/abc?tab=code&file=src%2Fapp.ts#L10",
        "/a%20b/%C3%A9",
        "/?q=https://evil.example/x",
        "/?next=//evil.example",
        "/#//evil.example",
        "/@evil.example",
        "/:80",
        "/..",
        "/a/../b",
        "/a" * (MAX_RETURN_TO // 2),
    ],
)
def test_a_path_of_ours_is_returned_to_as_it_is(path: str) -> None:
    assert returns_to(path) == path
    assert where(path).origin == ORIGIN


ELSEWHERE = [
    "",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%2fevil.example",
    "/%2f%2fevil.example",
    "/%252fevil.example",
    "/%255cevil.example",
    "/%25252525252fevil.example",
    "/%25252525252541",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/%09/evil.example",
    "/%0a/evil.example",
    "/%0d%0aset-cookie:%20x=y",
    "/%00",
    "/\0",
    "/.//evil.example",
    "/a/..//evil.example",
    "https:",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "http://app.example@evil.example",
    "https://app.example.evil.example",
    "https://app.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "@evil.example",
    ".evil.example",
    "evil.example",
    "?x",
    "#x",
    "chat",
    "/\u2215evil.example",
    "/\uff0fevil.example",
    "/\u00a0/evil.example",
    "/caf\u00e9",
    "/a b",
    '/"><script>',
    "/a" * (MAX_RETURN_TO // 2) + "a",
    "/\ud800",
]


@pytest.mark.parametrize("text", [None, *ELSEWHERE])
def test_anything_else_leads_to_the_front_page(text: str | None) -> None:
    assert returns_to(text) == "/"


def test_the_table_s_attacks_do_lead_elsewhere_without_the_check() -> None:
    led_astray = 0
    for text in ELSEWHERE:
        try:
            led_astray += where(text).origin != ORIGIN
        except (ValueError, UnicodeEncodeError):
            continue
    assert led_astray >= 15


WORDS = """
    / \\ // @ : ? # % %2f %5c %25 %09 %0a %00 .. . a ; & [::1] %ef%bc%8f
    https: http: javascript: evil.example app.example user:pw@
"""
PIECES = st.sampled_from([*WORDS.split(), *"\t\n\r \0\u3002\uff0f\u2044\u202e"])


@given(
    text=st.lists(PIECES, max_size=12).map("".join)
    | st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces))
    | st.text(max_size=40)
)
@example("/%25%35%63evil.example")
@example("/%2%35fevil.example")
def test_whatever_is_asked_for_the_browser_stays_on_our_origin(text: str) -> None:
    location = redirect(returns_to(text)).headers.get("location")
    assert location is not None
    assert location.isascii()
    assert location.isprintable()
    # As it is, and as something on the way may have decoded it.
    for _ in range(6):
        assert where(location).origin == ORIGIN
        assert not location.startswith(("//", "/\\"))
        location = unquote(location)


@given(path=st.text(alphabet="abc/._-~é ", max_size=30), query=st.text(max_size=20))
def test_every_address_that_a_page_can_have_is_returned_to(path: str, query: str) -> None:
    page = ada_url.URL(f"{ORIGIN}/{quote(path)}?q={quote(query, safe='')}")
    asked = page.pathname + page.search
    decoded = unquote(query)
    plain = "//" not in asked.partition("?")[0] and "\\" not in decoded
    if plain and all(" " <= character != "\x7f" for character in decoded):
        # A percent sign that is data may look like one that encodes: then the page is forgotten.
        assert returns_to(asked) in ({asked} if "%" not in decoded else {asked, "/"})


def test_a_redirect_is_kept_by_nobody_and_says_nothing_of_where_it_came_from() -> None:
    response = redirect("/chat")
    assert (response.status, response.headers.get("location")) == (302, "/chat")
    assert response.headers.get("cache-control") == "no-store"
    assert response.headers.get("referrer-policy") == "no-referrer"


@pytest.mark.parametrize(
    ("public_url", "root_path", "callback", "login"),
    [
        (None, "", f"{ORIGIN}/api/auth/oidc/callback", "/api/auth/oidc/login"),
        (
            None,
            "/builder",
            f"{ORIGIN}/builder/api/auth/oidc/callback",
            "/builder/api/auth/oidc/login",
        ),
        (None, "/a b", f"{ORIGIN}/a%20b/api/auth/oidc/callback", "/a%20b/api/auth/oidc/login"),
        (
            "https://Public.example:8443/",
            "/builder",
            "https://public.example:8443/builder/api/auth/oidc/callback",
            "/builder/api/auth/oidc/login",
        ),
        (
            "https://public.example/made/",
            "/builder",
            "https://public.example/made/api/auth/oidc/callback",
            "/made/api/auth/oidc/login",
        ),
    ],
)
def test_the_callback_is_where_browsers_reach_the_application(
    public_url: str | None, root_path: str, callback: str, login: str
) -> None:
    settings = Settings(public_url=public_url)
    asking = request(root_path=root_path)
    assert callback_url(asking, settings, "oidc") == callback
    assert sign_in_path(asking, settings, "oidc") == login
    assert login.startswith(mount_path(asking, settings))


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example/x", "a@evil.example", "a b", "a\\b", "a:b", "[::1", "é.example"],
)
def test_a_host_that_is_none_makes_no_callback(host: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        callback_url(request(host), Settings(), "github")
    # A public URL needs no host.
    callback_url(request(host), Settings(public_url=ORIGIN), "github")


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:80", "App.Example"])
def test_a_host_that_is_one_makes_the_callback(host: str) -> None:
    asking = request(host, scheme="http")
    url = callback_url(asking, Settings(), "github")
    assert url == f"http://{host.lower()}/api/auth/github/callback"
