"""Previews: a link that stays the same while it lives, and files as a static host serves them."""

import json

import pytest

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.errors import ConfigurationError
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.testing import ManualClock
from tests.handlers.building import Caller, preview_token

FILES = {
    "index.html": b"<p>Home</p>",
    "about.html": b"<p>About</p>",
    "docs/index.html": b"<p>Docs</p>",
    "style.css": b"p{}",
    "src/App.JS": b"1",
    "m.mjs": b"1",
    "data.json": b"{}",
    "i.svg": b"<svg/>",
    "i.png": b"\x89PNG",
    "f.woff2": b"w",
    "README.md": b"#",
    "a.ts": b"let a",
    "LICENSE": b"MIT",
    "é ü.txt": b"x",
}


@pytest.fixture(autouse=True)
async def project(projects: ProjectStore) -> None:
    await projects.create("p1", "ann", "A title")
    changes = {path: await projects.put_blob(path, data) for path, data in FILES.items()}
    await projects.commit("p1", changes, base=Manifest.empty())


async def test_a_link_has_both_forms_and_says_when_it_ends(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/preview")
    token = answer.json["sandboxUrl"].split("/")[2]
    assert (answer.status, answer.json) == (
        200,
        {
            "url": f"http://{token}.localhost:8787/",
            "sandboxUrl": f"/preview/{token}/",
            "expiresAt": "2023-11-15T10:13:20Z",
        },
    )


async def test_the_link_is_the_same_while_it_lives_and_another_after(
    call: Caller, clock: ManualClock
) -> None:
    first = await preview_token(call)
    clock.advance(12 * 3600 - 1)
    assert await preview_token(call) == first
    clock.advance(12 * 3600 - 1)
    assert (await call("GET", f"/preview/{first}/")).status == 200
    clock.advance(1)
    assert (await call("GET", f"/preview/{first}/")).status == 404
    assert await preview_token(call) != first


async def test_a_link_opens_however_its_record_is_spelled(
    call: Caller, dependencies: Dependencies
) -> None:
    token = await preview_token(call)
    raw = await dependencies.kv.get(f"preview:{token}")
    assert raw is not None
    spelled = json.dumps(json.loads(raw), indent=1, sort_keys=True).encode()
    assert spelled != raw
    await dependencies.kv.set(f"preview:{token}", spelled)
    assert (await call("GET", f"/preview/{token}/")).status == 200


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://{}.localhost/"),
        ("127.0.0.1:8787", "http://{}.localhost:8787/"),
        ("[::1]:1", "http://{}.localhost:1/"),
        ("[::1]", "http://{}.localhost/"),
    ],
)
async def test_on_loopback_a_link_has_a_host_of_its_own(call: Caller, host: str, url: str) -> None:
    answer = await call("POST", "/api/projects/p1/preview", host=host)
    assert answer.json["url"] == url.format(answer.json["sandboxUrl"].split("/")[2])


@pytest.mark.parametrize("settings", [Settings(allowed_hosts=("builder.example",))])
async def test_elsewhere_there_is_only_the_sandbox(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/preview", host="builder.example")
    assert answer.json["url"] is None


async def test_below_a_mount_point_there_is_only_the_sandbox(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/preview", root_path="/bolt")
    assert answer.json["url"] is None
    assert answer.json["sandboxUrl"].startswith("/bolt/preview/")


@pytest.mark.parametrize(
    "settings", [Settings(preview_origin="https://x-{token}.Preview.example:444")]
)
async def test_a_pattern_of_ones_own_names_the_preview_hosts(call: Caller) -> None:
    answer = await call("POST", "/api/projects/p1/preview")
    token = answer.json["sandboxUrl"].split("/")[2]
    assert answer.json["url"] == f"https://x-{token}.Preview.example:444/"
    shown = await call("GET", "/", host=f"x-{token}.preview.example:444")
    assert (shown.status, shown.body) == (200, b"<p>Home</p>")
    assert (await call("GET", "/", host=f"{token}.localhost:8787")).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://preview.example",
        "https://preview.example/{token}",
        "{token}.preview.example",
        "ftp://{token}.example",
        "https://{token}.example/sub",
    ],
)
def test_a_pattern_that_no_host_can_match_is_refused_at_the_start(
    dependencies: Dependencies, origin: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenBolt(dependencies, Settings(preview_origin=origin))
    assert caught.value.setting == "preview_origin"


SERVED = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/index.html": ("index.html", "text/html; charset=utf-8"),
    "/about": ("about.html", "text/html; charset=utf-8"),
    "/docs": ("docs/index.html", "text/html; charset=utf-8"),
    "/docs/": ("docs/index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/src/App.JS": ("src/App.JS", "text/javascript; charset=utf-8"),
    "/m.mjs": ("m.mjs", "text/javascript; charset=utf-8"),
    "/data.json": ("data.json", "application/json"),
    "/i.svg": ("i.svg", "image/svg+xml"),
    "/i.png": ("i.png", "image/png"),
    "/f.woff2": ("f.woff2", "font/woff2"),
    "/README.md": ("README.md", "text/plain; charset=utf-8"),
    "/a.ts": ("a.ts", "application/octet-stream"),
    "/LICENSE": ("LICENSE", "application/octet-stream"),
    "/%C3%A9%20%C3%BC.txt": ("é ü.txt", "text/plain; charset=utf-8"),
    "/a/route/of/the/page": ("index.html", "text/html; charset=utf-8"),
    "/style.css?v=1": ("style.css", "text/css; charset=utf-8"),
}


@pytest.mark.parametrize("path", SERVED)
@pytest.mark.parametrize("form", ["host", "path"])
async def test_files_are_served_as_a_static_host_does(call: Caller, path: str, form: str) -> None:
    token = await preview_token(call)
    name, kind = SERVED[path]
    if form == "host":
        answer = await call("GET", path, host=f"{token}.localhost:8787", user=None)
    else:
        answer = await call("GET", f"/preview/{token}{path}", user=None)
    assert (answer.status, answer.body) == (200, FILES[name])
    assert answer.headers.get_all("content-type") == (kind,)
    assert answer.headers.get_all("cache-control") == ("no-store",)


@pytest.mark.parametrize("path", ["/missing.css", "/docs/missing.js", "/STYLE.CSS", "/style.css/"])
async def test_a_file_that_is_not_there_is_a_404_like_any_other(call: Caller, path: str) -> None:
    token = await preview_token(call)
    answer = await call("GET", path, host=f"{token}.localhost:8787")
    assert answer.error == (404, "not_found", None)
    assert "frame-ancestors" in (answer.headers.get("content-security-policy") or "")


async def test_a_link_without_its_slash_leads_to_the_one_with_it(call: Caller) -> None:
    token = await preview_token(call)
    answer = await call("GET", f"/preview/{token}", root_path="/bolt")
    assert (answer.status, answer.headers.get("location")) == (308, f"/bolt/preview/{token}/")


async def test_a_preview_shows_the_project_as_it_is_now(
    call: Caller, projects: ProjectStore
) -> None:
    token = await preview_token(call)
    project = await projects.load("p1", owner="ann")
    entry = await projects.put_blob("index.html", b"<p>New</p>")
    await projects.commit("p1", {"index.html": entry}, base=await projects.manifest(project))
    assert (await call("GET", f"/preview/{token}/")).body == b"<p>New</p>"


async def test_a_project_without_a_page_says_so(call: Caller, projects: ProjectStore) -> None:
    await projects.create("p2", "ann", "Empty")
    url = (await call("POST", "/api/projects/p2/preview")).json["sandboxUrl"]
    answer = await call("GET", url)
    assert answer.error == (404, "not_found", None)
    assert answer.json["error"]["message"] == "There is no file index.html here."


@pytest.mark.parametrize(
    "settings",
    [Settings(public_url="https://builder.example/x", trusted_origins=("https://ide.example",))],
)
async def test_whoever_may_frame_a_preview_is_named(call: Caller) -> None:
    token = await preview_token(call)
    answer = await call("GET", "/", host=f"{token}.localhost:8787")
    assert answer.headers.get_all("content-security-policy") == (
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* https://builder.example "
        "https://ide.example",
    )
    assert "x-frame-options" not in answer.headers
