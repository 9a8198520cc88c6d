"""Attacks with links and previews."""

from __future__ import annotations

from tests.security.attacks_edits import ANYBODYS, STORED_AS_IT_IS
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["LINKS"]

LINK_TESTS = "tests/security/test_attacks_links.py::test_"
ACCESS = "openbolt/access.py"
ROUTES = "openbolt/routes.py"
SHARING = "openbolt/sharing.py"
SHARING_HTTP = "openbolt/sharing_handler.py"
PREVIEW = "openbolt/projects/preview.py"

LINKS = Layer(
    "Links and previews",
    "A link to a shared thing reads that thing and does nothing else. A page that a model wrote "
    "runs in an origin of its own, or of nobody.",
    (
        Attack(
            "guesses tokens of links",
            "256 random bits; and the rate limit `public` by address",
            ("sharing.py", "routes.py"),
            f"{LINK_TESTS}tokens_of_links_are_guessed",
            (
                Edit(
                    ROUTES,
                    "tuple(limit_routes(_unguarded(graph, show), graph.limits)),",
                    "tuple(_unguarded(graph, show)),",
                ),
            ),
        ),
        Attack(
            "uses what is shown or stored of a link",
            "only the token's hash is stored",
            ("sharing.py", "auth/tokens.py"),
            f"{LINK_TESTS}what_is_shown_of_a_link_is_used_as_one",
            (STORED_AS_IT_IS,),
        ),
        Attack(
            "uses a link after it was revoked",
            "what it opens is kept where every process sees a change at once",
            ("sharing.py",),
            f"{LINK_TESTS}a_link_is_used_after_it_was_revoked",
            (Edit(SHARING, "        await self.heads.discard(_head(token_hash))\n"),),
        ),
        Attack(
            "uses a link after its end",
            "its end is looked at every time",
            ("sharing.py",),
            f"{LINK_TESTS}a_link_is_used_after_its_end",
            (
                Edit(
                    SHARING,
                    "return share.expires_at is not None and share.expires_at <= self.clock.now()",
                    "return False",
                ),
            ),
        ),
        Attack(
            "uses a link to something deleted, of whose id there is something new",
            "a link is to this very thing, as of when it was made",
            ("sharing.py",),
            "tests/handlers/test_sharing.py::test_a_later_thing_under_the_same_id_is_another_one",
            (Edit(SHARING_HTTP, "        if not share.is_to(thing):\n", "        if False:\n"),),
        ),
        Attack(
            "writes through a link",
            "links have routes for reading only, and `can` lets their bearers read only",
            ("access.py", "routes.py"),
            f"{LINK_TESTS}something_is_written_through_a_link",
        ),
        Attack(
            "does something else as the bearer of a link",
            "a bearer reads one thing and does nothing else",
            ("access.py",),
            "tests/handlers/test_access.py"
            "::test_a_links_bearer_reads_one_thing_and_does_nothing_else",
            (
                Edit(
                    ACCESS,
                    'return action == "read" and resource == principal.only',
                    "return resource == principal.only",
                ),
            ),
        ),
        Attack(
            "reads other things of the owner's through a link",
            "a bearer's rights end at that thing",
            ("access.py", "sharing_handler.py"),
            f"{LINK_TESTS}more_is_read_through_a_link",
        ),
        Attack(
            "reads earlier versions through a link",
            "a link shows the thing as it is now",
            ("sharing_handler.py",),
            "tests/handlers/test_sharing.py"
            "::test_a_shared_project_is_shown_as_it_is_now_and_never_as_it_was",
            (
                Edit(
                    SHARING_HTTP,
                    'evolve(request, query="", path_params',
                    "evolve(request, path_params",
                ),
            ),
        ),
        Attack(
            "reads what the model thought, saw or cost through a link to a chat",
            "only parts that are listed are shown",
            ("sharing_handler.py",),
            "tests/handlers/test_sharing.py"
            "::test_a_shared_chat_shows_what_was_said_and_nothing_else",
            (Edit(SHARING_HTTP, ' if part.get("type") in _SHOWN_PARTS'),),
        ),
        Attack(
            "uses a link's or a preview's token to sign in, or one in the other's place",
            "each kind of token is looked up in a place of its own",
            ("sharing.py", "projects/preview.py", "auth/tokens.py"),
            f"{LINK_TESTS}a_link_or_a_preview_is_used_to_sign_in",
        ),
        Attack(
            "uses a preview after its end",
            "`preview_ttl`",
            ("projects/preview.py",),
            f"{LINK_TESTS}a_preview_is_used_after_its_end",
            (Edit(PREVIEW, "_record(project)), ttl=ttl)", "_record(project)))"),),
        ),
        Attack(
            "has a previewed page reach for the visitor's session",
            "a host of its own, or a `sandbox` without an origin; `null` is nobody",
            ("projects/preview.py", "origins.py"),
            f"{LINK_TESTS}a_previewed_page_reaches_for_the_visitors_session",
            (Edit(PREVIEW, '"sandbox allow-scripts', '"sandbox allow-same-origin allow-scripts'),),
        ),
        Attack(
            "learns of a link from a referrer, a cache or a search engine",
            "`Referrer-Policy: no-referrer`, `Cache-Control: no-store`, `X-Robots-Tag: noindex`",
            ("sharing_handler.py",),
            f"{LINK_TESTS}a_link_is_told_to_other_sites",
            (Edit(SHARING_HTTP, "return response.with_headers(_LINK_HEADERS)", "return response"),),
        ),
        Attack(
            "shares, lists or revokes for somebody else",
            "sharing is the owner's; another's thing is not there",
            ("access.py", "sharing.py"),
            f"{LINK_TESTS}somebody_else_shares_lists_or_revokes",
            (ANYBODYS,),
        ),
    ),
)
