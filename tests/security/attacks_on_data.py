"""Attacks on what is stored, on limits, by what is sent, and by what the server fetches."""

from __future__ import annotations

from tests.security.attacks_on_people import NO_TAG, STORED_AS_IT_IS
from tests.security.attacks_rows import Attack, Edit, Layer, Open

__all__ = ["FETCHES", "INPUT", "LIMITS", "NOT_DEFENDED", "STORED"]

STORE_TESTS = "tests/security/test_attacks_stored.py::test_"
LIMIT_TESTS = "tests/security/test_attacks_limits.py::test_"
INPUT_TESTS = "tests/security/test_attacks_input.py::test_"
SCENARIOS = "tests/security/test_ssrf_scenarios.py::test_"
SECRETS = "openbolt/secrets.py"
GRANTS = "openbolt/auth/grants.py"
ENVELOPE = "openbolt/envelope.py"
CLIENTS = "openbolt/clients.py"
LIMITING = "openbolt/limiting.py"
GUARDS = "openbolt/guards.py"
CONTEXT = 'for part in ("openbolt secret", user_id, name)]'

STORED = Layer(
    "What is stored",
    "Whoever reads the stores finds hashes of credentials and ciphertexts of secrets. Every value "
    "has a data key of its own, under a master key that isn't stored there, and is bound to what it "
    "is for.",
    (
        Attack(
            "reads the stores for something to sign in with",
            "credentials are stored as hashes, secrets encrypted",
            ("auth/tokens.py", "secrets.py"),
            f"{STORE_TESTS}the_stores_are_read_for_something_to_sign_in_with",
            (STORED_AS_IT_IS,),
        ),
        Attack(
            "reads the stores for tokens of the identity provider",
            "they are encrypted for their session",
            ("auth/grants.py",),
            f"{STORE_TESTS}the_stores_are_read_for_something_to_sign_in_with",
            (
                Edit(
                    GRANTS,
                    "sealed = await self.cipher.encrypt(said, context=grant_context(record))",
                    "sealed = said",
                ),
            ),
        ),
        Attack(
            "moves a secret's ciphertext to another user",
            "a secret is bound to its user",
            ("secrets.py", "envelope.py"),
            f"{STORE_TESTS}a_secret_is_moved_to_another_user",
            (Edit(SECRETS, CONTEXT, 'for part in ("openbolt secret", name)]'),),
        ),
        Attack(
            "moves a secret's ciphertext to another name",
            "a secret is bound to its name",
            ("secrets.py", "envelope.py"),
            f"{STORE_TESTS}a_secret_is_moved_to_another_name",
            (Edit(SECRETS, CONTEXT, 'for part in ("openbolt secret", user_id)]'),),
        ),
        Attack(
            "moves a provider's tokens to another session",
            "they are bound to their session",
            ("auth/grants.py",),
            "tests/auth/test_grants.py"
            "::test_a_grant_that_was_moved_to_another_session_doesn_t_open",
            (
                Edit(
                    GRANTS,
                    'return b"openbolt grant\\0" + record.id_hash.encode()',
                    'return b"openbolt grant"',
                ),
            ),
        ),
        Attack(
            "has something encrypted for one purpose and uses it for another",
            "what a ciphertext is for is authenticated with it",
            ("envelope.py",),
            f"{STORE_TESTS}what_was_encrypted_for_something_else_is_a_sign_in_on_its_way",
            (
                Edit(
                    ENVELOPE,
                    "        data_key = self._random(_KEY_BYTES)\n",
                    '        context, data_key = b"", self._random(_KEY_BYTES)\n',
                ),
                Edit(
                    ENVELOPE,
                    "        parts = _Parts.of(ciphertext)\n"
                    "        data_key = await self._data_key(parts, context)\n"
                    "        return await self._open(",
                    '        parts, context = _Parts.of(ciphertext), b""\n'
                    "        data_key = await self._data_key(parts, context)\n"
                    "        return await self._open(",
                ),
            ),
        ),
        Attack(
            "changes a ciphertext, byte by byte",
            "AES-256-GCM; every byte is authenticated",
            ("envelope.py",),
            f"{STORE_TESTS}a_secret_has_any_byte_changed",
            (NO_TAG,),
        ),
        Attack(
            "compares or combines ciphertexts",
            "a new data key and a new nonce each time",
            ("envelope.py",),
            "tests/conformance/test_crypto.py::test_no_two_values_share_a_data_key_or_a_nonce",
            (
                Edit(
                    ENVELOPE,
                    "nonce = self._random(_NONCE_BYTES)",
                    "nonce = bytes(_NONCE_BYTES)",
                ),
            ),
        ),
        Attack(
            "reads a secret back through the API",
            "no route gives it out: its name, its dates, its last four characters",
            ("secrets.py",),
            f"{STORE_TESTS}a_secret_is_read_back",
            (Edit(SECRETS, "last_four = value[-4:] if", "last_four = value if"),),
        ),
        Attack(
            "reads the operator's secrets from a dump of the settings",
            "what is secret is held so that nothing that prints or writes values shows it",
            ("hidden.py", "settings.py"),
            "tests/core/test_settings.py::test_no_dump_of_settings_holds_a_secret",
            (
                Edit(
                    "openbolt/hidden.py",
                    "return \"Hidden('***')\"",
                    'return f"Hidden({self.reveal()!r})"',
                ),
            ),
        ),
    ),
)

LIMITS = Layer(
    "Limits",
    "Limits count users where somebody is signed in, and addresses where nobody is. An address is "
    "the connection's own, or what trusted proxies vouch for.",
    (
        Attack(
            "says with every guess that it comes from somewhere else",
            "forwarding fields count only from `trusted_proxies`",
            ("clients.py",),
            f"{LIMIT_TESTS}every_guess_says_it_comes_from_somewhere_else",
            (Edit(CLIENTS, "    if not proxies.trust(nearest):\n        return nearest\n"),),
        ),
        Attack(
            "forges the past of a request before a trusted proxy",
            "the fields are read from the right, up to the first that isn't a trusted proxy's",
            ("clients.py",),
            f"{LIMIT_TESTS}a_guess_comes_with_a_forged_past_through_a_proxy",
            (Edit(CLIENTS, "for hop in reversed(hops):", "for hop in hops:"),),
        ),
        Attack(
            "takes another address of their IPv6 network for every guess",
            "an IPv6 /64 counts as one",
            ("clients.py",),
            f"{LIMIT_TESTS}every_guess_comes_from_another_address_of_one_subscriber",
            (Edit(CLIENTS, "_SITE = 64", "_SITE = 128"),),
        ),
        Attack(
            "spells one address in many ways",
            "IPv4 within IPv6 is IPv4",
            ("clients.py",),
            f"{LIMIT_TESTS}one_address_is_spelled_in_many_ways",
            (Edit(CLIENTS, "return address.ipv4_mapped or address", "return address"),),
        ),
        Attack(
            "makes more keys and sessions to ask more often",
            "all of a user's count together",
            ("limiting.py",),
            f"{LIMIT_TESTS}more_keys_and_sessions_are_made_to_ask_more_often",
            (
                Edit(
                    LIMITING,
                    'return f"user:{principal.user_id}"',
                    'return f"user:{principal.user_id}/{principal.api_key}/{principal.session}"',
                ),
            ),
        ),
        Attack(
            "uses up somebody else's limits",
            "addresses and users are counted apart",
            ("limiting.py",),
            f"{LIMIT_TESTS}somebody_uses_up_the_limit_of_somebody_else",
            (
                Edit(
                    LIMITING,
                    'return f"address:{address_group(self.address(request))}"',
                    'return "address:everybody"',
                ),
            ),
        ),
        Attack(
            "brings the limiter down first",
            "limits on guesses and on what costs money let nobody in while they can't count",
            ("limiting.py", "rate_policies.py"),
            "tests/handlers/test_rate_limits.py"
            "::test_a_policy_that_fails_closed_lets_nobody_in_without_a_store",
            (Edit(LIMITING, 'if policy.fails == "closed":', "if False:"),),
        ),
    ),
)

INPUT = Layer(
    "What is sent, and what is said",
    "Every field and body is read strictly, within limits. Errors say what their reader has to know; "
    "the rest is in the log, and secrets are in neither: the whole run of the tests is watched for "
    "them (`tests/security/canaries.py`).",
    (
        Attack(
            "sends odd values in every header field",
            "what can't be read counts as absent or is refused; nothing that was sent becomes a "
            "field of the answer",
            ("guards.py", "origins.py", "auth/cookies.py"),
            f"{INPUT_TESTS}every_field_is_sent_with_odd_values",
            (
                Edit(
                    GUARDS,
                    "given if _REQUEST_ID.fullmatch(given) else tokens.token()",
                    "given or tokens.token()",
                ),
            ),
        ),
        Attack(
            "sends cookies and credentials of random text",
            "parsing them never fails, and never makes somebody of nobody",
            ("auth/cookies.py", "auth/authenticator.py"),
            f"{INPUT_TESTS}no_field_and_no_cookie_is_a_bug_or_somebody",
        ),
        Attack(
            "sends a thousand cookies and a megabyte of fields",
            "reading them takes time in proportion to their length",
            ("auth/cookies.py", "clients.py"),
            f"{INPUT_TESTS}a_thousand_cookies_and_a_megabyte_of_fields_come",
        ),
        Attack(
            "sends JSON that explodes: nested, endless numbers, names twice",
            "what can't be read is a 400",
            ("bodies.py",),
            f"{INPUT_TESTS}a_body_explodes",
            (
                Edit(
                    "openbolt/bodies.py",
                    "except (ValueError, RecursionError) as exc:",
                    "except ValueError as exc:",
                ),
            ),
        ),
        Attack(
            "sends a body without end",
            "bodies are read up to their route's limit",
            ("http.py",),
            "tests/core/test_bodies.py"
            "::test_an_undeclared_length_over_the_limit_is_a_413_as_soon_as_it_shows",
            (Edit("openbolt/http.py", "if size > limit:", "if False:"),),
        ),
        Attack(
            "sends secrets in wrong places, to read them in errors",
            "errors name fields, and never repeat a value",
            ("bodies.py", "secrets.py"),
            f"{INPUT_TESTS}errors_are_asked_for_secrets",
            (
                Edit(
                    SECRETS,
                    'f"value: is over {limit} bytes"',
                    'f"value: {value[:40]} is over {limit} bytes"',
                ),
            ),
        ),
        Attack(
            "reads in errors what is meant for the operator",
            "what nobody foresaw and what is wrong with the configuration says nothing of itself",
            ("guards.py",),
            "tests/handlers/test_guards.py"
            "::test_an_error_becomes_a_status_a_json_body_and_its_headers",
            (
                Edit(
                    GUARDS,
                    "error = OpenBoltError(_INTERNAL)",
                    "error = OpenBoltError(str(error))",
                ),
            ),
        ),
        Attack(
            "reads capabilities in the log",
            "paths are never logged",
            ("guards.py",),
            "tests/handlers/test_guards.py"
            "::test_a_path_is_never_logged_since_it_may_be_a_capability",
            (
                Edit(
                    GUARDS,
                    '_log.error("%s request %s failed", request.method, request_id,',
                    '_log.error("%s request %s failed", request.path, request_id,',
                ),
            ),
        ),
        Attack(
            "finds out what others have, or once had",
            "the same words for what is another's and for what never was",
            ("access.py", "auth/authenticator.py"),
            f"{INPUT_TESTS}who_has_an_account_is_found_out",
            (
                Edit(
                    "openbolt/access.py",
                    "raise no_such(resource.kind)\n    raise _scope_missing",
                    'raise ForbiddenError("It is somebody else\'s.")\n    raise _scope_missing',
                ),
            ),
        ),
        Attack(
            "finds a secret out by how long a comparison takes",
            "secrets are looked up by hash, or compared in constant time",
            ("access.py", "auth/sign_in_state.py", "auth/_id_tokens.py", "privacy.py"),
            f"{INPUT_TESTS}a_secret_is_found_out_by_how_long_a_comparison_takes",
            (
                Edit(
                    "openbolt/access.py",
                    "if hmac.compare_digest(given, self.password.encode()):",
                    "if given == self.password.encode():",
                ),
            ),
        ),
    ),
)

FETCHES = Layer(
    "What the server fetches for others",
    "Every URL that a user names goes through the [fetch guard](fetch-guard.md): read in one way, "
    "looked up once, connected to an address that was checked. Its tests have some 190 URLs and "
    "scenarios over real sockets; these are the kinds.",
    (
        Attack(
            "writes an inner address in one of its many forms",
            "an address is read as a browser reads it, and has to be globally reachable",
            ("proxy/addresses.py", "proxy/policy.py"),
            "tests/security/test_ssrf_table.py"
            "::test_a_refused_url_is_refused_before_anything_is_sent",
            (
                Edit(
                    "openbolt/proxy/policy.py",
                    "if target.address is not None:\n            self._check",
                    "if False:\n            self._check",
                ),
            ),
        ),
        Attack(
            "names a host that leads inside, among other places",
            "every address of a name is checked, and one that is forbidden refuses all",
            ("proxy/policy.py",),
            f"{SCENARIOS}a_name_with_any_forbidden_address_is_refused_whole",
            (
                Edit(
                    "openbolt/proxy/policy.py", "for address in found:", "for address in found[:1]:"
                ),
            ),
        ),
        Attack(
            "changes where a name leads, once it was checked (DNS rebinding)",
            "the sender is told the address; nobody looks the name up again",
            ("proxy/guard.py",),
            f"{SCENARIOS}a_name_is_looked_up_once_and_its_second_answer_changes_nothing",
            (Edit("openbolt/proxy/guard.py", "evolve(request, connect_to=str(last))", "request"),),
        ),
        Attack(
            "redirects inside",
            "each redirect is a request that is checked like the first",
            ("proxy/guard.py", "proxy/fetching.py"),
            f"{SCENARIOS}a_redirect_is_checked_like_the_first_url",
            (
                Edit(
                    "openbolt/proxy/guard.py",
                    "        target = self.policy.admit(request.url)\n        found =",
                    "        target = Target.parse(request.url)\n        found =",
                ),
            ),
        ),
        Attack(
            "redirects to a server of their own, to be sent the credentials",
            "credentials stay with the origin that they were meant for",
            ("proxy/redirects.py",),
            f"{SCENARIOS}credentials_stay_with_their_origin_and_never_come_back",
            (
                Edit(
                    "openbolt/proxy/redirects.py",
                    "if here.origin != there.origin:",
                    "if False:",
                ),
            ),
        ),
        Attack(
            "redirects from https to http",
            "refused",
            ("proxy/redirects.py",),
            f"{SCENARIOS}tls_proves_the_name_at_the_pinned_address_and_is_never_left",
            (
                Edit(
                    "openbolt/proxy/redirects.py",
                    'if (here.scheme, there.scheme) == ("https", "http"):',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "asks the cloud's metadata service",
            "its addresses are forbidden, the public ones among them, and so is every link-local one",
            ("proxy/addresses.py",),
            "tests/security/test_ssrf_table.py"
            "::test_a_refused_url_is_refused_before_anything_is_sent",
            (Edit("openbolt/proxy/addresses.py", '        ("169.254.0.0/16", "link-local"),\n'),),
        ),
        Attack(
            "writes a URL that two libraries read differently",
            "what isn't read alike by all is refused",
            ("proxy/targets.py",),
            "tests/security/test_ssrf_table.py"
            "::test_a_refused_url_is_refused_before_anything_is_sent",
            (
                Edit(
                    "openbolt/proxy/targets.py",
                    'if "\\\\" in text:',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "sends an archive bomb",
            "unpacked bytes are counted against limits before they are handed on",
            ("proxy/decoding.py",),
            "tests/core/test_fetch_guard_decoding.py::test_more_than_may_be_unpacked_is_refused",
            (
                Edit(
                    "openbolt/proxy/decoding.py",
                    "if self._decoded > self._max_decoded:",
                    "if False:",
                ),
            ),
        ),
    ),
)

NOT_DEFENDED = (
    Open(
        "Somebody who writes the stores puts an older record back: a secret of before, a session "
        "that was ended. (Ciphertexts can't be read, moved or changed, but their age isn't known.)",
        "Give write access to the stores to nobody but the application; restore backups whole.",
        f"{STORE_TESTS}whoever_writes_the_store_puts_an_older_secret_back",
    ),
    Open(
        "Somebody who writes the stores adds a session or a key for any user, and uses that user's "
        "secrets through the application (without seeing them).",
        "The same.",
    ),
    Open(
        "Somebody who has both the stores and the master keys, or the memory of the process.",
        "Keep master keys apart from the data and its backups, and rotate them "
        "([how](../how-to/rotate-keys.md)).",
    ),
    Open(
        "A program on the user's device, or a script in the page: it can't read the cookie, and "
        "acts as the user while it runs.",
        "Sessions can be listed and ended. The page loads no script of others "
        "(Content-Security-Policy).",
    ),
    Open(
        "A cookie or a key that was stolen works from anywhere until it ends: it isn't bound to a "
        "device or an address.",
        "Shorter `session_ttl` and `session_idle_ttl`; keys with few scopes and an end.",
    ),
    Open(
        "Somebody who was taken off `allowed_users`, `allowed_orgs` or `allowed_email_domains` "
        "stays signed in until the session ends: the lists are looked at when people sign in.",
        "End their sessions and keys: `Sessions.revoke_all`, `ApiKeys.revoke_all`.",
    ),
    Open(
        "Whoever holds a link to a shared thing or to a preview reads it, and may hand it on. "
        "Preview tokens are stored as they are.",
        "Revoke links; previews end by themselves (`preview_ttl`). Keep paths out of your proxy's "
        "log.",
    ),
    Open(
        "Guessing from very many networks at once: limits count addresses.",
        "What is random can't be guessed (256 bits, 128 for a preview). For a shared password, take "
        "a long one; or let people sign in.",
    ),
    Open(
        "More requests than the machine can take, and requests without a credential that is looked "
        "up: refusing them costs a look into the store.",
        "A proxy or a network in front that limits connections.",
    ),
    Open(
        "On loopback without TLS, other programs of the same machine set and read cookies, and any "
        "port of the same host shares them.",
        "That is for developing. Everywhere else there is TLS.",
    ),
    Open(
        "Where the store lags behind (Cloudflare's KV, up to a minute), a session or a key that was "
        "ended is taken for so long in other places. Links are not affected.",
        "Keep sessions in a `SessionStore` that doesn't lag.",
    ),
    Open(
        "Other libraries at level DEBUG write what they send and store (header fields, SQL "
        "parameters) into the log.",
        "Set DEBUG for `openbolt` alone.",
    ),
    Open(
        "A model that is talked into writing harmful code. That its code gets out of the preview or "
        "the project is defended.",
        "Look at what you run.",
    ),
)
