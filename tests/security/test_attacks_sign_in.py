"""Attacks on signing in: somebody else's account in Ann's browser, or Ann's account in theirs."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from attrs import evolve

from openbolt import Settings
from openbolt_local.mocks import GitHubAccount, GitHubEmail
from tests.security.attacks_browser import EVIL, PUBLIC
from tests.security.attacks_site import (
    ANN,
    CALLBACK,
    EVE,
    LOGIN,
    SESSION,
    SETTINGS,
    SIGN_IN,
    Site,
    location,
    query_of,
    sign_in_error,
    who,
)

TOKEN_PATH = "/login/oauth/access_token"


# Another's sign-in in this browser


async def test_a_visitor_is_made_to_finish_the_attackers_sign_in(site: Site) -> None:
    """Login CSRF: Ann would go on working in Eve's account, for Eve to read."""
    prepared = await site.to_github(site.browser(), "eve")
    ann = site.browser()
    assert sign_in_error(await ann.visit(prepared, by=EVIL)) == "state_mismatch"
    await site.to_github(ann, "ann")  # also while a sign-in of her own is on its way
    assert sign_in_error(await ann.visit(prepared, by=EVIL)) == "state_mismatch"
    assert (await who(ann), ann.cookie(SESSION)) == (None, None)
    assert site.calls(TOKEN_PATH) == 0, "the code isn't even redeemed"


async def test_a_callback_is_stolen_and_used_in_the_attackers_browser(site: Site) -> None:
    """The code and state of Ann's sign-in, read from a log or over her shoulder."""
    hers = await site.to_github(site.browser(), "ann")
    eve = site.browser()
    assert sign_in_error(await eve.visit(hers)) == "state_mismatch"
    await site.to_github(eve, "eve")
    assert sign_in_error(await eve.visit(hers)) == "state_mismatch"
    assert await who(eve) is None
    assert site.calls(TOKEN_PATH) == 0


async def test_a_callback_is_replayed_with_a_copy_of_the_browser(site: Site) -> None:
    ann = site.browser()
    back = await site.to_github(ann, "ann")
    thief = ann.copy()
    assert location(await ann.visit(back)) == "/"
    assert sign_in_error(await ann.visit(back)) == "state_mismatch"
    assert thief.cookie(SIGN_IN), "a copy from before has what the browser has deleted"
    assert sign_in_error(await thief.visit(back)) == "state_mismatch"
    assert site.calls(TOKEN_PATH) == 1


async def test_a_stolen_code_is_put_into_the_attackers_own_sign_in(site: Site) -> None:
    """Code injection: the state is right, the code was made for Ann's challenge."""
    stolen = query_of(await site.to_github(site.browser(), "ann"))["code"]
    eve = site.browser()
    own = query_of(await site.to_github(eve, "eve"))
    injected = f"{CALLBACK}?{urlencode({**own, 'code': stolen})}"
    assert sign_in_error(await eve.visit(injected)) == "sign_in_refused"
    assert await who(eve) is None


async def test_a_code_that_was_asked_for_without_a_challenge_is_injected(site: Site) -> None:
    """PKCE downgrade: the challenge is cut out of the URL on its way to GitHub."""
    ann = site.browser()
    url = location(await ann.visit(LOGIN))
    query = {k: v for k, v in query_of(url).items() if not k.startswith("code_challenge")}
    back = await site.github.authorize(f"{url.partition('?')[0]}?{urlencode(query)}", login="eve")
    assert sign_in_error(await ann.visit(back)) == "sign_in_refused"
    assert await who(ann) is None


async def test_an_answer_is_brought_to_another_providers_callback(site: Site) -> None:
    """Mix-up: a code of one provider would go to another, who may be hostile."""
    ann = site.browser()
    back = await site.to_github(ann, "ann")
    mixed = back.replace("/auth/github/", "/auth/other/")
    assert sign_in_error(await ann.visit(mixed)) == "state_mismatch"
    assert site.calls(TOKEN_PATH) == 0


async def test_an_answer_says_that_another_issuer_gave_it(site: Site) -> None:
    ann = site.browser()
    back = await site.to_github(ann, "ann")
    named = f"{back}&{urlencode({'iss': EVIL})}"
    assert sign_in_error(await ann.visit(named)) == "state_mismatch"
    assert site.calls(TOKEN_PATH) == 0


async def test_a_callback_says_everything_twice(site: Site) -> None:
    """Of two values a proxy may have checked one, and the application taken the other."""
    ann = site.browser()
    for more in ("state=x", "code=x"):
        back = await site.to_github(ann, "ann")
        assert sign_in_error(await ann.visit(f"{back}&{more}")) == "invalid_request"
    assert site.calls(TOKEN_PATH) == 0


async def test_a_sign_in_is_finished_long_after_it_was_begun(site: Site) -> None:
    ann = site.browser()
    back = await site.to_github(ann, "ann")
    site.clock.advance(SETTINGS.sign_in_ttl)
    assert sign_in_error(await ann.visit(back)) == "sign_in_expired"


async def test_states_are_guessed_at_the_callback(site: Site) -> None:
    few = evolve(site.settings, rate_limits=("sign-in=20/60s",))
    eve = site.with_settings(few).browser()
    codes = []
    for number in range(30):
        answer = await eve.visit(f"{CALLBACK}?code=x&state={number}", accept="application/json")
        codes.append(answer.status)
    assert (codes[0], codes[-1]) == (403, 429)
    assert site.calls(TOKEN_PATH) == 0


# Who comes out of it


async def test_a_login_that_its_owner_gave_up_is_registered_anew(site: Site) -> None:
    ann = await site.signed_in("ann")
    renamed = evolve(ANN, login="ann-example")
    site.github.put_account(renamed)
    site.github.put_account(evolve(EVE, login="ann"))
    eve = await site.signed_in("ann")
    assert (await who(ann), await who(eve)) == (site.her_id, site.eves_id)
    assert await who(await site.signed_in("ann-example")) == site.her_id


@pytest.mark.parametrize(
    ("settings", "eve"),
    [
        (Settings(allowed_users=("ann",)), EVE),
        (
            Settings(allowed_email_domains=("corp.example",)),
            GitHubAccount(
                2, "eve", emails=(GitHubEmail("eve@corp.example", primary=True, verified=False),)
            ),
        ),
        (
            Settings(allowed_email_domains=("corp.example",)),
            GitHubAccount(
                2,
                "eve",
                emails=(
                    GitHubEmail("eve@evil.example", primary=True),
                    GitHubEmail("ann@corp.example", verified=False),
                ),
            ),
        ),
        *(
            (
                Settings(allowed_email_domains=("corp.example",)),
                GitHubAccount(2, "eve", emails=(GitHubEmail(f"eve@{domain}", primary=True),)),
            )
            for domain in (
                "evilcorp.example",
                "corp.example.evil.example",
                "sub.corp.example",
                "corp.example.",
                "c\u043erp.example",  # a Cyrillic o
            )
        ),
        (Settings(allowed_orgs=("acme",)), evolve(EVE, pending_orgs=("acme",))),
        (Settings(allowed_orgs=("acme",)), evolve(EVE, orgs=("acme-fans",))),
    ],
    ids=lambda value: ascii(value)[-60:] if isinstance(value, GitHubAccount) else "",
)
async def test_somebody_who_only_looks_like_one_of_us_signs_in(
    site: Site, settings: Settings, eve: GitHubAccount
) -> None:
    closed = site.with_settings(
        evolve(
            SETTINGS,
            allowed_users=settings.allowed_users,
            allowed_orgs=settings.allowed_orgs,
            allowed_email_domains=settings.allowed_email_domains,
        )
    )
    site.github.put_account(eve)
    browser = closed.browser()
    answer = await browser.visit(await closed.to_github(browser, "eve"))
    assert sign_in_error(answer) == "sign_in_not_allowed"
    assert await who(browser) is None
    assert f"user:{site.eves_id}" not in site.stored()


# Where it leads

ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n//evil.example",
    "/%2Fevil.example",
    "/%5Cevil.example",
    "/%252F%252Fevil.example",
    "/./\\evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/\u2044/evil.example",
    " //evil.example",
    "/@evil.example/..//evil.example",
]


@pytest.mark.parametrize("there", ELSEWHERE, ids=ascii)
async def test_a_sign_in_link_leads_to_the_attackers_page(site: Site, there: str) -> None:
    """Open redirect: the page at the end looks like ours, and asks for a password."""
    ann = site.browser()
    back = await site.to_github(ann, "ann", return_to=there)
    assert location(await ann.visit(back)) == "/"


@pytest.mark.parametrize(
    "host", ["evil.example", "app.example.evil.example", "app.example@evil.example", "app.example."]
)
async def test_a_request_names_another_host_to_be_called_back_at(site: Site, host: str) -> None:
    """Host header poisoning: codes and links would go to the attacker."""
    for path in ("/api/auth/github/login", "/api/auth/session", "/api/projects"):
        answer = await site.browser().visit(PUBLIC + path, host=host)
        assert answer.error == (403, "host_not_allowed", None), path


async def test_the_host_is_left_to_a_proxy_that_lets_any_through(site: Site) -> None:
    open_site = site.with_settings(evolve(SETTINGS, allowed_hosts=("*",)))
    forwarded = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    answer = await open_site.browser().visit(LOGIN, host="evil.example", **forwarded)
    assert query_of(location(answer))["redirect_uri"] == CALLBACK
    assert "evil.example" not in str(answer.headers)


async def test_what_is_made_for_others_to_open_names_the_attackers_host(site: Site) -> None:
    await site.give_ann()
    open_site = site.with_settings(evolve(SETTINGS, allowed_hosts=("*",), public_url=None))
    ann = await site.signed_in("ann")
    ann.handler = open_site.app
    for path in ("preview", "shares"):
        url = f"/api/projects/p1/{path}"
        answer = await ann.fetch(url, by=None, method="POST", host="evil.example")
        assert answer.status in {200, 201}
        assert "evil.example" not in answer.text


# A session from before


async def test_a_session_is_planted_before_sign_in(site: Site) -> None:
    """Fixation: Ann signs in to a session whose id Eve knows."""
    eve = await site.signed_in("eve")
    planted = eve.cookie(SESSION)
    ann = site.browser()
    assert ann.plant(f"{SESSION}={planted}; Secure; Path=/; HttpOnly")  # at a shared computer
    assert location(await ann.visit(await site.to_github(ann, "ann"))) == "/"
    assert (await who(ann), ann.cookie(SESSION) == planted) == (site.her_id, False)
    assert await who(eve) is None, "and the planted one is worth nothing any more"


async def test_an_id_is_made_up_and_planted_before_sign_in(site: Site) -> None:
    for made_up in ("a" * 52, "x", quote("é")):
        ann = site.browser()
        assert ann.plant(f"{SESSION}={made_up}; Secure; Path=/; HttpOnly")
        await ann.visit(await site.to_github(ann, "ann"))
        eve = site.browser()
        assert eve.plant(f"{SESSION}={made_up}; Secure; Path=/; HttpOnly")
        assert (await who(ann), await who(eve)) == (site.her_id, None)


async def test_an_id_from_before_a_new_sign_in_is_used_afterwards(site: Site) -> None:
    ann = await site.signed_in("ann")
    thief = ann.copy()
    await ann.visit(await site.to_github(ann, "ann"))
    assert (await who(ann), await who(thief)) == (site.her_id, None)
