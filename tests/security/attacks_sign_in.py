"""Attacks on signing in."""

from __future__ import annotations

from tests.security.attacks_edits import ANY_HOST
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["SIGNING_IN"]

HERE = "tests/security/test_attacks_sign_in.py::test_"
STATE = "openbolt/auth/sign_in_state.py"
SIGN_IN = "openbolt/auth/sign_in.py"
GITHUB = "openbolt/auth/github.py"
ID_TOKENS = "openbolt/auth/_id_tokens.py"
OIDC = "openbolt/auth/oidc.py"
REDIRECTS = "openbolt/auth/redirects.py"
SESSIONS_FILE = "openbolt/auth/sessions.py"

ANY_STATE = Edit(
    STATE,
    'if not hmac.compare_digest(begun, state.encode("utf-8", "surrogatepass")):',
    "if False:",
)
NO_VERIFIER = Edit(GITHUB, '                "code_verifier": attempt.verifier,\n')
NO_CHALLENGE = Edit(
    GITHUB,
    '            "code_challenge": pkce.challenge_of(attempt.verifier),\n'
    '            "code_challenge_method": pkce.METHOD,\n',
)
OLD_SESSION_STAYS = Edit(
    SIGN_IN,
    "        cookie = session_cookie(request, self.settings)\n"
    "        await _end_session(request, cookie.read(request), self.sessions, self.grants)\n"
    "        token, record",
    "        cookie = session_cookie(request, self.settings)\n        token, record",
)
EVERYBODY_IS_ADMITTED = Edit(SIGN_IN, "self.admission.check(signed_in.identity)", "pass")

SIGNING_IN = Layer(
    "Signing in",
    "The way back from an identity provider leads to a session only in the browser that went "
    "there, only for the provider that it went to, only once and only for some minutes. Who "
    "somebody is, is a number that the provider never gives to anybody else.",
    (
        Attack(
            "makes a visitor finish the attacker's own sign-in (login CSRF)",
            "the state has to be the one in this browser's encrypted cookie",
            ("auth/sign_in_state.py",),
            f"{HERE}a_visitor_is_made_to_finish_the_attackers_sign_in",
            (ANY_STATE,),
        ),
        Attack(
            "uses a stolen callback URL in another browser",
            "the same, before the code is redeemed",
            ("auth/sign_in_state.py",),
            f"{HERE}a_callback_is_stolen_and_used_in_the_attackers_browser",
            (ANY_STATE,),
        ),
        Attack(
            "replays a callback with a copy of the browser's cookies",
            "a state is spent by an atomic operation, where the store has one; else the "
            "provider's code works once",
            ("auth/sign_in_state.py",),
            f"{HERE}a_callback_is_replayed_with_a_copy_of_the_browser",
            (Edit(STATE, "if self.atomic is None:", "if True:"),),
        ),
        Attack(
            "puts a stolen code into a sign-in of their own (code injection)",
            "PKCE: a code is redeemed with the verifier of the attempt that it was asked for in",
            ("auth/pkce.py", "auth/github.py", "auth/oidc.py"),
            f"{HERE}a_stolen_code_is_put_into_the_attackers_own_sign_in",
            (NO_CHALLENGE, NO_VERIFIER),
        ),
        Attack(
            "cuts the challenge out on its way to the provider (PKCE downgrade)",
            "the verifier is sent all the same, and fits no code without a challenge",
            ("auth/github.py",),
            f"{HERE}a_code_that_was_asked_for_without_a_challenge_is_injected",
            (NO_VERIFIER,),
        ),
        Attack(
            "brings one provider's answer to another's callback (mix-up)",
            "an attempt names its provider",
            ("auth/sign_in_state.py",),
            f"{HERE}an_answer_is_brought_to_another_providers_callback",
            (Edit(STATE, " or pending.attempt.provider != provider"),),
        ),
        Attack(
            "answers as another issuer",
            "`iss` has to be the provider's, where it comes (RFC 9207)",
            ("auth/github.py", "auth/oidc.py"),
            f"{HERE}an_answer_says_that_another_issuer_gave_it",
            (
                Edit(
                    GITHUB,
                    'if callback.get("iss", self._issuer) != self._issuer:',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "sends parameters of a callback twice",
            "a parameter that comes twice is refused",
            ("auth/sign_in.py",),
            f"{HERE}a_callback_says_everything_twice",
            (Edit(SIGN_IN, "if len(found) != len(pairs):", "if False:"),),
        ),
        Attack(
            "finishes a sign-in long after it was begun",
            "an attempt ends after `sign_in_ttl`",
            ("auth/sign_in_state.py",),
            f"{HERE}a_sign_in_is_finished_long_after_it_was_begun",
            (Edit(STATE, "if pending.expires_at <= self.clock.now():", "if False:"),),
        ),
        Attack(
            "guesses states at the callback",
            "256 random bits; and the rate limit `sign-in` by address",
            ("routes.py", "rate_policies.py"),
            f"{HERE}states_are_guessed_at_the_callback",
            (
                Edit(
                    "openbolt/routes.py",
                    "(*limit_routes(without_forms(_sign_in(graph)), graph.limits), *public_routes)",
                    "(*without_forms(_sign_in(graph)), *public_routes)",
                ),
            ),
        ),
        Attack(
            "registers a login that its owner gave up",
            "a user's id is made of the provider's number, never of a name or an address",
            ("auth/github.py", "auth/users.py"),
            f"{HERE}a_login_that_its_owner_gave_up_is_registered_anew",
            (Edit(GITHUB, "subject=self._subject(number),", "subject=login,"),),
        ),
        Attack(
            "signs in though they are on no list",
            "whoever is on none of the lists is refused before anything of theirs is stored",
            ("auth/admission.py", "auth/sign_in.py"),
            f"{HERE}somebody_who_only_looks_like_one_of_us_signs_in",
            (EVERYBODY_IS_ADMITTED,),
        ),
        Attack(
            "has an e-mail address of ours that isn't verified, or isn't their primary one",
            "only a primary address that the provider has verified counts",
            ("auth/github.py", "auth/admission.py"),
            f"{HERE}somebody_who_only_looks_like_one_of_us_signs_in",
            (Edit(GITHUB, ' and row.get("verified") is True'),),
        ),
        Attack(
            "has an e-mail address in a domain that looks like ours",
            "domains are compared whole, letter by letter, in the DNS's own spelling",
            ("auth/admission.py",),
            f"{HERE}somebody_who_only_looks_like_one_of_us_signs_in",
            (
                Edit(
                    "openbolt/auth/admission.py",
                    'address.partition("@")[2] in self.domains',
                    "address.endswith(tuple(self.domains))",
                ),
            ),
        ),
        Attack(
            "was invited to one of our organizations and hasn't joined",
            "GitHub is asked for the organizations that somebody is in, and names no others",
            ("auth/github.py",),
            f"{HERE}somebody_who_only_looks_like_one_of_us_signs_in",
        ),
        Attack(
            "makes a sign-in link that leads to their own page (open redirect)",
            "where to return to is a path that every parser reads alike, or the front page",
            ("auth/redirects.py",),
            f"{HERE}a_sign_in_link_leads_to_the_attackers_page",
            (
                Edit(
                    REDIRECTS,
                    "if text is None or len(text) > MAX_RETURN_TO or not "
                    "_URL_PATH.fullmatch(text):",
                    "if text is None:",
                ),
                Edit(
                    REDIRECTS,
                    'if "//" in path or "\\\\" in form or _CONTROL.search(form):',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "names a host of their own, to be called back at or to have a page cached for",
            "only listed hosts are answered, each written in one way",
            ("origins.py", "app.py"),
            f"{HERE}a_request_names_another_host_to_be_called_back_at",
            (ANY_HOST,),
        ),
        Attack(
            "does so behind a proxy that lets any host through",
            "`public_url` makes the callback; forwarded hosts are not read",
            ("auth/redirects.py",),
            f"{HERE}the_host_is_left_to_a_proxy_that_lets_any_through",
            (Edit(REDIRECTS, "    if settings.public_url:\n", "    if False:\n"),),
        ),
        Attack(
            "gets a link with their host into what others open",
            "links to shared things are paths; preview hosts are made for loopback names, or from "
            "the setting",
            ("sharing_handler.py", "projects/preview.py"),
            f"{HERE}what_is_made_for_others_to_open_names_the_attackers_host",
            (
                Edit(
                    "openbolt/projects/preview.py",
                    "        if host not in LOOPBACK_HOSTS:\n            return None\n",
                ),
                Edit(
                    "openbolt/projects/preview.py",
                    "{token}.localhost{':' + port if port else ''}/",
                    "{token}.{host}/",
                ),
            ),
        ),
        Attack(
            "plants a session of their own before a sign-in (fixation)",
            "a sign-in ends the session that the browser had, whosever it is",
            ("auth/sign_in.py",),
            f"{HERE}a_session_is_planted_before_sign_in",
            (OLD_SESSION_STAYS,),
        ),
        Attack(
            "plants an id that they made up",
            "ids are made by the server, at sign-in, and never taken from a request",
            ("auth/sessions.py",),
            f"{HERE}an_id_is_made_up_and_planted_before_sign_in",
            (
                Edit(
                    SESSIONS_FILE,
                    "        await self.store.save(record)\n"
                    "        await self._keep_to_the_cap(record)\n",
                    "        if replaces and session_hash(replaces):\n"
                    "            token, id_hash = replaces, session_hash(replaces)\n"
                    "            record = evolve(record, id_hash=id_hash)\n"
                    "        await self.store.save(record)\n"
                    "        await self._keep_to_the_cap(record)\n",
                ),
                Edit(
                    SIGN_IN,
                    "self.sessions.start(user.id, device=device_of(request))",
                    "self.sessions.start(user.id, replaces=cookie.read(request))",
                ),
            ),
        ),
        Attack(
            "uses an id from before a new sign-in",
            "the old session ends where the new one begins",
            ("auth/sign_in.py",),
            f"{HERE}an_id_from_before_a_new_sign_in_is_used_afterwards",
            (OLD_SESSION_STAYS,),
        ),
        Attack(
            "signs an ID token with a key of their own",
            "a signature by a key that the issuer publishes, for that very algorithm",
            ("auth/_id_tokens.py",),
            "tests/auth/test_id_tokens.py::test_a_key_that_isn_t_the_issuer_s_is_refused",
            (
                Edit(
                    ID_TOKENS,
                    '                "verify_exp": False,\n',
                    '                "verify_signature": False,\n'
                    '                "verify_exp": False,\n',
                ),
            ),
        ),
        Attack(
            "takes an ID token that was made for another application, issuer or time",
            "issuer, audience, party and times are checked",
            ("auth/_id_tokens.py",),
            "tests/auth/test_id_tokens.py::test_a_claim_that_is_wrong_is_refused",
            (
                Edit(ID_TOKENS, "            audience=client_id,\n"),
                Edit(
                    ID_TOKENS,
                    '                "verify_exp": False,\n',
                    '                "verify_aud": False,\n                "verify_exp": False,\n',
                ),
            ),
        ),
        Attack(
            "takes an ID token from another attempt (replay)",
            "the nonce is the one of this attempt",
            ("auth/_id_tokens.py",),
            "tests/auth/test_id_tokens.py::test_a_token_for_another_attempt_is_told_from_a_bad_one",
            (
                Edit(
                    ID_TOKENS,
                    "if not nonce or not hmac.compare_digest(given, nonce.encode()):",
                    "if False:",
                ),
            ),
        ),
        Attack(
            "serves metadata that names another issuer, or addresses without TLS",
            "metadata has to name the configured issuer exactly, and https",
            ("auth/oidc.py",),
            "tests/auth/test_oidc.py::test_metadata_that_can_t_be_trusted_is_refused",
            (Edit(OIDC, 'if data.get("issuer") != self.issuer:', "if False:"),),
        ),
        Attack(
            "answers as a provider without end",
            "an answer is read up to 1 MiB",
            ("auth/identity.py",),
            "tests/auth/test_identity.py::test_an_answer_over_the_limit_is_refused_and_let_go",
            (Edit("openbolt/auth/identity.py", "if size > MAX_ANSWER_BYTES:", "if False:"),),
        ),
        Attack(
            "listens between the server and its provider",
            "a provider's address is https, or http on loopback",
            ("auth/_oauth.py",),
            "tests/auth/test_github.py"
            "::test_an_address_that_can_t_be_trusted_with_a_secret_is_refused",
            (
                Edit(
                    "openbolt/auth/_oauth.py",
                    'secure = parts.scheme == "https" or (parts.scheme == "http" and '
                    "is_loopback_url(url))",
                    "secure = True",
                ),
            ),
        ),
    ),
)
