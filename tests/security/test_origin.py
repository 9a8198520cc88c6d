"""As an attacker: other names for this server, and other sites' pages that write to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import ConfigurationError, CrossOriginError
from openbolt.guards import only_hosts, refuse_cross_site_writes
from openbolt.http import EMPTY_BODY, Headers, Request, RequestContext, Response


def request_of(
    *headers: tuple[str, str], method: str = "POST", scheme: str = "http", path: str = "/api/x"
) -> Request:
    context = RequestContext(spawn=lambda _: None)
    return Request(method, path, Headers(headers), EMPTY_BODY, context, scheme=scheme)


async def inside(request: Request, /) -> Response:
    return Response(204)


async def host_passes(request: Request, *allowed: str) -> bool:
    guarded = only_hosts(inside, allowed) if allowed else only_hosts(inside)
    try:
        return (await guarded(request)).status == 204
    except CrossOriginError:
        return False


async def write_passes(request: Request, *trusted: str) -> bool:
    try:
        return (await refuse_cross_site_writes(inside, trusted)(request)).status == 204
    except CrossOriginError:
        return False


async def test_a_refusal_is_a_403_that_names_the_setting() -> None:
    request = request_of(("host", "evil.example"), ("origin", "null"))
    with pytest.raises(CrossOriginError, match="allowed_hosts") as caught:
        await only_hosts(inside)(request)
    assert (caught.value.code, caught.value.status_hint) == ("host_not_allowed", 403)
    with pytest.raises(CrossOriginError, match="trusted_origins") as caught:
        await refuse_cross_site_writes(inside)(request)
    assert (caught.value.code, caught.value.status_hint) == ("cross_origin", 403)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8787",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:65535",
        "[0:0:0:0:0:0:0:1]",
    ],
)
async def test_loopback_names_are_answered_by_default_on_any_port(host: str) -> None:
    assert await host_passes(request_of(("host", host)))


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "evil.example",
        "localhost.evil.example",
        "evil.example:localhost",
        "evillocalhost",
        "evil.localhost",
        "localhost.",
        "127.0.0.1.",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::1%25eth0]",
        "[::1].evil.example",
        "[::1]evil.example",
        "::1",
        "[::1",
        "[localhost]",
        "localhost@evil.example",
        "evil.example@localhost",
        "user:pw@localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:8o",
        "localhost:-1",
        "localhost:80:80",
        "localhost:\N{ARABIC-INDIC DIGIT EIGHT}",
        "localhost/",
        "localhost#",
        "localhost?x",
        "localhost\\",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost\t",
        "localhost\n",
        "localhost\0",
        "local%68ost",
        "http://localhost",
        "loc\N{LATIN SMALL LETTER A WITH ACUTE}lhost",
        "\N{KELVIN SIGN}localhost",
        "localho\N{LATIN SMALL LETTER LONG S}t",
        ".localhost",
        "*",
        "*.localhost",
    ],
)
async def test_any_other_host_is_refused(host: str) -> None:
    assert not await host_passes(request_of(("host", host)))


async def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert not await host_passes(request_of())
    assert not await host_passes(request_of(("host", "localhost"), ("host", "localhost")))
    assert not await host_passes(request_of(("host", "localhost"), ("Host", "evil.example")))


async def test_a_forwarded_host_or_one_in_the_target_counts_for_nothing() -> None:
    evil, good = "evil.example", "localhost"
    forwarded = ("x-forwarded-host", good)
    assert not await host_passes(request_of(("host", evil), forwarded))
    assert not await host_passes(request_of(("host", evil), path=f"http://{good}/api/x"))


@pytest.mark.parametrize(
    ("allowed", "host", "scheme", "passes"),
    [
        ("app.example", "app.example", "http", True),
        ("app.example", "APP.example:444", "http", True),
        ("App.Example", "app.example", "http", True),
        ("app.example:8080", "app.example:8080", "http", True),
        ("app.example:8080", "app.example", "http", False),
        ("app.example:8080", "app.example:8081", "http", False),
        ("app.example:443", "app.example", "https", True),
        ("app.example:443", "app.example", "http", False),
        ("app.example:80", "app.example", "http", True),
        ("app.example", "localhost", "http", False),
        ("*.localhost", "abc.localhost:8787", "http", True),
        ("*.localhost", "a.b.localhost", "http", True),
        ("*.localhost", "localhost", "http", False),
        ("*.localhost", "evillocalhost", "http", False),
        ("*.localhost", "a.localhost.evil.example", "http", False),
        ("*.localhost", "a.localhost.", "http", False),
        ("*.localhost:8787", "a.localhost:8787", "http", True),
        ("*.localhost:8787", "a.localhost:8788", "http", False),
        ("*", "anything.example", "http", True),
        ("[::1]:80", "[::1]", "http", True),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]:9", "http", True),
    ],
)
async def test_an_entry_allows_what_it_says(
    allowed: str, host: str, scheme: str, passes: bool
) -> None:
    assert await host_passes(request_of(("host", host), scheme=scheme), allowed) is passes


@pytest.mark.parametrize(
    "entry", ["", "https://app.example", "app.example/", "*.", "a.*.b", "**", ".app", "::1", "a b"]
)
def test_an_entry_that_is_no_host_is_refused_when_the_guard_is_made(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        only_hosts(inside, [entry])


PIECES = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    ":",
    "8787",
    ".",
    "@",
    "/",
    "%",
    "evil.example",
    "é",
    " ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
async def test_nothing_passes_but_a_loopback_name_with_or_without_a_port(host: str) -> None:
    known = {"localhost", "127.0.0.1", "[::1]"}
    is_loopback = host in known or host.removesuffix(":8787") in known
    assert await host_passes(request_of(("host", host))) is is_loopback


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), max_size=6))
async def test_what_a_guard_has_seen_before_changes_nothing(hosts: list[str]) -> None:
    guarded = only_hosts(inside)
    for host in [*hosts, *reversed(hosts)]:
        request = request_of(("host", host))
        try:
            passes = (await guarded(request)).status == 204
        except CrossOriginError:
            passes = False
        assert passes is await host_passes(request)


async def test_the_longest_name_is_read_and_no_longer_one() -> None:
    longest = f"{'a' * 253}:65535"
    assert await host_passes(request_of(("host", longest)), longest)
    assert not await host_passes(request_of(("host", f"{longest}0")), longest)
    origin = ("origin", f"https://{longest}")
    own = request_of(("host", longest), origin, scheme="https")
    assert await write_passes(own)
    assert await write_passes(request_of(HERE, origin), origin[1])
    assert not await write_passes(request_of(HERE, ("origin", f"{origin[1]}0")), origin[1])
    # Where every host is answered, a name that can't be read takes nothing from a trusted page.
    unread = ("host", "a" * 300)
    assert await write_passes(request_of(unread, origin), origin[1])
    assert not await write_passes(request_of(unread, ("origin", f"http://{unread[1]}")))


HERE = ("host", "localhost:8787")


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        # A program.
        ((), True),
        # A page of this server.
        ((("origin", "http://localhost:8787"), ("sec-fetch-site", "same-origin")), True),
        ((("origin", "http://localhost:8787"),), True),
        ((("origin", "HTTP://LocalHost:8787"),), True),
        ((("sec-fetch-site", "same-origin"),), True),
        ((("sec-fetch-site", "none"),), True),
        # Another site's.
        ((("sec-fetch-site", "cross-site"),), False),
        ((("sec-fetch-site", "same-site"),), False),
        ((("sec-fetch-site", ""),), False),
        ((("sec-fetch-site", "same-origin, cross-site"),), False),
        ((("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")), False),
        ((("origin", "https://evil.example"),), False),
        ((("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")), False),
        ((("origin", "http://localhost:8787"), ("sec-fetch-site", "cross-site")), False),
        ((("origin", "http://localhost:8787"), ("sec-fetch-site", "same-site")), False),
        # Another port, scheme or name of the same machine; a preview.
        ((("origin", "http://localhost:8788"),), False),
        ((("origin", "http://localhost"),), False),
        ((("origin", "https://localhost:8787"),), False),
        ((("origin", "http://127.0.0.1:8787"),), False),
        ((("origin", "http://token.localhost:8787"), ("sec-fetch-site", "same-site")), False),
        ((("origin", "http://localhost.:8787"),), False),
        # A sandboxed frame, a file, a redirect.
        ((("origin", "null"),), False),
        ((("origin", ""),), False),
        ((("origin", "file://"),), False),
        ((("origin", "http://localhost:8787/"),), False),
        ((("origin", "http://localhost:8787@evil.example"),), False),
        ((("origin", "http://evil.example http://localhost:8787"),), False),
        ((("origin", "http://localhost:8787, https://evil.example"),), False),
        ((("origin", "http://localhost:8787"), ("origin", "https://evil.example")), False),
        ((("origin", "localhost:8787"),), False),
        ((("origin", "ws://localhost:8787"),), False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_only_own_pages_and_programs_write(
    method: str, headers: tuple[tuple[str, str], ...], passes: bool
) -> None:
    assert await write_passes(request_of(HERE, *headers, method=method)) is passes


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_is_not_writing(method: str) -> None:
    cross = (("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"))
    assert await write_passes(request_of(HERE, *cross, method=method))


async def test_a_method_in_lower_case_is_not_a_safe_one() -> None:
    assert not await write_passes(request_of(HERE, ("origin", "null"), method="get"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", None])
async def test_a_trusted_origin_may_write_from_anywhere(site: str | None) -> None:
    headers = [HERE, ("origin", "https://app.example")]
    if site is not None:
        headers.append(("sec-fetch-site", site))
    request = request_of(*headers)
    assert await write_passes(request, "https://app.example")
    assert await write_passes(request, "https://APP.example:443")
    assert not await write_passes(request, "http://app.example")
    assert not await write_passes(request, "https://app.example:444")
    assert not await write_passes(request, "https://sub.app.example")


async def test_a_default_port_may_be_named_or_not() -> None:
    for scheme, port in (("http", 80), ("https", 443)):
        for host, origin in (
            ("a.example", f"a.example:{port}"),
            (f"a.example:{port}", "a.example"),
        ):
            headers = (("host", host), ("origin", f"{scheme}://{origin}"))
            assert await write_passes(request_of(*headers, scheme=scheme))


async def test_an_origin_without_a_host_to_hold_it_to_is_refused() -> None:
    assert not await write_passes(request_of(("origin", "http://localhost")))


@pytest.mark.parametrize(
    "entry", ["", "null", "*", "app.example", "https://app.example/", "https://*.x"]
)
def test_an_entry_that_is_no_origin_is_refused_when_the_guard_is_made(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_origins"):
        refuse_cross_site_writes(inside, [entry])
