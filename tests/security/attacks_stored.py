"""Attacks on what is stored, and on limits."""

from __future__ import annotations

from tests.security.attacks_edits import NO_TAG, STORED_AS_IT_IS
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["LIMITS", "STORED"]

AES = "openbolt_local/crypto.py"
STORE_TESTS = "tests/security/test_attacks_stored.py::test_"
LIMIT_TESTS = "tests/security/test_attacks_limits.py::test_"
SECRETS = "openbolt/secrets.py"
GRANTS = "openbolt/auth/grants.py"
ENVELOPE = "openbolt/envelope.py"
CLIENTS = "openbolt/clients.py"
LIMITING = "openbolt/limiting.py"
CONTEXT = 'for part in ("openbolt secret", user_id, name)]'

STORED = Layer(
    "What is stored",
    "Whoever reads the stores finds hashes of credentials and ciphertexts of secrets. Every value "
    "has a data key of its own, under a master key that isn't stored there, and is bound to what "
    "it is for.",
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
            (Edit(CLIENTS, "_SITE = 64", "_SITE = 0"),),
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
