"""Attacks by what is sent and by what the server fetches; and what is not defended."""

from __future__ import annotations

from tests.security.attacks_rows import Attack, Edit, Layer, Open

__all__ = ["FETCHES", "INPUT", "NOT_DEFENDED"]

STORE_TESTS = "tests/security/test_attacks_stored.py::test_"
INPUT_TESTS = "tests/security/test_attacks_input.py::test_"
SCENARIOS = "tests/security/test_ssrf_scenarios.py::test_"
SECRETS = "openbolt/secrets.py"
GUARDS = "openbolt/guards.py"

INPUT = Layer(
    "What is sent, and what is said",
    "Every field and body is read strictly, within limits. Errors say what their reader has to "
    "know; the rest is in the log, and secrets are in neither: the whole run of the tests is "
    "watched for them (`tests/security/canaries.py`).",
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
                    "given if given and _REQUEST_ID.fullmatch(given) else tokens.token()",
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
            "its addresses are forbidden, public ones among them, and so is every link-local one",
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
        "What is random can't be guessed (256 bits, 128 for a preview). For a shared password, "
        "take a long one; or let people sign in.",
    ),
    Open(
        "More requests than the machine can take. Requests with made-up sessions aren't counted as "
        "guesses, as made-up keys and passwords are: refusing one costs a look into the store.",
        "A proxy or a network in front that limits connections.",
    ),
    Open(
        "On loopback without TLS, other programs of the same machine set and read cookies, and any "
        "port of the same host shares them.",
        "That is for developing. Everywhere else there is TLS.",
    ),
    Open(
        "Where the store lags behind (Cloudflare's KV, up to a minute), a session or a key that "
        "was ended is taken for so long in other places. Links are not affected.",
        "Keep sessions in a `SessionStore` that doesn't lag.",
    ),
    Open(
        "Other libraries at level DEBUG write what they send (header fields) into the log, and an "
        "`httpx.AsyncClient` of yours, given to `HttpxSender`, whole URLs at level INFO.",
        "Set levels for `openbolt` alone.",
    ),
    Open(
        "A model that is talked into writing harmful code. That its code gets out of the preview "
        "or the project is defended.",
        "Look at what you run.",
    ),
)
