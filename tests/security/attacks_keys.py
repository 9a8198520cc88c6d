"""Attacks with API keys and passwords, and on what belongs to others."""

from __future__ import annotations

from tests.security.attacks_edits import (
    ANYBODYS,
    ROUTES_TAKE_ALL_KEYS,
    STORED_AS_IT_IS,
    WRITES_FROM_ANYWHERE,
)
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["KEYS", "THINGS"]

KEY_TESTS = "tests/security/test_attacks_keys.py::test_"
ACCOUNTS = "tests/security/test_attacks_accounts.py::test_"
WALK = "tests/security/test_route_walk.py::test_"
ACCESS = "openbolt/access.py"
AUTHENTICATOR = "openbolt/auth/authenticator.py"
API_KEYS = "openbolt/auth/api_keys.py"
GRAPH = "openbolt/graph.py"

GUESSES_ARE_FREE = Edit(
    GRAPH,
    "return found if limits is None else LimitedAttempts(found, limits)",
    "return found",
)
THINGS_TAKE_ALL_KEYS = Edit(
    ACCESS, "return next((scope for scope in needed if scope not in held), None)", "return None"
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
                    "        if key.expires_at is not None and "
                    "key.expires_at <= self.clock.now():\n"
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
