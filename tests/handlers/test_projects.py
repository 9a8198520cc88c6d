"""Projects over HTTP: shapes, versions, files as data, pages of a listing, and what is refused."""

import hashlib
import io
import zipfile

import pytest

from openbolt import Settings
from openbolt.projects.store import FileEntry, Manifest, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from tests.faults import flip_a_bit, keys_of, objects_of
from tests.handlers.building import Caller

START = "2023-11-14T22:13:20.000Z"


async def make(
    projects: ProjectStore,
    name: str = "p1",
    *versions: dict[str, bytes | None],
    owner: str = "ann",
    title: str = "A title",
) -> None:
    """A project with these versions; None removes a file."""
    await projects.create(name, owner, title)
    base = Manifest.empty()
    for version in versions:
        changes: dict[str, FileEntry | None] = {
            path: None if data is None else await projects.put_blob(path, data)
            for path, data in version.items()
        }
        note = f"n{base.number + 1}"
        base = (await projects.commit(name, changes, base=base, note=note)).manifest


def row(name: str = "p1", title: str = "A title", version: int = 0) -> dict[str, object]:
    return {
        "id": name,
        "title": title,
        "createdAt": START,
        "updatedAt": START,
        "version": version,
    }


async def test_nobody_has_projects_at_first(call: Caller) -> None:
    answer = await call("GET", "/api/projects")
    assert (answer.status, answer.json) == (200, {"projects": [], "next": None})
    assert answer.headers.get("content-type") == "application/json"
    assert answer.headers.get("cache-control") == "no-store"


async def test_projects_are_listed_with_the_latest_change_first(
    call: Caller, projects: ProjectStore, clock: ManualClock
) -> None:
    await make(projects, "p1")
    clock.advance(1.5)
    await make(projects, "p2", {"a": b"1"}, title="Second")
    answer = await call("GET", "/api/projects")
    second = row("p2", "Second", 1)
    second["createdAt"] = second["updatedAt"] = "2023-11-14T22:13:21.500Z"
    assert answer.json == {"projects": [second, row()], "next": None}


@pytest.mark.parametrize("settings", [Settings(page_size=2)])
async def test_pages_of_a_listing_lead_to_every_project_once(
    call: Caller, projects: ProjectStore, clock: ManualClock
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await make(projects, name)
        if name in "bd":
            clock.advance(0.1)
    seen: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        answer = await call("GET", f"/api/projects?cursor={cursor}" if cursor else "/api/projects")
        seen.append([p["id"] for p in answer.json["projects"]])
        cursor = answer.json["next"]
    assert seen == [["e", "c"], ["d", "a"], ["b"]]


@pytest.mark.parametrize("settings", [Settings(page_size=1)])
async def test_a_full_last_page_has_no_next(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1")
    assert (await call("GET", "/api/projects")).json == {"projects": [row()], "next": None}


@pytest.mark.parametrize("cursor", ["", "x", "1", "nan,p", "inf,p", ",p"])
async def test_a_cursor_that_no_listing_gave_is_named(call: Caller, cursor: str) -> None:
    for path in ("/api/projects", "/api/chats"):
        answer = await call("GET", f"{path}?cursor={cursor}")
        assert answer.error == (400, "invalid_request", "cursor")


async def test_a_project_is_read_with_its_files(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1", {"b.js": b"22", "a/é.txt": b"1"})
    answer = await call("GET", "/api/projects/p1")
    assert answer.json == {
        **row(version=1),
        "files": [
            {"path": "a/é.txt", "size": 1, "hash": hashlib.sha256(b"1").hexdigest()},
            {"path": "b.js", "size": 2, "hash": hashlib.sha256(b"22").hexdigest()},
        ],
    }


async def test_an_earlier_version_is_read_by_its_number(
    call: Caller, projects: ProjectStore
) -> None:
    await make(projects, "p1", {"a": b"1"}, {"a": b"2", "b": b"2"}, {"a": None})
    listed = {}
    for number in (0, 1, 2, 3):
        answer = await call("GET", f"/api/projects/p1?version={number}")
        assert answer.json["version"] == number
        listed[number] = [f["path"] for f in answer.json["files"]]
    assert listed == {0: [], 1: ["a"], 2: ["a", "b"], 3: ["b"]}
    answer = await call("GET", "/api/projects/p1/files/a?version=1")
    assert (answer.status, answer.body) == (200, b"1")


@pytest.mark.parametrize("version", ["", "x", "-1", "1.0", "%C2%B2", "1234567890", "1e3", "+1"])
@pytest.mark.parametrize("route", ["", "/files/a", "/export"])
async def test_a_version_that_is_no_number_is_named(
    call: Caller, projects: ProjectStore, version: str, route: str
) -> None:
    await make(projects, "p1", {"a": b"1"})
    answer = await call("GET", f"/api/projects/p1{route}?version={version}")
    assert answer.error == (400, "invalid_request", "version")


@pytest.mark.parametrize("route", ["", "/files/a", "/export"])
async def test_a_version_that_there_is_not_is_not_found(
    call: Caller, projects: ProjectStore, route: str
) -> None:
    await make(projects, "p1", {"a": b"1"})
    answer = await call("GET", f"/api/projects/p1{route}?version=2")
    assert answer.error == (404, "not_found", None)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<script>alert(1)</script>", "text/plain; charset=utf-8"),
        ("é\u2028".encode(), "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        (b"\x89PNG\xff", "application/octet-stream"),
        (b"a\0b", "application/octet-stream"),
    ],
)
async def test_a_file_is_sent_as_data_never_as_a_page(
    call: Caller, projects: ProjectStore, data: bytes, kind: str
) -> None:
    await make(projects, "p1", {"src/page.html": data})
    answer = await call("GET", "/api/projects/p1/files/src/page.html")
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers.get("content-type") == kind
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert "default-src 'none'" in (answer.headers.get("content-security-policy") or "")
    assert answer.headers.get("cache-control") == "private, no-cache"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"x", {tag}', 304),
        ("*", 304),
        ('"x"', 200),
        ("", 200),
        ("{hash}", 200),
    ],
)
async def test_a_file_that_the_client_has_is_not_sent_again(
    call: Caller, projects: ProjectStore, asked: str, status: int
) -> None:
    await make(projects, "p1", {"a": b"1"})
    digest = hashlib.sha256(b"1").hexdigest()
    headers = {"if-none-match": asked.format(tag=f'"{digest}"', hash=digest)}
    answer = await call("GET", "/api/projects/p1/files/a", headers=headers)
    assert answer.status == status
    assert answer.headers.get("etag") == f'"{digest}"'
    assert answer.body == (b"" if status == 304 else b"1")


async def test_head_answers_like_get(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1", {"a": b"1"})
    for path in ("/api/projects", "/api/projects/p1", "/api/projects/p1/files/a"):
        got, asked = await call("GET", path), await call("HEAD", path)
        unlike = {"x-request-id"}
        assert asked.status == 200
        assert [h for h in asked.headers.items if h[0] not in unlike] == [
            h for h in got.headers.items if h[0] not in unlike
        ]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("b", (404, "not_found", None)),
        ("a/", (400, "invalid_request", "filePath")),
        ("../p2/files/a", (400, "invalid_request", "filePath")),
        ("%2e%2e/%2e%2e/etc/passwd", (400, "invalid_request", "filePath")),
        ("a%00", (400, "invalid_request", "filePath")),
        ("..%5ca", (400, "invalid_request", "filePath")),
        ("A", (404, "not_found", None)),
    ],
)
async def test_a_path_that_is_no_file_of_the_version_is_refused(
    call: Caller, projects: ProjectStore, path: str, error: tuple[int, str, str | None]
) -> None:
    await make(projects, "p1", {"a": b"1"})
    assert (await call("GET", f"/api/projects/p1/files/{path}")).error == error


async def test_a_damaged_file_is_an_error_without_its_content(
    call: Caller, projects: ProjectStore, objects: MemoryObjectStore
) -> None:
    await make(projects, "p1", {"a": b"secret"})
    await flip_a_bit(objects, f"blobs/{hashlib.sha256(b'secret').hexdigest()}")
    answer = await call("GET", "/api/projects/p1/files/a")
    assert answer.error == (503, "backend_unavailable", None)


async def test_versions_are_listed_with_the_current_one_first(
    call: Caller, projects: ProjectStore
) -> None:
    await make(projects, "p1", {"a": b"1"}, {"b": b"2"})
    answer = await call("GET", "/api/projects/p1/versions")
    assert answer.json == {
        "versions": [
            {"number": 2, "createdAt": START, "note": "n2", "files": 2},
            {"number": 1, "createdAt": START, "note": "n1", "files": 1},
        ],
        "next": None,
    }


@pytest.mark.parametrize("settings", [Settings(page_size=2)])
async def test_pages_of_versions_lead_to_each_once(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1", *({"a": b"%d" % n} for n in range(5)))
    seen, query = [], ""
    while query is not None:
        answer = await call("GET", f"/api/projects/p1/versions{query}")
        seen.append([v["number"] for v in answer.json["versions"]])
        query = f"?cursor={answer.json['next']}" if answer.json["next"] else None
    assert seen == [[5, 4], [3, 2], [1]]
    answer = await call("GET", "/api/projects/p1/versions?cursor=x")
    assert answer.error == (400, "invalid_request", "cursor")


async def test_a_project_is_renamed(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1")
    answer = await call("PATCH", "/api/projects/p1", json={"title": "  New \n name "})
    assert (answer.status, answer.json) == (200, row(title="New name"))
    assert (await projects.load("p1", owner="ann")).title == "New name"


@pytest.mark.parametrize("thing", ["projects/p1", "chats/p1"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": 1}, "title"),
        ({}, "title"),
        ([], "body"),
    ],
)
async def test_a_title_that_is_none_is_named(
    call: Caller, projects: ProjectStore, thing: str, body: object, field: str
) -> None:
    await make(projects, "p1")
    answer = await call("PATCH", f"/api/{thing}", json=body)
    assert answer.error == (400, "invalid_request", field)


async def test_an_export_is_a_zip_of_the_version(call: Caller, projects: ProjectStore) -> None:
    await make(projects, "p1", {"a": b"1"}, {"a": b"2"}, title='My "app" é/..')
    answer = await call("GET", "/api/projects/p1/export?version=1")
    assert answer.headers.get("content-type") == "application/zip"
    assert answer.headers.get("content-disposition") == 'attachment; filename="my-app.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"1"}


@pytest.mark.parametrize("title", ["é", "../..", "...", "\ud800"])
async def test_an_export_of_any_title_has_a_safe_name(
    call: Caller, projects: ProjectStore, title: str
) -> None:
    await make(projects, "p1", {"a": b"1"}, title=title)
    answer = await call("GET", "/api/projects/p1/export")
    assert answer.headers.get("content-disposition") == 'attachment; filename="project.zip"'


async def test_a_deleted_project_is_gone_with_all_that_hung_on_it(
    call: Caller, projects: ProjectStore, kv: MemoryKeyValueStore, objects: MemoryObjectStore
) -> None:
    await make(projects, "p1", {"a": b"1"})
    await make(projects, "p2")
    made = (await call("POST", "/api/projects/p1/preview")).json
    token = made["sandboxUrl"].split("/")[2]
    answer = await call("DELETE", "/api/projects/p1")
    assert (answer.status, answer.body) == (204, b"")
    assert await keys_of(kv, "project:p1/", "user:ann/") == ["user:ann/project/p2"]
    assert await kv.get(f"preview:{token}") is None
    assert await objects_of(objects, "projects/p1/") == []
    assert (await call("GET", "/api/projects/p1")).error == (404, "not_found", None)
    assert (await call("DELETE", "/api/projects/p1")).error == (404, "not_found", None)


@pytest.mark.parametrize("name", ["x" * 3000, "%00", "%ED%A0%80", "..", "%20"])
@pytest.mark.parametrize("route", ["chats/{}", "projects/{}", "projects/{}/versions"])
async def test_an_id_that_can_be_nobodys_is_not_found(call: Caller, name: str, route: str) -> None:
    answer = await call("GET", f"/api/{route.format(name)}")
    assert answer.error == (404, "not_found", None)
