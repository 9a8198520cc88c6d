"""As an attacker: pages that a model wrote, and whoever holds or guesses a preview link."""

import pytest

from openbolt.projects.store import Manifest, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.handlers.building import Answer, Caller, Chatter, preview_token

SECRET = "the secret of another project"


@pytest.fixture(autouse=True)
async def project(projects: ProjectStore) -> None:
    for name, text in (("p1", "<p>Home</p>"), ("p2", SECRET)):
        await projects.create(name, "ann", "A title")
        entry = await projects.put_blob("index.html", text.encode())
        await projects.commit(name, {"index.html": entry}, base=Manifest.empty())


@pytest.fixture
async def token(call: Caller) -> str:
    return await preview_token(call)


def is_the_page_or_nothing(answer: Answer) -> bool:
    return (answer.status, answer.text) == (200, "<p>Home</p>") or answer.status in {400, 403, 404}


PRIVATE = [
    "/api/chats",
    "/api/chats/",
    "//api/chats",
    "/api/projects",
    "/api/projects/p2",
    "/api/projects/p2/files/index.html",
    "/api/projects/p2/export",
    "/api/models",
    "/healthz",
    "/readyz",
    "/preview/{token}/",
    "/../../api/chats",
    "/%2e%2e/%2e%2e/projects/p2/head",
    "/../p2/index.html",
    "/..%2fp2%2findex.html",
    "/%5c..%5cp2",
    "/projects/p2/head",
    "/blobs/",
    "/%00",
    "/etc/passwd",
]


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("user", ["ann", None])
async def test_a_preview_host_gives_its_projects_files_and_nothing_else(
    call: Caller, token: str, path: str, user: str | None
) -> None:
    target = path.format(token=token)
    answer = await call("GET", target, host=f"{token}.localhost:8787", user=user)
    assert is_the_page_or_nothing(answer)
    assert SECRET not in answer.text
    answer = await call("GET", f"/preview/{token}{target}", user=user)
    assert is_the_page_or_nothing(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
async def test_a_preview_is_only_read(
    call: Caller, projects: ProjectStore, token: str, method: str
) -> None:
    for path in ("/", "/api/projects/p1", "/api/chat"):
        answer = await call(method, path, host=f"{token}.localhost:8787", json={"title": "x"})
        assert answer.error == (405, "method_not_allowed", None)
        assert answer.headers.get("allow") == "GET, HEAD"
    assert (await projects.load("p1", owner="ann")).title == "A title"
    answer = await call(method, f"/preview/{token}/", user=None, json={})
    assert answer.status == (204 if method == "OPTIONS" else 405)


async def test_head_is_answered_like_get(call: Caller, token: str) -> None:
    answer = await call("HEAD", "/", host=f"{token}.localhost:8787")
    assert (answer.status, answer.headers.get("content-type")) == (
        200,
        "text/html; charset=utf-8",
    )


@pytest.mark.parametrize("path", ["", "missing.js"])
async def test_by_path_a_page_has_an_origin_of_nobody(call: Caller, token: str, path: str) -> None:
    answer = await call("GET", f"/preview/{token}/{path}")
    (policy,) = answer.headers.get_all("content-security-policy")
    sandbox = policy.split(";")[0].split()
    assert sandbox[0] == "sandbox"
    assert "allow-same-origin" not in policy
    assert "allow-top-navigation" not in policy
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert answer.headers.get("referrer-policy") == "no-referrer"


async def test_no_answer_sets_a_cookie_or_lets_a_page_use_one(call: Caller, token: str) -> None:
    for path in ("/", "/missing.js", "/api/chats"):
        for answer in (
            await call("GET", path, host=f"{token}.localhost:8787"),
            await call("GET", f"/preview/{token}{path}"),
        ):
            assert "set-cookie" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers


async def test_our_own_answers_are_never_readable_from_another_origin(
    call: Caller, token: str
) -> None:
    origin = {"origin": f"http://{token}.localhost:8787", "sec-fetch-site": "cross-site"}
    for path in ("/api/chats", "/api/projects", "/api/models", "/healthz"):
        answer = await call("GET", path, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers.get("cross-origin-resource-policy") == "same-origin"


@pytest.mark.parametrize("origin", ["null", "http://{}.localhost:8787"])
async def test_a_preview_page_cannot_write_in_the_visitors_name(
    call: Caller, projects: ProjectStore, token: str, origin: str
) -> None:
    headers = {"origin": origin.format(token), "sec-fetch-site": "cross-site"}
    for method, path in (
        ("DELETE", "/api/projects/p2"),
        ("PATCH", "/api/projects/p2"),
        ("POST", "/api/projects/p2/preview"),
        ("POST", "/api/chat"),
    ):
        answer = await call(method, path, headers=headers, json={"title": "x"})
        assert answer.error == (403, "cross_origin", None)
    assert (await projects.load("p2", owner="ann")).title == "A title"


@pytest.mark.parametrize(
    "host",
    [
        "{token}.localhost:8787.",
        "{token}.localhost.:8787",
        "x{token}.localhost:8787",
        "{token}x.localhost:8787",
        "a.{token}.localhost:8787",
        "{token}.localhost.evil.example",
        "{token}.localhost:8787@evil.example",
        "evil.example/{token}.localhost",
        "{token}.localhost:123456",
        "{token}.localhost:",
        "{token}.localhost:80 80",
        "{token}.localhosts",
        "{token}.127.0.0.1",
        "-{token}.localhost",
        "{token}\n.localhost",
    ],
)
async def test_a_host_that_is_almost_a_preview_host_is_no_host_of_ours(
    call: Caller, token: str, host: str
) -> None:
    answer = await call("GET", "/", host=host.format(token=token))
    assert answer.error == (403, "host_not_allowed", None)


async def test_upper_case_makes_no_other_host(call: Caller, token: str) -> None:
    answer = await call("GET", "/api/chats", host=f"{token.upper()}.LocalHost:8787")
    assert (answer.status, answer.text) == (200, "<p>Home</p>")


UNKNOWN = "a" * 26


@pytest.mark.parametrize(
    "guess",
    [
        UNKNOWN,
        "p1",
        "",
        "..",
        "%2e%2e",
        "{token}/../../api",
        "{token}%00",
        "{upper}",
        "{token}%0d%0aset-cookie:%20a=b",
        "*",
    ],
)
async def test_a_guessed_token_opens_nothing(call: Caller, token: str, guess: str) -> None:
    name = guess.format(token=token, upper=token.upper())
    for tail in ("", "/", "/index.html"):
        answer = await call("GET", f"/preview/{name}{tail}", user=None)
        assert answer.status in {308, 401} or is_the_page_or_nothing(answer)
        assert answer.headers.get("location") in {None, f"/preview/{name}/"}
        assert name.startswith(token) or SECRET not in answer.text
    assert (await call("GET", f"/preview/{UNKNOWN}/")).status == 404
    assert (await call("GET", "/", host=f"{UNKNOWN}.localhost:8787")).status == 404


async def test_an_expired_link_opens_nothing(call: Caller, clock: ManualClock, token: str) -> None:
    clock.advance(12 * 3600)
    assert (await call("GET", "/", host=f"{token}.localhost:8787")).status == 404
    assert (await call("GET", f"/preview/{token}/")).status == 404


async def test_deleting_the_project_kills_its_link_for_good(
    call: Caller, chat: Chatter, kv: MemoryKeyValueStore, token: str
) -> None:
    # As a link would survive of which the project's own record knew nothing (two asked at once).
    other = "b" * 26
    record = await kv.get(f"preview:{token}")
    assert record is not None
    await kv.set(f"preview:{other}", record)
    assert (await call("GET", f"/preview/{other}/")).status == 200
    assert (await call("DELETE", "/api/projects/p1")).status == 204
    for link in (token, other):
        assert (await call("GET", f"/preview/{link}/")).status == 404
        assert (await call("GET", "/", host=f"{link}.localhost:8787")).status == 404


async def test_a_link_does_not_come_back_with_a_project_of_the_same_id(
    call: Caller, projects: ProjectStore, clock: ManualClock, kv: MemoryKeyValueStore, token: str
) -> None:
    record = await kv.get(f"preview:{token}")
    assert record is not None
    await call("DELETE", "/api/projects/p1")
    clock.advance(1)
    await projects.create("p1", "ann", "Another")
    entry = await projects.put_blob("index.html", SECRET.encode())
    await projects.commit("p1", {"index.html": entry}, base=Manifest.empty())
    await kv.set(f"preview:{token}", record)
    answer = await call("GET", f"/preview/{token}/")
    assert (answer.status, SECRET in answer.text) == (404, False)


async def test_nobody_makes_a_link_to_anothers_project(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/preview", user="bob")
    assert answer.error == (404, "not_found", None)
    answer = await call("POST", "/api/projects/p1/preview", user=None)
    assert answer.error == (401, "unauthenticated", None)
