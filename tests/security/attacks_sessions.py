"""Attacks on sessions and their cookies."""

from __future__ import annotations

from tests.security.attacks_edits import NO_TAG, STORED_AS_IT_IS, WRITES_FROM_ANYWHERE
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["SESSIONS"]

SESSION_TESTS = "tests/security/test_attacks_sessions.py::test_"
TOKENS = "openbolt/auth/tokens.py"
COOKIES = "openbolt/auth/cookies.py"
SESSIONS_FILE = "openbolt/auth/sessions.py"
AES = "openbolt_local/crypto.py"

PLAIN_NAME = Edit(
    COOKIES,
    'return Cookie(f"__Host-{name}", secure=True)',
    "return Cookie(name, secure=True)",
)

SESSIONS = Layer(
    "Sessions and cookies",
    "A session is 256 random bits in a cookie that only this host can set or read, and scripts "
    "can't. The server knows its hash, and ends it when it is signed out, revoked, replaced, "
    "unused or old.",
    (
        Attack(
            "changes a session cookie, character by character",
            "what isn't exactly an id is refused; nothing is decoded, folded or trimmed",
            ("auth/tokens.py",),
            f"{SESSION_TESTS}each_character_of_a_session_cookie_is_changed",
            (
                Edit(
                    TOKENS,
                    "return hash_of(text) if _SESSION.fullmatch(text) else None",
                    "return hash_of(text.lower().strip(' \"'))",
                ),
            ),
        ),
        Attack(
            "adds something to a session cookie",
            "the same",
            ("auth/tokens.py",),
            f"{SESSION_TESTS}something_is_added_to_a_session_cookie",
            (
                Edit(
                    TOKENS,
                    "return hash_of(text) if _SESSION.fullmatch(text) else None",
                    "return hash_of(text.strip('\"')[:52])",
                ),
            ),
        ),
        Attack(
            "changes the cookie of a sign-in on its way, byte by byte",
            "it is encrypted and authenticated (AES-256-GCM)",
            ("auth/sign_in_state.py", "envelope.py"),
            f"{SESSION_TESTS}each_byte_of_the_cookie_of_a_sign_in_is_changed",
            (NO_TAG,),
        ),
        Attack(
            "makes ids of sessions up",
            "256 random bits",
            ("auth/tokens.py",),
            "tests/auth/test_tokens.py::test_a_credential_has_256_random_bits",
            (Edit(TOKENS, "_BYTES = 32", "_BYTES = 8"),),
        ),
        Attack(
            "uses what is shown or stored of a session",
            "only hashes are stored, and the public id is a hash of that",
            ("auth/tokens.py", "auth/sessions.py"),
            f"{SESSION_TESTS}what_is_shown_or_stored_of_a_session_is_used_as_one",
            (STORED_AS_IT_IS,),
        ),
        Attack(
            "tosses a cookie in from another host of the site",
            "`__Host-` in the name: browsers take it from this host alone",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}a_page_of_the_same_site_tosses_its_own_session_in",
            (PLAIN_NAME,),
        ),
        Attack(
            "tosses one in under a name without the prefix",
            "the plain name counts on loopback without TLS alone",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}a_session_is_tossed_in_under_a_name_without_the_prefix",
            (PLAIN_NAME,),
        ),
        Attack(
            "tosses a second cookie of the same name in",
            "a cookie that comes twice is none",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}a_second_session_cookie_is_tossed_in",
            (
                Edit(
                    COOKIES,
                    "return found[0] or None if len(found) == 1 else None",
                    "return found[0] or None if found else None",
                ),
            ),
        ),
        Attack(
            "reads the cookies with a script in the page",
            "`HttpOnly`",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}a_script_in_the_page_reads_the_cookies",
            (Edit(COOKIES, "; HttpOnly"),),
        ),
        Attack(
            "reads the cookies off the network",
            "`Secure`, everywhere but on loopback",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}the_network_reads_the_cookies",
            (PLAIN_NAME, Edit(COOKIES, "{'; Secure' if self.secure else ''}")),
        ),
        Attack(
            "gets the cookies at another host of the site",
            "no `Domain`",
            ("auth/cookies.py",),
            f"{SESSION_TESTS}a_page_of_the_same_site_gets_the_cookies",
            (PLAIN_NAME, Edit(COOKIES, "; SameSite=Lax", "; SameSite=Lax; Domain=app.example")),
        ),
        Attack(
            "names a session in a URL or in a field of their own",
            "a session is read from its cookie and nowhere else",
            ("auth/authenticator.py",),
            f"{SESSION_TESTS}a_session_is_named_where_no_cookie_is",
        ),
        Attack(
            "uses a copied cookie after sign-out",
            "the session ends on the server, and the provider's token is revoked",
            ("auth/sessions.py", "auth/grants.py"),
            f"{SESSION_TESTS}a_copied_cookie_is_used_after_sign_out",
            (
                Edit(
                    SESSIONS_FILE,
                    "        if record is not None:\n"
                    "            await self.store.discard(record.id_hash)\n",
                ),
            ),
        ),
        Attack(
            "uses a copied cookie after its session was revoked",
            "revoking is at once",
            ("auth/sessions.py",),
            f"{SESSION_TESTS}a_copied_cookie_is_used_after_its_session_was_revoked",
            (
                Edit(
                    SESSIONS_FILE,
                    "            if public_id(record) == public:\n"
                    "                await self.store.discard(record.id_hash)\n",
                    "            if public_id(record) == public:\n",
                ),
            ),
        ),
        Attack(
            "uses a copied cookie after all other sessions were ended",
            "the same",
            ("auth/sessions.py",),
            f"{SESSION_TESTS}a_copied_cookie_is_used_after_all_others_were_signed_out",
            (
                Edit(
                    SESSIONS_FILE,
                    "        for record in ended:\n"
                    "            await self.store.discard(record.id_hash)\n",
                ),
            ),
        ),
        Attack(
            "uses a cookie or a key after the account was deleted",
            "a deletion ends sessions and keys, last of all",
            ("privacy.py", "personal/account.py"),
            f"{SESSION_TESTS}a_cookie_and_a_key_are_used_after_the_account_was_deleted",
            (
                Edit(
                    "openbolt/privacy.py",
                    "        SessionData(sessions, projects.kv, ended or _nothing),\n",
                ),
            ),
        ),
        Attack(
            "finds a browser that nobody has used for long",
            "`session_idle_ttl`",
            ("auth/sessions.py",),
            f"{SESSION_TESTS}a_browser_that_nobody_uses_any_more_is_found",
            (
                Edit(
                    SESSIONS_FILE,
                    "            and now - record.last_used_at < self.settings.session_idle_ttl\n",
                ),
            ),
        ),
        Attack(
            "keeps a stolen session alive by using it",
            "`session_ttl`, counted from sign-in",
            ("auth/sessions.py",),
            f"{SESSION_TESTS}a_stolen_session_is_kept_alive_by_using_it",
            (
                Edit(SESSIONS_FILE, "now + self.settings.session_ttl\n", "now + 10**9\n"),
                Edit(SESSIONS_FILE, "now - record.created_at < self.settings.session_ttl", "True"),
            ),
        ),
        Attack(
            "collects sessions without number",
            "`max_sessions_per_user`",
            ("auth/sessions.py",),
            "tests/auth/test_sessions.py"
            "::test_a_session_beyond_the_cap_ends_the_one_unused_for_longest",
            (Edit(SESSIONS_FILE, "        await self._keep_to_the_cap(record)\n"),),
        ),
        Attack(
            "signs visitors out from another site",
            "signing out is a write, refused from other origins",
            ("origins.py", "app.py"),
            f"{SESSION_TESTS}another_site_signs_a_visitor_out",
            (WRITES_FROM_ANYWHERE,),
        ),
    ),
)
