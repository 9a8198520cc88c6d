"""Attacks by pages of other origins, with keys, on what belongs to others, and with links."""

from __future__ import annotations

from tests.security.attacks_on_people import ANY_HOST, STORED_AS_IT_IS, WRITES_FROM_ANYWHERE
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["KEYS", "LINKS", "ORIGINS", "THINGS"]

CROSS_SITE = "tests/security/test_attacks_cross_site.py::test_"
KEY_TESTS = "tests/security/test_attacks_keys.py::test_"
LINK_TESTS = "tests/security/test_attacks_links.py::test_"
ACCOUNTS = "tests/security/test_attacks_accounts.py::test_"
WALK = "tests/security/test_route_walk.py::test_"
ACCESS = "openbolt/access.py"
AUTHENTICATOR = "openbolt/auth/authenticator.py"
API_KEYS = "openbolt/auth/api_keys.py"
ORIGINS_FILE = "openbolt/origins.py"
GRAPH = "openbolt/graph.py"
ROUTES = "openbolt/routes.py"
SHARING = "openbolt/sharing.py"
SHARING_HTTP = "openbolt/sharing_handler.py"
PREVIEW = "openbolt/projects/preview.py"

TOLD_TO_ALL = Edit(ORIGINS_FILE, "if origin not in trusted:\n", "if origin is None:\n")
ANYBODYS = Edit(
    ACCESS,
    "return principal is not None and principal.user_id == resource.owner",
    "return principal is not None",
)
ROUTES_TAKE_ALL_KEYS = Edit(ACCESS, "if held is not None and self.scope not in held:", "if False:")
THINGS_TAKE_ALL_KEYS = Edit(
    ACCESS, "return next((scope for scope in needed if scope not in held), None)", "return None"
)
GUESSES_ARE_FREE = Edit(
    GRAPH,
    "return found if limits is None else LimitedAttempts(found, limits)",
    "return found",
)

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
                    'if origin != _Origin.of(request.scheme, request.headers.get("host") or ""):',
                    "if False:",
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
                    "headers = headers.with_defaults(_NO_PAGE_HEADERS)",
                    "pass",
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

KEYS = Layer(
    "API keys and passwords",
    "A key is shown once and stored as its hash, with scopes and perhaps an end. One credential "
    "decides who is asking.",
    (
        Attack(
            "sends a key and somebody's cookie together",
            "where a bearer came along, no cookie is looked at",
            ("auth/authenticator.py",),
            f"{KEY_TESTS}a_key_and_a_cookie_come_together",
            (
                Edit(
                    AUTHENTICATOR,
                    "        if bearers:\n",
                    '        if bearers and "cookie" not in request.headers:\n',
                ),
            ),
        ),
        Attack(
            "sends a key that is none, to be taken for whoever is signed in",
            "a bad key is a 401, whatever else came",
            ("auth/authenticator.py",),
            f"{KEY_TESTS}a_bad_key_falls_back_to_the_cookie",
            (
                Edit(
                    AUTHENTICATOR,
                    "        if bearers:\n",
                    "        if bearers and await self.api_keys.authenticate(bearers[0]):\n",
                ),
            ),
        ),
        Attack(
            "sends two `Authorization` fields, of which others may have checked one",
            "two are none",
            ("auth/authenticator.py",),
            "tests/auth/test_authenticator.py::test_two_authorizations_are_refused",
            (
                Edit(
                    AUTHENTICATOR,
                    'alone = len(request.headers.get_all("authorization")) == 1',
                    "alone = True",
                ),
            ),
        ),
        Attack(
            "sends a key where keys get into logs: in the URL, in other fields",
            "a key is read from `Authorization: Bearer` and nowhere else",
            ("auth/authenticator.py",),
            f"{KEY_TESTS}a_key_is_sent_in_another_place",
        ),
        Attack(
            "changes a key, character by character",
            "a wrong checksum is refused without asking the store",
            ("auth/tokens.py",),
            f"{KEY_TESTS}a_key_has_any_character_changed",
            (
                Edit(
                    "openbolt/auth/tokens.py",
                    "if found is None or _checksum(found[1]) != found[2]:",
                    "if found is None:",
                ),
            ),
        ),
        Attack(
            "makes keys up",
            "256 random bits; and the rate limit `guesses` by address",
            ("attempts.py", "graph.py"),
            f"{KEY_TESTS}keys_are_made_up",
            (GUESSES_ARE_FREE,),
        ),
        Attack(
            "uses a key after it was revoked",
            "revoking is at once, and nothing that was on its way undoes it",
            ("auth/api_keys.py",),
            f"{KEY_TESTS}a_key_is_used_after_it_was_revoked",
            (Edit(API_KEYS, '        await self.kv.delete(_key(key_hash, "key"))\n'),),
        ),
        Attack(
            "uses a key after its end",
            "its end is looked at every time, and the store forgets it as well",
            ("auth/api_keys.py",),
            f"{KEY_TESTS}a_key_is_used_after_its_end",
            (
                Edit(
                    API_KEYS,
                    "        if key.expires_at is not None and key.expires_at <= self.clock.now():\n"
                    "            return None\n",
                ),
                Edit(
                    API_KEYS,
                    "return max(key.expires_at - self.clock.now(), self.kv.limits.min_ttl)",
                    "return None",
                ),
            ),
        ),
        Attack(
            "uses what is shown or stored of a key",
            "only its hash is stored",
            ("auth/tokens.py",),
            f"{KEY_TESTS}what_is_shown_or_stored_of_a_key_is_used_as_one",
            (STORED_AS_IT_IS,),
        ),
        Attack(
            "uses a key for what it has no scope for",
            "every route names its scope, and has none by default",
            ("access.py", "routes.py"),
            f"{KEY_TESTS}a_key_is_used_for_what_it_has_no_scope_for",
            (ROUTES_TAKE_ALL_KEYS,),
        ),
        Attack(
            "reaches with a key for chats into projects, through what a chat's body names",
            "`can` asks for the thing's own scope, wherever it is named",
            ("access.py",),
            "tests/security/test_ownership.py::test_a_key_for_chats_begins_in_no_other_project",
            (THINGS_TAKE_ALL_KEYS,),
        ),
        Attack(
            "makes a key that may more than theirs",
            "a key gives no scope that it lacks",
            ("auth/api_keys.py",),
            f"{KEY_TESTS}a_key_makes_one_that_may_more",
            (Edit(API_KEYS, "        if missing:\n", "        if False:\n"),),
        ),
        Attack(
            "makes a key that outlives theirs",
            "a key gives no longer life than it has",
            ("auth/api_keys.py",),
            f"{KEY_TESTS}a_key_makes_one_that_outlives_it",
            (
                Edit(
                    API_KEYS,
                    "if ends is not None and (expires_at is None or expires_at > ends):",
                    "if False:",
                ),
            ),
        ),
        Attack(
            "makes keys without number",
            "`max_api_keys_per_user`, for requests at once, too",
            ("auth/api_keys.py",),
            "tests/auth/test_api_keys.py::test_no_key_is_made_beyond_the_cap",
            (
                Edit(
                    API_KEYS,
                    "if len(await self.list(key.user_id)) > self.settings.max_api_keys_per_user:",
                    "if False:",
                ),
            ),
        ),
        Attack(
            "tries passwords out",
            "the rate limit `guesses` by address: then even the right one has to wait",
            ("attempts.py", "graph.py"),
            f"{KEY_TESTS}a_password_is_tried_out",
            (GUESSES_ARE_FREE,),
        ),
        Attack(
            "reaches a server without sign-in from outside",
            "it doesn't start with a public name while everybody is the same local user",
            ("dependencies.py",),
            f"{KEY_TESTS}the_local_users_things_are_reached_from_outside",
            (
                Edit(
                    "openbolt/dependencies.py",
                    "if names and isinstance(d.authenticator, LocalUser):",
                    "if False:",
                ),
            ),
        ),
    ),
)

THINGS = Layer(
    "Whose things they are",
    "One place decides who may do what (`openbolt.access.can`), and another's thing is answered "
    "word for word as one that doesn't exist. A test walks every route that there is; a new one "
    "fails it until it is said whose things it names.",
    (
        Attack(
            "asks every route with somebody else's ids",
            "everything belongs to a user, and nobody reaches beyond their own",
            ("access.py",),
            f"{WALK}anothers_ids_are_not_found_on_any_route",
            (ANYBODYS,),
        ),
        Attack(
            "names somebody else's chat or project in a body",
            "the same",
            ("access.py",),
            "tests/security/test_ownership.py"
            "::test_building_in_anothers_project_makes_a_project_of_ones_own",
            (ANYBODYS,),
        ),
        Attack(
            "asks every route without signing in",
            "private routes want somebody to be known",
            ("access.py", "app.py"),
            f"{WALK}nobody_is_let_in_without_signing_in",
            (
                Edit(
                    ACCESS,
                    "        if principal is None:\n"
                    '            raise UnauthenticatedError("Sign in first.")\n'
                    "        return await handler(",
                    '        principal = principal or Principal("nobody")\n'
                    "        return await handler(",
                ),
            ),
        ),
        Attack(
            "asks every route with a key that lacks a scope of it",
            "every route names its scope",
            ("access.py", "routes.py"),
            f"{WALK}a_key_without_the_scope_is_refused_on_every_route",
            (ROUTES_TAKE_ALL_KEYS,),
        ),
        Attack(
            "has a user id, at an application that embeds openbolt, that names another's keys",
            "an id with anything but `A-Z a-z 0-9 . _ -` in it is let in nowhere",
            ("access.py",),
            "tests/handlers/test_access.py"
            "::test_a_user_id_that_could_name_anothers_keys_is_never_let_in",
            (Edit(ACCESS, "if not _USER_ID.fullmatch(principal.user_id):", "if False:"),),
        ),
        Attack(
            "deletes an account without its owner's word",
            "a deletion names the user who is to be deleted",
            ("privacy_handler.py",),
            f"{ACCOUNTS}an_account_is_deleted_without_its_owners_word",
            (Edit("openbolt/privacy_handler.py", "if body.confirm != owner:", "if False:"),),
        ),
        Attack(
            "deletes somebody else's account",
            "the account is always the one that asks; another's name is an error",
            ("privacy_handler.py",),
            f"{ACCOUNTS}somebody_elses_account_is_deleted",
            (Edit("openbolt/privacy_handler.py", "if body.confirm != owner:", "if False:"),),
        ),
        Attack(
            "deletes or exports an account with a key that is for something else",
            "the scope `admin`, asked for by the route and by the thing",
            ("access.py",),
            f"{ACCOUNTS}a_key_without_the_account_deletes_or_exports_it",
            (ROUTES_TAKE_ALL_KEYS, THINGS_TAKE_ALL_KEYS),
        ),
        Attack(
            "deletes the account of a visitor from another site",
            "writes from other origins are refused",
            ("origins.py",),
            f"{ACCOUNTS}another_site_deletes_the_account",
            (WRITES_FROM_ANYWHERE,),
        ),
        Attack(
            "deletes an account to hit what others have in the same store",
            "only what lies below the user's own id is deleted, and no file that others name",
            ("privacy.py", "personal/data.py"),
            f"{ACCOUNTS}an_account_is_deleted_while_another_works",
        ),
    ),
)

LINKS = Layer(
    "Links and previews",
    "A link to a shared thing reads that thing and does nothing else. A page that a model wrote runs "
    "in an origin of its own, or of nobody.",
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
            (Edit(PREVIEW, "_record(project), ttl=ttl)", "_record(project))"),),
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
