"""Attacks through what is forwarded: the proxy, Git, and the model for apps under construction."""

from __future__ import annotations

from tests.security.attacks_edits import ROUTES_TAKE_ALL_KEYS, WRITES_FROM_ANYWHERE
from tests.security.attacks_rows import Attack, Edit, Layer

__all__ = ["FORWARDED"]

HERE = "tests/security/test_attacks_forwarded.py::test_"
WIRE = "tests/proxy/test_wire.py::test_"
PROXY = "tests/handlers/test_proxy.py::test_"
GIT = "tests/handlers/test_git_proxy.py::test_"
GATEWAY = "tests/handlers/test_gateway.py::test_"
HEADERS = "openbolt/proxy/headers.py"
HANDLER = "openbolt/proxy/handler.py"
APP_TOKENS = "openbolt/proxy/app_tokens.py"

FORWARDED = Layer(
    "What is forwarded",
    "The proxy forwards to configured servers with secrets that never leave the server; Git's "
    "requests go to listed hosts; an app under construction calls the model with a token of its "
    "own, within a budget.",
    (
        Attack(
            "spells a path so that it leads out of what may be asked",
            "a path that could be read as another one is refused, and written anew",
            ("proxy/paths.py",),
            "tests/proxy/test_paths.py::test_a_path_that_could_be_read_as_another_is_refused",
            (
                Edit(
                    "openbolt/proxy/paths.py",
                    'if name.strip(" ") and not name.strip(". "):',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "sends fields that the upstream believes of a proxy, or the caller's own credentials",
            "only listed fields cross, and some never",
            ("proxy/headers.py", "proxy/fields.py"),
            f"{WIRE}a_field_that_stays_with_the_client_never_reaches_the_upstream",
            (
                Edit(
                    HEADERS, 'if name in allowed and name.replace("_", "-") not in taken', "if name"
                ),
            ),
        ),
        Attack(
            "has an upstream set cookies or policies for our origin",
            "the same on the way back",
            ("proxy/headers.py", "proxy/fields.py"),
            f"{WIRE}a_field_that_is_the_upstreams_own_never_reaches_the_client",
            (
                Edit(
                    HEADERS,
                    '        if name in allowed\n        and name not in {"cache-control", "vary", '
                    '"content-type"}\n        and not is_never(name, HOP_BY_HOP)\n',
                    '        if name not in {"cache-control", "vary", "content-type"}\n',
                ),
            ),
        ),
        Attack(
            "has an upstream answer with a page that runs in our origin",
            "what a browser could run is only offered for download, in a sandbox besides",
            ("proxy/headers.py",),
            f"{PROXY}what_a_browser_could_run_is_only_offered_for_download",
            (Edit(HEADERS, "if not is_inert(kind):", "if False:"),),
        ),
        Attack(
            "has an upstream echo the secret that was put in",
            "what comes back is searched for it, and it is covered",
            ("proxy/streaming.py", "proxy/answers.py", "proxy/headers.py"),
            f"{HERE}an_upstream_says_the_secret_again",
            (
                Edit(
                    "openbolt/proxy/answers.py",
                    "    mask = SecretMask(secrets)\n",
                    "    mask = SecretMask(())\n",
                ),
            ),
        ),
        Attack(
            "smuggles a second request in a body of doubtful length",
            "a head that servers could read differently is refused, whatever server let it in",
            ("proxy/headers.py",),
            f"{HERE}a_second_request_is_smuggled_in_a_body",
            (Edit(HANDLER, "        check_framing(request.headers)\n"),),
        ),
        Attack(
            "asks through the proxy with a visitor's cookie, from another site",
            "only our own pages and programs ask, to read as well",
            ("proxy/handler.py", "origins.py"),
            f"{HERE}another_site_asks_with_a_visitors_cookie",
            (
                Edit(
                    HANDLER,
                    "return await refuse_cross_site_writes(as_it_came, trusted)"
                    '(evolve(request, method="POST"))',
                    "return await handler(request)",
                ),
            ),
        ),
        Attack(
            "makes an answer of the proxy a part of a page",
            "what a script, a style sheet or a frame would be made of is refused",
            ("proxy/handler.py",),
            f"{PROXY}only_our_own_pages_ask_and_only_to_read",
            (
                Edit(
                    HANDLER,
                    "if any(each.lower() not in _READ_AS for each in "
                    'headers.get_all("sec-fetch-dest")):',
                    "if False:",
                ),
            ),
        ),
        Attack(
            "is forwarded without the right to be",
            "the scope `proxy`, for keys",
            ("access.py", "routes.py"),
            f"{HERE}somebody_without_the_right_is_forwarded",
            (ROUTES_TAKE_ALL_KEYS,),
        ),
        Attack(
            "reads from the proxy's cache what another user was answered",
            "what is kept is kept for one user, unless the operator says it is shared",
            ("proxy/handler.py", "proxy/caching.py"),
            "tests/proxy/test_caching.py::test_each_user_has_their_own",
            (Edit(HANDLER, 'scope="*" if rules.shared else user_id', 'scope="*"'),),
        ),
        Attack(
            "uses the Git proxy for another host",
            "hosts are listed, and are asked at checked addresses",
            ("proxy/git.py", "proxy/guard.py"),
            f"{GIT}a_host_that_is_not_listed_is_refused",
        ),
        Attack(
            "has a Git host redirect elsewhere, with the credentials",
            "a redirect leads to the same path at a listed host, or ends there",
            ("proxy/git.py",),
            f"{GIT}a_redirect_to_anything_else_ends_there",
            (
                Edit(
                    "openbolt/proxy/git.py",
                    "            or not target.path.endswith(asked.tail)\n",
                ),
            ),
        ),
        Attack(
            "uses an app's token for something else than the model",
            "a token is looked at by the gateway alone",
            ("proxy/apps.py",),
            f"{GATEWAY}a_token_opens_nothing_but_the_gateway",
        ),
        Attack(
            "uses an app's token after its end, or after its project",
            "both are looked at with every call",
            ("proxy/app_tokens.py",),
            f"{GATEWAY}a_token_is_worthless_once_it_is_over",
            (
                Edit(
                    APP_TOKENS,
                    "if ledger is None or ledger.token.expires_at <= self.clock.now():",
                    "if ledger is None:",
                ),
            ),
        ),
        Attack(
            "spends more than a token's budget by many calls at once",
            "what a call may cost is reserved before it is sent",
            ("proxy/app_tokens.py",),
            f"{GATEWAY}calls_at_once_overspend_by_one_calls_cap_at_most",
            (
                Edit(
                    APP_TOKENS,
                    "if ledger.spent + ledger.reserved >= ledger.token.max_usd:",
                    "if ledger.spent >= ledger.token.max_usd:",
                ),
            ),
        ),
        Attack(
            "sends an app's token beside another credential",
            "two are none",
            ("proxy/apps.py",),
            f"{GATEWAY}two_credentials_are_none",
            (
                Edit(
                    "openbolt/proxy/apps.py",
                    "if len(given) == 1 == len(bearers) else None",
                    "if bearers else None",
                ),
            ),
        ),
        Attack(
            "calls the model from another site's page in a visitor's name",
            "without a token the gateway is a route like any other: no write from other origins",
            ("proxy/apps.py", "origins.py"),
            f"{GATEWAY}without_a_token_no_page_calls_in_a_visitors_name",
            (WRITES_FROM_ANYWHERE,),
        ),
    ),
)
