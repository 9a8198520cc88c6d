"""Who is let in: the local user, whoever knows the password, and nobody else."""

import base64
from collections.abc import Awaitable, Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.access import (
    SCOPES,
    Action,
    Kind,
    LinkBearer,
    LocalUser,
    Resource,
    Scope,
    Scoped,
    SharedPassword,
    can,
    no_such,
    owner_of,
    require,
    scoped,
    scoped_routes,
    with_optional_principal,
    with_principal,
)
from openbolt.errors import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    OpenBoltError,
    UnauthenticatedError,
)
from openbolt.http import EMPTY_BODY, Headers, Principal, Request, RequestContext, Response
from openbolt.protocols import Authenticator
from openbolt.routing import Route

PASSWORD = "correct horse: battery ☃"


def request_of(*authorization: str) -> Request:
    context = RequestContext(spawn=lambda _: None)
    headers = Headers(("authorization", value) for value in authorization)
    return Request("GET", "/", headers, EMPTY_BODY, context)


def basic(password: bytes, *, user: bytes = b"me", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


async def refusal(request: Request, password: str = PASSWORD) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as caught:
        await SharedPassword(password).authenticate(request)
    return caught.value


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("user", [b"", b"me", "é".encode(), b"\xff"])
async def test_the_right_password_lets_in_under_any_name(scheme: str, user: bytes) -> None:
    request = request_of(basic(PASSWORD.encode(), user=user, scheme=scheme))
    assert await SharedPassword(PASSWORD).authenticate(request) == Principal("local", "Local user")


@pytest.mark.parametrize(
    "value",
    [
        basic(b"wrong"),
        basic(b""),
        basic(PASSWORD.encode() + b" "),
        basic(PASSWORD.encode()[:-1]),
        basic(PASSWORD.upper().encode()),
        basic(PASSWORD.encode("utf-16")),
        basic(PASSWORD.encode(), scheme="Bearer"),
        "Basic " + base64.b64encode(PASSWORD.encode()).decode(),
        "Basic",
        "Basic ",
        "Basic \xff\xfe",
        "Basic ====",
        "Basic " + basic(PASSWORD.encode()),
        PASSWORD.encode().decode("latin-1"),
        "",
    ],
)
async def test_anything_else_is_asked_for_the_password(value: str) -> None:
    error = await refusal(request_of(value))
    assert (error.status_hint, error.challenge) == (
        401,
        'Basic realm="openbolt", charset="UTF-8"',
    )


async def test_without_the_field_the_browser_is_asked() -> None:
    assert (await refusal(request_of())).challenge is not None


@given(st.text(min_size=1), st.text())
async def test_exactly_the_password_lets_in(password: str, given_one: str) -> None:
    try:
        raw = given_one.encode()
        password.encode()
    except UnicodeEncodeError:
        return
    request = request_of(basic(raw))
    if password == given_one:
        assert await SharedPassword(password).authenticate(request) is not None
    else:
        await refusal(request, password)


async def test_the_password_is_compared_in_constant_time() -> None:
    assert "compare_digest" in SharedPassword.authenticate.__code__.co_names


def test_no_password_is_no_protection_and_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SharedPassword("")
    assert caught.value.setting == "password"


def test_the_password_is_not_shown() -> None:
    assert PASSWORD not in repr(SharedPassword(PASSWORD))


async def test_the_local_user_needs_nothing() -> None:
    assert await LocalUser().authenticate(request_of()) == Principal("local", "Local user")


class Nobody:
    async def authenticate(self, request: Request, /) -> Principal | None:
        return None


async def test_the_guard_hands_the_principal_on_or_answers_401() -> None:
    async def handler(request: Request, /) -> Response:
        return Response(200, body=owner_of(request).encode())

    answer = await with_principal(handler, LocalUser(Principal("u1")))(request_of())
    assert answer.body == b"u1"
    with pytest.raises(UnauthenticatedError):
        await with_principal(handler, Nobody())(request_of())
    with pytest.raises(UnauthenticatedError):
        await handler(request_of())


async def who(request: Request, /) -> Response:
    principal = request.context.principal
    return Response(200, body=(principal.user_id if principal else "nobody").encode())


async def test_an_open_route_is_told_who_asks_if_anybody_is_known() -> None:
    for authenticator, said in ((LocalUser(Principal("u1")), b"u1"), (Nobody(), b"nobody")):
        answer = await with_optional_principal(who, authenticator)(request_of())
        assert answer.body == said


async def test_an_open_route_believes_nothing_that_was_claimed_before() -> None:
    claimed = request_of().with_context(principal=Principal("claimed"))
    assert (await with_optional_principal(who, Nobody())(claimed)).body == b"nobody"


async def test_what_an_authenticator_refuses_is_refused_on_open_routes_too() -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        await with_optional_principal(who, SharedPassword(PASSWORD))(request_of(basic(b"wrong")))
    assert caught.value.challenge is not None


@pytest.mark.parametrize("guard", [with_principal, with_optional_principal])
@pytest.mark.parametrize(
    "user_id", ["", "a/b", "../ann", "ann@mail.test", "a b", "a\n", "a\0", "é", "a:b", "x" * 129]
)
async def test_a_user_id_that_could_name_anothers_keys_is_never_let_in(
    guard: Callable[..., Callable[[Request], Awaitable[Response]]], user_id: str
) -> None:
    with pytest.raises(ConfigurationError, match="user id") as caught:
        await guard(who, LocalUser(Principal(user_id)))(request_of())
    assert caught.value.setting == "authenticator"


@pytest.mark.parametrize("user_id", ["a", "x" * 128, "github.1", "A-Z_0.9"])
async def test_every_user_id_of_the_documented_form_is_let_in(user_id: str) -> None:
    guards: tuple[Callable[..., Callable[[Request], Awaitable[Response]]], ...] = (
        with_principal,
        with_optional_principal,
    )
    for guard in guards:
        authenticator: Authenticator = LocalUser(Principal(user_id))
        assert (await guard(who, authenticator)(request_of())).body == user_id.encode()


ACTIONS: tuple[Action, ...] = get_args(Action)
KINDS: tuple[Kind, ...] = get_args(Kind)
OWNERS = ("ann", "bob", "a", "")
# What each kind of thing asks of a key.
ASKED: dict[Kind, Scope] = {"project": "projects", "preview": "projects", "chat": "chat"}

resources = st.builds(
    Resource,
    st.sampled_from(KINDS),
    st.sampled_from(OWNERS),
    st.sampled_from(["", "1", "2", "read:project:1"]),
)
scopes = st.none() | st.frozensets(st.sampled_from(SCOPES))
principals = st.builds(
    Principal,
    st.sampled_from(OWNERS),
    scopes=scopes,
    session=st.none() | st.just("s"),
    api_key=st.none() | st.just("k"),
)
bearers = st.builds(LinkBearer.of, resources)
actions = st.sampled_from(ACTIONS)


@given(actions, resources)
def test_nobody_may_do_nothing(action: Action, resource: Resource) -> None:
    assert can(None, action, resource) is False


@given(principals | bearers, actions, resources)
def test_no_one_reaches_beyond_their_own_things(
    principal: Principal, action: Action, resource: Resource
) -> None:
    if can(principal, action, resource):
        assert principal.user_id == resource.owner


@given(st.sampled_from(OWNERS), actions, resources)
def test_whoever_signed_in_may_do_everything_with_their_own(
    owner: str, action: Action, resource: Resource
) -> None:
    assert can(Principal(owner), action, resource) is (owner == resource.owner)


@given(principals | bearers, actions, resources)
def test_whoever_may_change_delete_or_share_a_thing_may_read_it(
    principal: Principal, action: Action, resource: Resource
) -> None:
    if can(principal, action, resource):
        assert can(principal, "read", resource)


@given(principals, st.sampled_from(SCOPES), actions, resources)
def test_a_scope_less_never_allows_more(
    principal: Principal, scope: Scope, action: Action, resource: Resource
) -> None:
    held = frozenset(SCOPES) if principal.scopes is None else principal.scopes
    fewer = Principal(principal.user_id, scopes=held - {scope})
    if can(fewer, action, resource):
        assert can(principal, action, resource)


@given(st.frozensets(st.sampled_from(SCOPES)), actions, st.sampled_from(KINDS))
def test_a_key_may_do_what_its_scopes_say_and_sharing_takes_the_account_s_besides(
    held: frozenset[Scope], action: Action, kind: Kind
) -> None:
    needed = {ASKED.get(kind, "admin")} | ({"admin"} if action == "share" else set())
    assert can(Principal("ann", scopes=held), action, Resource(kind, "ann", "1")) is (
        needed <= held
    )


@given(resources, actions, resources)
def test_a_links_bearer_reads_one_thing_and_does_nothing_else(
    only: Resource, action: Action, resource: Resource
) -> None:
    allowed = can(LinkBearer.of(only), action, resource)
    assert allowed is (action == "read" and resource == only)


def refused(principal: Principal, action: Action, resource: Resource) -> OpenBoltError | None:
    try:
        require(principal, action, resource)
    except (NotFoundError, ForbiddenError) as error:
        return error
    return None


@given(principals | bearers, actions, resources)
def test_what_is_refused_is_not_found_unless_it_is_ones_own_and_a_scope_is_missing(
    principal: Principal, action: Action, resource: Resource
) -> None:
    error = refused(principal, action, resource)
    assert (error is None) is can(principal, action, resource)
    is_own = principal.user_id == resource.owner and not isinstance(principal, LinkBearer)
    if isinstance(error, NotFoundError):
        assert not is_own
        assert str(error) == str(no_such(resource.kind)), "another's thing reads as one less"
    elif error is not None:
        assert is_own
        assert error.code == "scope_missing"
        named = next(scope for scope in SCOPES if repr(scope) in str(error))
        assert named not in (principal.scopes or ())


def test_the_application_acts_for_a_user_by_their_id() -> None:
    require("ann", "delete", Resource("project", "ann", "1"))
    with pytest.raises(NotFoundError):
        require("ann", "read", Resource("project", "bob", "1"))


async def status_of(handler: Scoped, principal: Principal | None) -> int:
    error: OpenBoltError
    try:
        return (await handler(request_of().with_context(principal=principal))).status
    except UnauthenticatedError as caught:
        return caught.status_hint
    except ForbiddenError as caught:
        error = caught
    assert error.code == "scope_missing"
    assert handler.scope is None or repr(handler.scope) in str(error), "it names the scope"
    return error.status_hint


@pytest.mark.parametrize("scope", [*SCOPES, None])
async def test_a_route_takes_keys_with_its_scope_and_no_others(scope: Scope | None) -> None:
    handler = scoped(who, scope)
    assert await status_of(handler, None) == 401
    assert await status_of(handler, Principal("ann")) == 200
    for held in SCOPES:
        expected = 200 if held == scope else 403
        assert await status_of(handler, Principal("ann", scopes=frozenset({held}))) == expected
    assert await status_of(handler, Principal("ann", scopes=frozenset())) == 403
    everything = Principal("ann", scopes=frozenset(SCOPES))
    assert await status_of(handler, everything) == (403 if scope is None else 200)


async def test_a_link_opens_no_route_that_asks_for_a_scope() -> None:
    bearer = LinkBearer.of(Resource("project", "ann", "1"))
    for scope in (*SCOPES, None):
        assert await status_of(scoped(who, scope), bearer) == 403


def test_a_scope_that_is_none_is_refused_when_the_route_is_made() -> None:
    with pytest.raises(ValueError, match="everything"):
        scoped(who, "everything")  # type: ignore[arg-type]


async def test_a_route_that_names_no_scope_takes_no_key() -> None:
    named, silent = scoped_routes(
        [Route("GET", "/named", scoped(who, "chat")), Route("GET", "/silent", who)]
    )
    key = Principal("ann", scopes=frozenset(SCOPES))
    assert isinstance(named.handler, Scoped)
    assert isinstance(silent.handler, Scoped)
    assert await status_of(named.handler, key) == 200
    assert await status_of(silent.handler, key) == 403
    assert await status_of(silent.handler, Principal("ann")) == 200
