"""Attacks by pages of other origins."""

from __future__ import annotations

from tests.security.attacks_edits import ANY_HOST, WRITES_FROM_ANYWHERE
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["ORIGINS"]

CROSS_SITE = "tests/security/test_attacks_cross_site.py::test_"
ORIGINS_FILE = "openbolt/origins.py"
ROUTES = "openbolt/routes.py"

TOLD_TO_ALL = Edit(ORIGINS_FILE, "if origin not in trusted:\n", "if origin is None:\n")

ORIGINS = Layer(
    "Other origins",
    "No page of another origin writes or reads, unless `trusted_origins` names it. Browsers' own "
    "`SameSite` stands before that, and the content type behind it; the tests go through browsers "
    "that know neither `SameSite` nor `Sec-Fetch-Site`, too.",
    (
        Attack(
            "writes with a script of another site, or of one that looks like ours",
            "`Origin` has to be our own, exactly, or trusted",
            ("origins.py", "app.py"),
            f"{CROSS_SITE}another_sites_script_writes",
            (WRITES_FROM_ANYWHERE,),
        ),
        Attack(
            "submits a form from another site, or from a sandbox without an origin",
            "the same",
            ("origins.py", "app.py"),
            f"{CROSS_SITE}another_site_submits_a_form",
            (WRITES_FROM_ANYWHERE,),
        ),
        Attack(
            "has `Origin` cut off on the way",
            "`Sec-Fetch-Site` counts by itself",
            ("origins.py",),
            f"{CROSS_SITE}a_write_comes_without_an_origin",
            (
                Edit(
                    ORIGINS_FILE,
                    'return not sites or sites[0].lower() in {"same-origin", "none"}',
                    "return True",
                ),
            ),
        ),
        Attack(
            "writes from another host of the same site",
            "origins are compared, not sites",
            ("origins.py",),
            f"{CROSS_SITE}a_page_below_the_same_domain_writes",
            (
                Edit(
                    ORIGINS_FILE,
                    'return "own" if parsed == _Origin.of(scheme, host) else "other"',
                    'return "own"',
                ),
            ),
        ),
        Attack(
            "sends JSON as `text/plain` or as a form, so that no preflight is asked for",
            "routes that take JSON refuse what a form can send, whether they read a body or not",
            ("origins.py", "routes.py"),
            f"{CROSS_SITE}json_is_sent_as_something_that_needs_no_preflight",
            (Edit(ROUTES, "limit_routes(without_forms(private), ", "limit_routes(private, "),),
        ),
        Attack(
            "sends JSON without a content type",
            "JSON is `application/json`",
            ("bodies.py",),
            f"{CROSS_SITE}json_is_sent_without_a_content_type",
            (
                Edit(
                    "openbolt/bodies.py",
                    'if media != "application/json":',
                    'if media not in {"application/json", ""}:',
                ),
            ),
        ),
        Attack(
            "relies on cookies that ride along with any request",
            "`SameSite=Lax`",
            ("auth/cookies.py",),
            f"{CROSS_SITE}a_cookie_rides_along_with_another_sites_request",
            (Edit("openbolt/auth/cookies.py", "; SameSite=Lax", "; SameSite=None"),),
        ),
        Attack(
            "probes which origins may read (CORS), `null` and look-alikes among them",
            "trusted origins are told their own name; nobody else is told anything",
            ("origins.py",),
            f"{CROSS_SITE}another_sites_script_reads",
            (TOLD_TO_ALL,),
        ),
        Attack(
            "asks by preflights what is allowed",
            "the same",
            ("origins.py",),
            f"{CROSS_SITE}another_sites_script_asks_first",
            (TOLD_TO_ALL,),
        ),
        Attack(
            "loads answers as scripts, style sheets or frames",
            "a Content-Security-Policy of nothing, `nosniff`, no framing, "
            "`Cross-Origin-Resource-Policy`",
            ("guards.py",),
            f"{CROSS_SITE}an_answer_is_loaded_as_something_else",
            (
                Edit(
                    "openbolt/guards.py",
                    "headers.with_defaults(_PAGE_HEADERS if is_page else _DATA_HEADERS)",
                    "headers.with_defaults(_PAGE_HEADERS)",
                ),
            ),
        ),
        Attack(
            "points a name of theirs at the server (DNS rebinding)",
            "only listed hosts are answered",
            ("origins.py", "app.py"),
            f"{CROSS_SITE}a_name_of_the_attackers_points_at_the_server",
            (ANY_HOST,),
        ),
        Attack(
            "makes a visitor follow a link that does something",
            "what is read changes nothing",
            ("routes.py",),
            f"{CROSS_SITE}a_link_does_something",
        ),
    ),
)
