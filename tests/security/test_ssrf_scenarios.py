"""Names that change their answers and servers that redirect: nobody inside is ever reached.

Each test runs over real sockets, with both senders. What was reached is read from the servers' own
records and from the interpreter's audit events, not from the guard.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
import trustme

from openbolt.errors import UpstreamError, UpstreamTimeoutError
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest, Timeouts
from openbolt.proxy.guard import FetchPolicy, GuardedSender, TargetRefusedError
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.scripted import Exchange, ScriptedServer
from tests.security.ssrf_network import (
    CONNECTIONS,
    INSIDE,
    OUTSIDE,
    Answer,
    Connections,
    StandInResolver,
    two_servers,
)

Sender = AiohttpSender | HttpxSender
OUT, IN = [OUTSIDE], [INSIDE]


@pytest.fixture(params=[AiohttpSender, HttpxSender])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    sender = request.param()
    yield sender
    await sender.aclose()


@pytest.fixture
async def servers() -> AsyncIterator[tuple[ScriptedServer, ScriptedServer]]:
    async with two_servers() as servers:
        yield servers


@pytest.fixture
def outside(servers: tuple[ScriptedServer, ScriptedServer]) -> ScriptedServer:
    return servers[0]


@pytest.fixture
def inside(servers: tuple[ScriptedServer, ScriptedServer]) -> ScriptedServer:
    return servers[1]


@pytest.fixture
def network() -> Iterator[Connections]:
    CONNECTIONS.addresses.clear()
    CONNECTIONS.lookups.clear()
    CONNECTIONS.recording = True
    yield CONNECTIONS
    CONNECTIONS.recording = False


@pytest.fixture(autouse=True)
def _nobody_inside_was_reached(inside: ScriptedServer, network: Connections) -> Iterator[None]:
    """The law of every test here, and that no name was looked up behind the resolver's back."""
    yield
    assert inside.connections == 0
    assert INSIDE not in network.addresses
    assert network.lookups == []


def policy_for(server: ScriptedServer, **more: object) -> FetchPolicy:
    fields: dict[str, object] = {"allow_networks": (f"{OUTSIDE}/32",), "ports": {server.port}}
    return FetchPolicy(**{**fields, **more})  # type: ignore[arg-type]


class Guarded:
    """A guard over a real sender, and its resolver."""

    def __init__(
        self, sender: Sender, server: ScriptedServer, names: dict[str, list[Answer]], **more: object
    ) -> None:
        self.resolver = StandInResolver(dict(names), default=OUT)
        self.guard = GuardedSender(sender, self.resolver, policy_for(server, **more))

    async def get(self, url: str, **more: object) -> tuple[int, bytes]:
        request = OutboundRequest("GET", url, **more)  # type: ignore[arg-type]
        async with self.guard.fetch(request) as answer:
            return answer.status, await answer.read()

    async def refused(self, url: str, **more: object) -> TargetRefusedError:
        with pytest.raises(TargetRefusedError) as caught:
            await self.get(url, **more)
        return caught.value


def redirecting(*hops: tuple[int, str], then: bytes = b"done") -> object:
    """A script: one redirect after another, then an answer."""
    left = list(hops)

    async def script(exchange: Exchange) -> None:
        if left:
            status, location = left.pop(0)
            await exchange.answer(status, {"location": location})
        else:
            await exchange.answer(200, body=then)

    return script


# Names


async def test_an_allowed_name_is_reached_under_its_own_name(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    guarded = Guarded(sender, outside, {})
    assert await guarded.get(outside.url("/x", host="good.example")) == (200, b"")
    got = outside.exchanges[0].headers
    assert got.get_all("host") == (f"good.example:{outside.port}",)
    assert network.addresses == [OUTSIDE]


@pytest.mark.parametrize(
    "answers",
    [
        IN,
        [OUTSIDE, INSIDE],
        [INSIDE, OUTSIDE],
        ["::1"],
        [OUTSIDE, "::1"],
        ["::ffff:127.0.0.2"],
        ["64:ff9b::7f00:2"],
        ["2002:7f00:2::1"],
        ["fe80::1%lo"],
        ["0.0.0.0"],
        ["::"],
        ["127.0.0.3"],
        ["169.254.169.254"],
        ["93.184.216.34", "10.0.0.1"],
    ],
    ids=" ".join,
)
async def test_a_name_with_any_forbidden_address_is_refused_whole(
    sender: Sender, outside: ScriptedServer, network: Connections, answers: list[str]
) -> None:
    guarded = Guarded(sender, outside, {"evil.example": [answers]})
    error = await guarded.refused(outside.url("/", host="evil.example"))
    assert (error.reason, network.addresses) == ("address", [])


async def test_a_name_is_looked_up_once_and_its_second_answer_changes_nothing(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    guarded = Guarded(sender, outside, {"rebinding.example": [OUT, IN]})
    assert (await guarded.get(outside.url("/", host="rebinding.example")))[0] == 200
    assert guarded.resolver.asked == [("rebinding.example", outside.port)]
    assert network.addresses == [OUTSIDE]


async def test_a_name_that_turned_inward_since_the_last_fetch_is_refused(
    sender: Sender, outside: ScriptedServer
) -> None:
    guarded = Guarded(sender, outside, {"rebinding.example": [OUT, IN]})
    url = outside.url("/", host="rebinding.example")
    await guarded.get(url)
    await guarded.refused(url)
    assert outside.connections == 1


async def test_a_name_that_turns_inward_for_its_own_redirect_is_refused(
    sender: Sender, outside: ScriptedServer
) -> None:
    outside.script = redirecting((302, "/again"))
    guarded = Guarded(sender, outside, {"rebinding.example": [OUT, IN]})
    await guarded.refused(outside.url("/", host="rebinding.example"))
    assert (len(guarded.resolver.asked), outside.connections) == (2, 1)


async def test_a_name_that_turns_inward_while_its_first_address_is_dead_is_not_asked_again(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    guarded = Guarded(
        sender,
        outside,
        {"flapping.example": [["127.0.0.3"], IN]},
        allow_networks=(f"{OUTSIDE}/32", "127.0.0.3/32"),
    )
    with pytest.raises(UpstreamError) as caught:
        await guarded.get(outside.url("/", host="flapping.example"))
    assert (caught.value.retryable, len(guarded.resolver.asked)) == (True, 1)
    assert network.addresses == ["127.0.0.3"]


async def test_the_next_allowed_address_is_tried_where_one_is_dead(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    answers = ["127.0.0.3", OUTSIDE, "127.0.0.4"]
    guarded = Guarded(
        sender,
        outside,
        {"half-dead.example": [answers]},
        allow_networks=(f"{OUTSIDE}/32", "127.0.0.3/32", "127.0.0.4/32"),
    )
    assert (await guarded.get(outside.url("/", host="half-dead.example")))[0] == 200
    assert network.addresses == ["127.0.0.3", OUTSIDE]


async def test_a_name_with_many_dead_addresses_costs_four_connections(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    answers = [f"127.0.1.{number}" for number in range(1, 100)]
    guarded = Guarded(
        sender, outside, {"wide.example": [answers]}, allow_networks=("127.0.1.0/24",)
    )
    with pytest.raises(UpstreamError):
        await guarded.get(outside.url("/", host="wide.example"))
    assert network.addresses == answers[:4]


async def test_a_request_that_was_sent_is_not_sent_to_the_next_address(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.reset()

    outside.script = script
    guarded = Guarded(
        sender,
        outside,
        {"two.example": [[OUTSIDE, "127.0.0.3"]]},
        allow_networks=(f"{OUTSIDE}/32", "127.0.0.3/32"),
    )
    with pytest.raises(UpstreamError):
        await guarded.get(outside.url("/", host="two.example"))
    assert set(network.addresses) == {OUTSIDE}  # aiohttp sends a GET twice by itself


async def test_nobody_can_tell_a_forbidden_name_from_an_unknown_one(
    sender: Sender, outside: ScriptedServer
) -> None:
    failing = UpstreamError("The name server is down.", detail="secret")
    names: dict[str, list[Answer]] = {
        "inside.example": [IN],
        "mixed.example": [[OUTSIDE, INSIDE]],
        "unknown.example": [()],
        "broken.example": [failing],
        "silent.example": [None],
        "raw.example": [OSError(5, "broken")],
    }
    guarded = Guarded(sender, outside, names)
    timeouts = Timeouts(connect=0.1)
    errors = [
        await guarded.refused(outside.url("/", host=name), timeouts=timeouts)
        for name in (*names, "localhost", "db.internal", INSIDE)
    ]
    assert len({(e.public_message, e.code, e.status_hint, e.field) for e in errors}) == 1
    assert [error.reason for error in errors] == [
        "address",
        "address",
        "unresolved",
        "unresolved",
        "unresolved",
        "unresolved",
        "name",
        "name",
        "address",
    ]
    assert all(name not in error.public_message for error in errors for name in names)


async def test_the_log_learns_why_and_no_path(sender: Sender, outside: ScriptedServer) -> None:
    guarded = Guarded(sender, outside, {"inside.example": [IN]})
    error = await guarded.refused(outside.url("/a?token=secret", host="inside.example"))
    assert error.detail == f"address: inside.example:{outside.port} at 127.0.0.2: loopback"
    assert "secret" not in repr(vars(error)) + str(error)


async def test_an_allowed_host_may_lead_into_the_own_network_and_no_further(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    names: dict[str, list[Answer]] = {"git.internal": [OUT, ["169.254.169.254"], ["::ffff:a9fe:1"]]}
    guarded = Guarded(
        sender,
        outside,
        names,
        allow_networks=(),
        ports={443},
        allow_hosts=(f"git.internal:{outside.port}",),
    )
    url = outside.url("/", host="git.internal")
    assert (await guarded.get(url))[0] == 200
    for _ in range(2):
        await guarded.refused(url)
    assert network.addresses == [OUTSIDE]


async def test_host_and_address_of_the_request_are_not_heeded(
    sender: Sender, outside: ScriptedServer
) -> None:
    guarded = Guarded(sender, outside, {})
    headers = Headers.of({"Host": "inside.example", "x-kept": "1"})
    url = outside.url("/", host="good.example")
    await guarded.get(url, headers=headers, connect_to=INSIDE)
    got = outside.exchanges[0].headers
    assert got.get_all("host") == (f"good.example:{outside.port}",)
    assert got.get("x-kept") == "1"


# Redirects

TO_INSIDE = [
    "http://127.0.0.2:{port}/",
    "//127.0.0.2:{port}/",
    "http://2130706434:{port}/",
    "http://0x7f.2:{port}/",
    "http://[::ffff:127.0.0.2]:{port}/",
    "http://[::1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://inside.example:{port}/",
    "http://127.0.0.2.:{port}/",
    "http://localhost:{port}/",
    "http://good.example@127.0.0.2:{port}/",
    "http://127.0.0.2:{port}@good.example/",
    "http://good.example:{port}\\@127.0.0.2/",
    "/\\127.0.0.2:{port}/",
    "\\\\127.0.0.2:{port}/",
    "///127.0.0.2:{port}/",
    "http:/127.0.0.2:{port}/",
    "http://good.example:22/",
    "https://good.example:444/",
    "file:///etc/passwd",
    "gopher://127.0.0.2:{port}/_x",
    "ftp://good.example/",
    "http://%31%32%37.0.0.2:{port}/",
    "http://",
]
# Over these a library stumbles that reads a Location, though it isn't to follow it.
UNREADABLE = [
    "http://0177.0.0.2:{port}/",
    "http://①②⑦.⓪.⓪.②:{port}/",
    "/\t/127.0.0.2:{port}/",
    "http:127.0.0.2:{port}/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "http://[::1",
]


@pytest.mark.parametrize("status", [301, 308])
@pytest.mark.parametrize("location", TO_INSIDE, ids=ascii)
async def test_a_redirect_is_checked_like_the_first_url(
    sender: Sender, outside: ScriptedServer, network: Connections, location: str, status: int
) -> None:
    outside.script = redirecting((status, _on_the_wire(location, outside)))
    guarded = Guarded(sender, outside, {"inside.example": [IN]})
    await guarded.refused(outside.url("/", host="good.example"))
    assert network.addresses == [OUTSIDE]


@pytest.mark.parametrize("location", UNREADABLE, ids=ascii)
async def test_a_redirect_that_half_of_the_libraries_cannot_read_is_refused(
    sender: Sender, outside: ScriptedServer, network: Connections, location: str
) -> None:
    outside.script = redirecting((302, _on_the_wire(location, outside)))
    guarded = Guarded(sender, outside, {})
    await guarded.refused(outside.url("/", host="good.example"))
    assert network.addresses == [OUTSIDE]


async def test_a_location_of_bytes_that_are_no_text_leads_nowhere(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    outside.script = redirecting((302, "/caf\xe9"))
    error = await Guarded(sender, outside, {}).refused(outside.url("/", host="good.example"))
    assert (error.reason, network.addresses) == ("malformed", [OUTSIDE])


def _on_the_wire(location: str, server: ScriptedServer) -> str:
    return location.format(port=server.port).encode().decode("latin-1")


async def test_a_detour_over_good_places_ends_before_the_bad_one(
    sender: Sender, outside: ScriptedServer, network: Connections
) -> None:
    port = outside.port
    outside.script = redirecting(
        (302, f"http://one.example:{port}/"),
        (303, "/two"),
        (307, f"//three.example:{port}/"),
        (301, f"http://inside.example:{port}/"),
    )
    guarded = Guarded(sender, outside, {"inside.example": [IN]})
    await guarded.refused(outside.url("/", host="good.example"))
    assert network.addresses == [OUTSIDE] * 4


async def test_five_redirects_are_followed_and_six_are_not(
    sender: Sender, outside: ScriptedServer
) -> None:
    guarded = Guarded(sender, outside, {})
    url = outside.url("/", host="good.example")
    outside.script = redirecting(*((302, f"/{number}") for number in range(5)))
    async with guarded.guard.fetch(OutboundRequest("GET", url)) as answer:
        assert await answer.read() == b"done"
        assert answer.url == outside.url("/4", host="good.example")
        assert len(answer.redirects) == 5
    outside.script = redirecting(*((302, f"/{number}") for number in range(6)))
    with pytest.raises(UpstreamError, match="more than 5 times"):
        await guarded.get(url)
    assert len(outside.exchanges) == 12


@pytest.mark.parametrize("location", ["", "#x", "/", "?", "http://good.example:{port}/"])
async def test_a_circle_ends_at_once(
    sender: Sender, outside: ScriptedServer, location: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(302, {"location": location.format(port=outside.port)})

    outside.script = script
    with pytest.raises(UpstreamError, match="circle"):
        await Guarded(sender, outside, {}).get(outside.url("/", host="good.example"))
    assert len(outside.exchanges) == 1


async def test_a_redirect_to_two_places_leads_to_neither(
    sender: Sender, outside: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        lines = b"location: /a\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n"
        await exchange.send(b"HTTP/1.1 302 Found\r\n" + lines)

    outside.script = script
    with pytest.raises(UpstreamError, match="more than one place"):
        await Guarded(sender, outside, {}).get(outside.url("/", host="good.example"))
    assert len(outside.exchanges) == 1


SECRETS = {
    "authorization": "Bearer one",
    "cookie": "a=1",
    "proxy-authorization": "Basic two",
    "x-api-key": "three",
    "private-token": "four",
    "x-marked": "five",
}


async def test_credentials_stay_with_their_origin_and_never_come_back(
    sender: Sender, outside: ScriptedServer
) -> None:
    port = outside.port
    outside.script = redirecting(
        (302, "/same"),
        (302, f"http://other.example:{port}/"),
        (302, f"http://good.example:{port}/back"),
    )
    guarded = Guarded(sender, outside, {})
    headers = Headers.of({**SECRETS, "accept": "text/plain", "x-plain": "kept"})
    request = OutboundRequest("GET", outside.url("/", host="good.example"), headers)
    async with guarded.guard.fetch(request, secret_headers=["X-Marked"]) as answer:
        assert answer.status == 200
    sent = [exchange.headers for exchange in outside.exchanges]
    assert [tuple(h.get(name) for name in SECRETS) for h in sent] == [
        tuple(SECRETS.values()),
        tuple(SECRETS.values()),
        (None,) * 6,
        (None,) * 6,
    ]
    assert [(h.get("accept"), h.get("x-plain")) for h in sent] == [("text/plain", "kept")] * 4


@pytest.mark.parametrize(
    ("method", "status", "then", "body"),
    [
        ("POST", 301, "GET", b""),
        ("POST", 302, "GET", b""),
        ("POST", 303, "GET", b""),
        ("PUT", 303, "GET", b""),
        ("HEAD", 303, "HEAD", b""),
        ("GET", 303, "GET", b""),
        ("PUT", 301, "PUT", b"body"),
        ("POST", 307, "POST", b"body"),
        ("POST", 308, "POST", b"body"),
        ("DELETE", 302, "DELETE", b""),
    ],
)
async def test_methods_change_as_in_a_browser(
    sender: Sender, outside: ScriptedServer, method: str, status: int, then: str, body: bytes
) -> None:
    bodies: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        bodies.append(await exchange.read_all())
        hop = {"location": "/b"} if len(bodies) == 1 else {}
        await exchange.start(status if hop else 200, {"content-length": "0", **hop})

    outside.script = script
    sent = b"body" if method in {"POST", "PUT"} else b""
    headers = Headers.of({"content-type": "text/plain"} if sent else {})
    guarded = Guarded(sender, outside, {})
    request = OutboundRequest(method, outside.url("/a", host="good.example"), headers, sent)
    async with guarded.guard.fetch(request) as answer:
        assert answer.status == 200
    second = outside.exchanges[1]
    assert (second.method, second.target, bodies) == (then, "/b", [sent, body])
    assert ("content-type" in second.headers) is bool(body)


async def test_a_streamed_body_is_not_sent_twice(sender: Sender, outside: ScriptedServer) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    outside.script = redirecting((307, "/b"))
    guarded = Guarded(sender, outside, {})
    request = OutboundRequest("POST", outside.url("/", host="good.example"), body=body())
    with pytest.raises(UpstreamError, match="which is gone"):
        async with guarded.guard.fetch(request):
            pass
    assert len(outside.exchanges) == 1


async def test_relative_and_international_locations_lead_where_a_browser_goes(
    sender: Sender, outside: ScriptedServer
) -> None:
    port = outside.port
    outside.script = redirecting(
        (302, "../c?d"),
        (302, "?e"),
        (302, f"//münchen.example:{port}/größe".encode().decode("latin-1")),
    )
    guarded = Guarded(sender, outside, {})
    await guarded.get(outside.url("/a/b/x", host="good.example"))
    assert [e.target for e in outside.exchanges] == [
        "/a/b/x",
        "/a/c?d",
        "/a/c?e",
        "/gr%C3%B6%C3%9Fe",
    ]
    assert outside.exchanges[3].headers.get("host") == f"xn--mnchen-3ya.example:{port}"


@pytest.mark.parametrize("status", [200, 201, 300, 304, 404])
async def test_what_is_no_redirect_is_an_answer_wherever_it_points(
    sender: Sender, outside: ScriptedServer, status: int
) -> None:
    outside.script = redirecting((status, f"http://127.0.0.2:{outside.port}/"))
    answer = await Guarded(sender, outside, {}).get(outside.url("/", host="good.example"))
    assert answer[0] == status


async def test_a_redirect_without_a_place_is_an_answer(
    sender: Sender, outside: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(302, body=b"where?")

    outside.script = script
    answer = await Guarded(sender, outside, {}).get(outside.url("/", host="good.example"))
    assert answer == (302, b"where?")


async def test_the_body_of_a_redirect_is_not_read(sender: Sender, outside: ScriptedServer) -> None:
    hung_up: list[bool] = []

    async def script(exchange: Exchange) -> None:
        if exchange.target == "/":
            fields = {"location": "/end", "content-encoding": "br", "content-length": "9" * 12}
            await exchange.start(302, fields)
            await exchange.gone()
            hung_up.append(True)
        else:
            await exchange.answer(body=b"end")

    outside.script = script
    guarded = Guarded(sender, outside, {}, total=5.0)
    assert await guarded.get(outside.url("/", host="good.example")) == (200, b"end")
    assert hung_up == [True]


async def test_send_hands_a_redirect_on_as_it_came(sender: Sender, outside: ScriptedServer) -> None:
    where = f"http://127.0.0.2:{outside.port}/"
    outside.script = redirecting((302, where))
    guarded = Guarded(sender, outside, {})
    request = OutboundRequest("GET", outside.url("/", host="good.example"))
    async with guarded.guard.send(request) as response:
        assert (response.status, response.headers.get("location")) == (302, where)


# TLS


async def test_tls_proves_the_name_at_the_pinned_address_and_is_never_left(
    network: Connections,
) -> None:
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.example").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with two_servers(server_tls) as (outside, inside):
        for make in (AiohttpSender, HttpxSender):
            sender = make(tls=client_tls)
            guarded = Guarded(sender, outside, {"good.example": [OUT]})
            assert (await guarded.get(outside.url("/", host="good.example")))[0] == 200
            with pytest.raises(UpstreamError):
                await guarded.get(outside.url("/", host="other.example"))
            outside.script = redirecting((302, f"http://good.example:{outside.port}/"))
            error = await guarded.refused(outside.url("/", host="good.example"))
            outside.script = Exchange.answer
            assert error.reason == "downgrade"
            await sender.aclose()
        assert inside.connections == 0


# Time


async def test_one_deadline_holds_for_redirects_and_body(
    sender: Sender, outside: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.target == "/":
            await exchange.answer(302, {"location": "/slow"})
        else:
            await exchange.start(200, {"content-length": "10"})
            await exchange.send(b"x")
            await exchange.gone()

    outside.script = script
    guarded = Guarded(sender, outside, {}, total=0.3)
    with pytest.raises(UpstreamTimeoutError):
        await guarded.get(outside.url("/", host="good.example"))
    assert len(outside.exchanges) == 2


async def test_a_head_that_drips_ends_at_the_deadline(
    sender: Sender, outside: ScriptedServer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nx-a: ")
        await exchange.gone()

    outside.script = script
    guarded = Guarded(sender, outside, {}, total=0.3)
    with pytest.raises(UpstreamTimeoutError):
        await guarded.get(outside.url("/", host="good.example"))
