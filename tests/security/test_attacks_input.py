"""Attacks by what is sent: fields and cookies without measure, JSON that explodes, and asking for
more in the answers than they should say."""

from __future__ import annotations

import inspect
import json
import re
import time
from itertools import product

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbolt import OpenBolt
from openbolt.access import SharedPassword
from openbolt.auth import _id_tokens
from openbolt.auth.sign_in_state import SignInAttempts
from openbolt.privacy import Receipt
from tests.security.attacks_browser import PUBLIC, Browser
from tests.security.attacks_site import SESSION, SETTINGS, SIGN_IN, Site, who

FIELDS = [
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "if-match",
    "if-none-match",
    "last-event-id",
    "origin",
    "range",
    "sec-fetch-site",
    "user-agent",
    "x-forwarded-for",
    "x-request-id",
]
ODD = [
    "",
    " ",
    "\t\t",
    "\x00",
    "\x7f\x01",
    "é\udcff",
    "\U0001f511",
    "%00%0d%0aset-cookie:%20x=y",
    "x\r\nset-cookie: x=y",
    ";" * 500,
    "," * 500,
    "=" * 500,
    '"' * 501,
    "[" * 500,
    "9" * 5000,
    "-1",
    "Bearer ",
    "Basic =",
    "Bearer obk_" + "a" * 5000,
    "http://[",
    "for=" * 200,
]
ROUTES = [("GET", "/api/auth/session"), ("GET", "/api/chats"), ("POST", "/api/projects/p1/shares")]


def no_bug(status: int, text: bytes) -> bool:
    return status < 500 and b"Traceback" not in text


async def test_every_field_is_sent_with_odd_values(site: Site) -> None:
    ann = await site.signed_in("ann")
    free = evolve(ann, handler=_unlimited(site))
    for (method, path), name, value in product(ROUTES, FIELDS, ODD):
        kept = {} if name == "cookie" else {"cookie": f"{SESSION}={ann.cookie(SESSION)}"}
        answer = await free.another().fetch(path, by=None, method=method, **{**kept, name: value})
        assert no_bug(answer.status, answer.body), (path, name, value)
        assert "x=y" not in str(answer.headers), "nothing that was sent becomes a field"


def _unlimited(site: Site) -> OpenBolt:
    off = tuple(f"{name}=off" for name in ("public", "reads", "writes", "guesses"))
    return site.with_settings(evolve(SETTINGS, rate_limits=off)).app


@given(
    name=st.sampled_from(FIELDS),
    value=st.text(max_size=300),
    cookie=st.one_of(
        st.text(max_size=100),
        st.lists(st.sampled_from([SESSION, SIGN_IN, "=", ";", " ", '"', "a" * 52])).map("".join),
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_no_field_and_no_cookie_is_a_bug_or_somebody(
    site: Site, name: str, value: str, cookie: str
) -> None:
    browser = evolve(site.browser(), handler=_unlimited(site))
    answer = await browser.fetch("/api/chats", by=None, **{"cookie": cookie, name: value})
    assert no_bug(answer.status, answer.body)
    assert answer.status in {400, 401, 403, 415}


async def test_a_thousand_cookies_and_a_megabyte_of_fields_come(site: Site) -> None:
    """More than servers let through: what reads fields reads each character a few times at most."""
    ann = await site.signed_in("ann")
    own = f"{SESSION}={ann.cookie(SESSION)}"
    started = time.process_time()
    many = "; ".join(f"c{number}={'x' * 1000}" for number in range(1000))
    assert (await ann.fetch("/api/chats", cookie=f"{many}; {own}")).status == 200
    assert (await ann.fetch("/api/chats", cookie=";" * 1_000_000 + own)).status == 200
    for name in ("authorization", "user-agent", "forwarded", "accept", "if-none-match"):
        for value in ("a" * 1_000_000, "bearer " * 150_000, 'for="' * 200_000, "\t" * 1_000_000):
            answer = await ann.fetch("/api/chats", **{name: value})
            assert answer.status in {200, 401}, name
    assert time.process_time() - started < 5.0


# JSON

DEEP = 100_000
BOMBS = [
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"messages":' + b'[{"content":' * DEEP,
    b'{"name": ' + b"9" * DEEP + b"}",
    b'{"expiresIn": 1' + b"0" * 5000 + b"}",
    b'{"expiresIn": 1e999999}',
    b'{"expiresIn": -1e999999}',
    b'{"expiresIn": NaN}',
    b'{"expiresIn": Infinity}',
    b'{"name": "\\ud800"}',
    b'{"name": "\xff"}',
    b'{"name": "a", "name": "b", "scopes": ["chat"], "scopes": 1}',
    b'{"value": "x", "value": {}}',
    b'{"__proto__": {"admin": true}, "constructor": {}}',
    b'{"' + b"k" * DEEP + b'": 1}',
    b"{" + b",".join(b'"%d": 1' % n for n in range(5000)) + b"}",
    b'"' + b"\\u0000" * 1000 + b'"',
    b"\xef\xbb\xbf{}",
    b"null",
    b"",
]
TAKE_JSON = [
    ("POST", "/api/auth/keys"),
    ("POST", "/api/chat"),
    ("POST", "/api/enhancer"),
    ("POST", "/api/projects/p1/shares"),
    ("PATCH", "/api/projects/p1"),
    ("PATCH", "/api/chats/c1"),
    ("PATCH", "/api/preferences"),
    ("PUT", "/api/secrets/x"),
    ("DELETE", "/api/account"),
]


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: ascii(bomb[:20]) + f" x{len(bomb)}")
async def test_a_body_explodes(site: Site, bomb: bytes) -> None:
    await site.give_ann()
    ann = await site.signed_in("ann")
    for method, path in TAKE_JSON:
        answer = await ann.fetch(path, method=method, content=bomb, kind="application/json")
        takes_anything = path == "/api/preferences" or path.endswith("shares")
        assert answer.status in {400, 413, *([200, 201] if takes_anything else ())}, path
        assert len(answer.body) < 10_000, "nothing that large is said back"
    assert await who(ann) == site.her_id


# What answers say


async def test_errors_are_asked_for_secrets(site: Site) -> None:
    """Whatever is sent in the wrong place isn't said again, where others may read it."""
    ann = await site.signed_in("ann")
    key, secret = await site.key(ann, "chat"), "sk-ann-wrong-place-000"
    answers = [
        await ann.fetch("/api/chats", authorization=f"Bearer {key}x"),
        await ann.fetch("/api/chats", authorization=f"Bearer {secret}"),
        await ann.fetch(f"/api/secrets/{secret.upper()}", method="PUT", json={"value": secret}),
        await ann.fetch("/api/secrets/x", method="PUT", json={"value": [secret]}),
        await ann.fetch("/api/secrets/x", method="PUT", json={secret: secret}),
        await ann.fetch("/api/secrets/x", method="PUT", json={"value": secret * 1000}),
        await ann.fetch("/api/auth/keys", method="POST", json={"name": secret, "scopes": [secret]}),
        await ann.fetch("/api/account", method="DELETE", json={"confirm": secret}),
        await ann.visit(f"{PUBLIC}/api/shared/{secret}"),
        await ann.visit(f"{PUBLIC}/api/auth/{secret}/login", accept="application/json"),
        await ann.visit(f"{PUBLIC}/api/auth/github/callback?code={secret}&state={secret}",
                        accept="application/json"),
        await ann.visit(f"{PUBLIC}/{secret}"),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status >= 400
        said = answer.text + str(answer.headers)
        assert secret.lower() not in said.lower()
        assert key not in said


async def test_who_has_an_account_is_found_out(site: Site) -> None:
    """A key, link or id that was once somebody's and one that never was: the same words."""
    await site.give_ann()
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    revoked = await site.key(ann, "chat")
    (row,) = (await ann.fetch("/api/auth/keys")).json["keys"]
    await ann.fetch(f"/api/auth/keys/{row['id']}", method="DELETE")
    made_up = revoked[:4] + "a" * 52 + revoked[-7:]
    pairs = [
        [await by_key(eve, key) for key in (revoked, made_up)],
        [(await eve.fetch(f"/api/projects/{name}")).json for name in ("p1", "p2")],
        [(await eve.fetch(f"/api/chats/{name}")).json for name in ("c1", "c2")],
    ]
    for there, not_there in pairs:
        words = [{**said["error"], "requestId": ""} for said in (there, not_there)]
        assert words[0] == words[1]


async def by_key(browser: Browser, key: str) -> object:
    answer = await browser.another().fetch("/api/chats", by=None, authorization=f"Bearer {key}")
    return answer.json


@pytest.mark.parametrize(
    "compares",
    [
        SharedPassword.authenticate,
        SignInAttempts.resume,
        _id_tokens.check_id_token,
        Receipt.is_for,
    ],
    ids=lambda function: function.__qualname__,
)
def test_a_secret_is_found_out_by_how_long_a_comparison_takes(compares: object) -> None:
    """By reading, since time can't be told here: what compares a secret does so in constant time.

    (Sessions, keys and links aren't compared, but looked up by their hash.)
    """
    source = inspect.getsource(compares)  # type: ignore[arg-type]
    assert "hmac.compare_digest(" in source
    assert not re.search(r"(password|state|nonce|user_hash) (==|!=)", source)


async def test_ids_and_sizes_tell_what_others_do(site: Site) -> None:
    """No id that is shown counts anything."""
    ann = await site.signed_in("ann")
    ids = []
    for _ in range(3):
        await site.key(ann, "chat")
    for row in (await ann.fetch("/api/auth/keys")).json["keys"]:
        ids.append(row["id"])
    assert len({name[:4] for name in ids}) == 3
    assert json.dumps(ids) not in site.stored()
