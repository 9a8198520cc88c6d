"""Every URL of the table gets its verdict, and what passes is read alike by every HTTP library."""

from __future__ import annotations

from ipaddress import ip_address

import httpx
import pytest
from yarl import URL

from openbolt.protocols import OutboundRequest
from openbolt.proxy.guard import GuardedSender, TargetRefusedError
from openbolt.proxy.targets import Target
from tests.security.ssrf_cases import ANSWERS, PASSED, PUBLIC, REFUSED
from tests.security.ssrf_network import RecordingSender, StandInResolver

ALL_REFUSED = [(kind, url) for kind, urls in REFUSED.items() for url in urls]
UNCLEAR_OR_PLAIN = {"malformed", "credentials"}
REASONS = {
    "loopback": {"address", "name"},
    "inside": {"address", "name", "unresolved"},
    "metadata": {"address", "name"},
    "unclear": UNCLEAR_OR_PLAIN,
    "unicode": {"address", "name", "malformed"},
    "schemes": {"scheme", "malformed"},
    "ports": {"port"},
    "spaces": {"malformed"},
}


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
def guard(sender: RecordingSender) -> GuardedSender:
    names = {name: [answer] for name, answer in ANSWERS.items()}
    return GuardedSender(sender, StandInResolver(names, default=PUBLIC))


def test_the_table_is_long_enough() -> None:
    assert len({url for _, url in ALL_REFUSED}) == len(ALL_REFUSED) >= 150
    assert len(PASSED) >= 30


@pytest.mark.parametrize(
    ("kind", "url"), ALL_REFUSED, ids=[ascii(url)[:80] for _, url in ALL_REFUSED]
)
async def test_a_refused_url_is_refused_before_anything_is_sent(
    guard: GuardedSender, sender: RecordingSender, kind: str, url: str
) -> None:
    with pytest.raises(TargetRefusedError) as caught:
        async with guard.send(OutboundRequest("GET", url)):
            pass
    assert caught.value.reason in REASONS[kind]
    assert (caught.value.code, caught.value.status_hint, caught.value.field) == (
        "target_refused",
        403,
        "url",
    )
    assert sender.sent == []


@pytest.mark.parametrize(
    ("url", "canonical"), PASSED.items(), ids=[ascii(url)[:80] for url in PASSED]
)
async def test_a_public_url_passes_in_its_one_spelling(
    guard: GuardedSender, sender: RecordingSender, url: str, canonical: str
) -> None:
    async with guard.send(OutboundRequest("GET", url)) as response:
        assert response.status == 204
    (sent,) = sender.sent
    target = Target.parse(url)
    assert (sent.url, target.url) == (canonical, canonical)
    expected = [str(target.address)] if target.address else ANSWERS.get(target.host, PUBLIC)
    assert sent.connect_to == expected[0]


@pytest.mark.parametrize("url", PASSED, ids=[ascii(url)[:80] for url in PASSED])
def test_the_libraries_that_send_read_the_same_host(url: str) -> None:
    target = Target.parse(url)
    assert Target.parse(target.url) == target
    ours = (target.scheme, target.host, target.port, target.path)
    yarl = URL(target.url, encoded=True)
    assert (yarl.scheme, yarl.raw_host, yarl.port, yarl.raw_path_qs) == ours
    theirs = httpx.URL(target.url)
    port = theirs.port or {"http": 80, "https": 443}[theirs.scheme]
    raw = (theirs.raw_host.decode(), port, theirs.raw_path.decode())
    assert (theirs.scheme, *raw) == ours


@pytest.mark.parametrize("url", PASSED, ids=[ascii(url)[:80] for url in PASSED])
def test_what_passes_was_not_to_be_read_otherwise_as_it_was_written(url: str) -> None:
    """A library that takes the user's own spelling finds the same host in it, or none."""
    target = Target.parse(url)
    for found in (_yarl_host(url), _httpx_host(url)):
        assert found is None or _plain(found) == target.host


def _yarl_host(url: str) -> str | None:
    try:
        return URL(url).raw_host
    except ValueError:
        return None


def _httpx_host(url: str) -> str | None:
    try:
        return httpx.URL(url).raw_host.decode()
    except httpx.InvalidURL:
        return None


def _plain(host: str) -> str:
    """A library's host without the freedoms that the resolver takes with it anyway."""
    try:
        return ip_address(host.removesuffix(".")).compressed
    except ValueError:
        return Target.parse(f"http://{host}/").host
