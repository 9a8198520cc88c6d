"""Every limit and choice of the application, in one frozen value.

Law: the core never reads the environment. Whoever starts the application hands a mapping to
`Settings.from_mapping` (the examples hand ``os.environ``), and a wrong value is a
`ConfigurationError` that names the setting and how to set it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from openbolt.errors import ConfigurationError
from openbolt.hidden import Hidden

__all__ = ["LOOPBACK_HOSTS", "Settings", "setting_names", "variable_name"]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MIB = 1024 * 1024
DAY = 86_400.0
_MIN_THINKING = 1024
_PREVIEW_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]*\{token\}[A-Za-z0-9._-]*(?::[0-9]{1,5})?/?")


def variable_name(name: str, /) -> str:
    """The environment variable of a field."""
    return _VARIABLES.get(name, f"OPENBOLT_{name.upper()}")


def _at_least(bound: float) -> Callable[[Any, Any, Any], None]:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if value < bound or not math.isfinite(value):
            name = attribute.name
            raise ConfigurationError(
                f"{name} must be at least {bound:g}, not {value!r}; set {variable_name(name)}.",
                setting=name,
            )

    return check


def _amount(_: Any, attribute: Any, value: Decimal | None) -> None:
    if value is not None and not (value.is_finite() and value >= 0):
        name = attribute.name
        raise ConfigurationError(
            f"{name} must be an amount, zero or more, not {value}; set {variable_name(name)}.",
            setting=name,
        )


def _duration(_: Any, attribute: Any, value: float | None) -> None:
    if value is not None:
        _at_least(DAY)(_, attribute, value)


def _without_password(url: str | Hidden | None) -> str:
    """A URL as it may be shown: less all that stands before an ``@``."""
    if url is None:
        return "None"
    url = Hidden(url).reveal()
    scheme, separator, rest = url.rpartition("://")
    return repr(f"{scheme}{separator}{rest.rpartition('@')[2]}")


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that don't match, a port that is none
        return False


def _http_url(_: Any, attribute: Any, value: str | Hidden | None) -> None:
    if value is not None and not _is_http_url(Hidden(value).reveal()):
        name = attribute.alias
        raise ConfigurationError(
            f"{name} must be an http(s) URL, not {_without_password(value)}; "
            f"set {variable_name(name)}.",
            setting=name,
        )


def _preview_pattern(_: Any, attribute: Any, value: str | None) -> None:
    if value is not None and not _PREVIEW_ORIGIN.fullmatch(value):
        name = attribute.name
        raise ConfigurationError(
            f"{name} must be an origin with {{token}} in its host, as "
            f"https://{{token}}.preview.example, not {value!r}; set {variable_name(name)}.",
            setting=name,
        )


def _hidden(text: str | Hidden | None) -> Hidden | None:
    return None if text is None else Hidden(text)


def _hidden_each(texts: Iterable[str | Hidden]) -> tuple[Hidden, ...]:
    return tuple(Hidden(text) for text in texts)


@frozen(kw_only=True)
class Settings:
    """What an operator can choose. Durations are seconds, sizes are bytes.

    What is or may hold a secret (a key, a URL with a password) is kept `Hidden`: no repr, log,
    `attrs.asdict`, JSON or pickle of settings shows it, and only its own name reads it.

    Attributes:
        model: The model that answers when a request names none.
        models: Models that a request may name; empty allows any name.
        anthropic_api_key: The operator's key; with none, and no base URL, the local backend
            starts its mock of the Messages API.
        anthropic_base_url: Any endpoint that speaks the Messages API.
        data: Folder of the local backend.
        kv: ``sqlite`` or ``memory`` (``redis://`` URLs: not in this version).
        objects: ``files`` or ``memory`` (``s3://`` URLs: not in this version).
        secret_keys: Keys that encrypt what is stored; the first encrypts, all decrypt. With none,
            the local backend makes one and keeps it beside its data.
        github_client_id: Of the OAuth app that people sign in with.
        github_client_secret: Its secret.
        github_url: GitHub, or a GitHub Enterprise server.
        oidc_issuer: URL of an OpenID Connect issuer that people sign in with.
        oidc_client_id: Of the application that is registered there.
        oidc_client_secret: Its secret.
        oidc_name: What the page calls it.
        allowed_users: Logins that may sign in (GitHub's names, any case), and verified e-mail
            addresses. Where this,
            ``allowed_orgs`` and ``allowed_email_domains`` are all empty, whoever the provider
            vouches for may; else one match in one of the three is enough.
        allowed_orgs: GitHub organizations whose members may sign in.
        allowed_email_domains: Domains of verified e-mail addresses that may sign in.
        password: What the local server asks browsers for (HTTP Basic); None asks for nothing.
        public_url: Where browsers reach the application, if a proxy stands before it.
        preview_origin: Pattern of preview origins with ``{token}`` in the host, as
            ``https://{token}.preview.example``; None: ``{token}.localhost`` on loopback, else by
            path in a sandbox.
        allowed_hosts: Host names that the application answers for; any port, unless one is named.
        trusted_origins: Other origins that may write, as ``https://app.example``.
        upstreams: Servers that ``/api/proxy`` forwards to, as JSON by name; see
            ``docs/how-to/proxy.md``.
        upstream_secrets: The operator's secrets that upstreams name, as JSON by name:
            ``{"name": "value"}``.
        git_hosts: Hosts that ``/api/git`` leads to: ``github.com`` or ``host:port``, by https and
            at public addresses; an origin, as ``http://git.internal:3000``, may be in your own
            network.
        trusted_proxies: Addresses and networks of reverse proxies whose word on a client's address
            counts (``Forwarded``, ``X-Forwarded-For``), as ``10.0.0.0/8``; ``unix`` for one behind
            a Unix socket.

        sign_in_ttl: How long a sign-in may take, from the page to the provider and back.
        session_idle_ttl: A session that isn't used for so long ends.
        session_ttl: A session ends so long after sign-in, however much it is used.
        max_sessions_per_user: Sessions of one user; a new one ends the one unused for longest.
        max_api_keys_per_user: API keys of one user that haven't been revoked.
        max_secrets_per_user: Secrets of one user.
        max_secret_bytes: One secret; a private key in PEM fits.
        max_shares_per_user: Links of one user to projects and chats.
        max_preferences_bytes: All preferences of one user, as JSON.
        chat_retention: Chats that haven't changed for so long are deleted by ``openbolt purge``;
            None: never.
        project_retention: The same for projects.
        receipt_retention: How long the receipt for a deleted account is kept.

        max_body_bytes: A longer body is a 413. 10 MiB holds a long chat with pasted files.
        max_url_bytes: Path and query of a request; a longer one is a 414. What a proxied path and
            query may have together.
        max_header_bytes: Names and values of a request's header fields; over it is a 431.
        max_header_fields: How many fields there may be; browsers send some 20, proxies add a few.
        body_timeout: How long a client may pause within a body; then it is a 408.
        min_body_rate: Bytes in a second that a body has to come with after its first
            ``body_timeout``; a phone at the edge of its network is faster. 0: not looked at.
        write_timeout: How long a client may take nothing of its response before it is cut off. What
            it was reading goes on as after any disconnect.
        git_max_fetch_bytes: One answer of a git host, its pack included. A page holds a pack in
            memory, twice while it unpacks it.
        git_max_push_bytes: One request to a git host, its pack included; what a page made is small.
        git_timeout: One request to a git host, from its first byte to the answer's last.
        max_tokens: Output tokens asked for in one model call.
        max_segments: Model calls for one reply that runs into ``max_tokens``; 4 x 16,384 tokens
            are about 200 KB of code, beyond which a reply is a runaway.
        max_recoveries: How often a reply whose stream broke is asked on from what came; beyond
            two the upstream is down rather than unlucky.
        thinking: Tokens for reasoning (at least 1,024 and below ``max_tokens``, as the Messages API
            asks), -1 to let the model decide, 0 for none.
        context_tokens: Estimated tokens of project files put before the model.
        history_tokens: Estimated tokens of earlier messages; older ones are left out.
        max_reply_bytes: A longer reply is ended with an error; what came is kept.
        max_turns_per_user: Replies that one user may have written at once in one process; a
            further one is a 429.
        slots_per_user: Replies, and besides them enhanced prompts, that one user may have running
            at once in all processes together; a further one is a 429. 0: not counted together.
        rate_limits: Changes to the rate limits: ``NAME=LIMIT/PERIOD``, ``NAME=LIMIT/PERIOD/BURST``
            or ``NAME=off``, as ``chat=600/1h/30``.
        max_files_per_turn: Further files of a reply are refused, and said so.
        max_file_bytes: A larger file of a reply is refused, and said so.
        max_message_bytes: One user message.
        disconnect_grace: How long a turn without readers goes on.
        silence_timeout: A model that sends nothing, not even a ping, for so long is given up.
        turn_timeout: All of a turn.
        keepalive: While the model is silent a stream sends ``data-progress`` so often, so that
            proxies keep it open.
        lease_ttl: How long a crashed turn keeps its chat at most; in SQLite it ends with the
            process.
        enhancer_max_chars: Characters of a prompt to enhance.
        enhancer_max_tokens: Output tokens of an enhanced prompt.
        preview_ttl: Life of a preview link.
        shutdown_grace: What running work may take at shutdown before it is cancelled.
        page_size: Rows of a list at most.
        budget_usd_per_turn: Spending at which a reply isn't continued any more; None: no limit.
        notice: A sentence that the page shows above the chat (the mock's, for example).
        provider_name: Who answers, as ``GET /api/models`` says it.
    """

    model: str = "claude-sonnet-5-5"
    models: tuple[str, ...] = ()
    _anthropic_api_key: Hidden | None = field(
        default=None, alias="anthropic_api_key", converter=_hidden, repr=False
    )
    _anthropic_base_url: Hidden | None = field(
        default=None,
        alias="anthropic_base_url",
        converter=_hidden,
        validator=_http_url,
        repr=_without_password,
    )
    data: str = ".openbolt"
    _kv: Hidden = field(default=Hidden("sqlite"), alias="kv", converter=Hidden, repr=False)
    _objects: Hidden = field(default=Hidden("files"), alias="objects", converter=Hidden, repr=False)
    _secret_keys: tuple[Hidden, ...] = field(
        default=(), alias="secret_keys", converter=_hidden_each, repr=False
    )
    github_client_id: str | None = None
    _github_client_secret: Hidden | None = field(
        default=None, alias="github_client_secret", converter=_hidden, repr=False
    )
    github_url: str = field(default="https://github.com", validator=_http_url)
    oidc_issuer: str | None = field(default=None, validator=_http_url)
    oidc_client_id: str | None = None
    _oidc_client_secret: Hidden | None = field(
        default=None, alias="oidc_client_secret", converter=_hidden, repr=False
    )
    oidc_name: str = "single sign-on"
    allowed_users: tuple[str, ...] = ()
    allowed_orgs: tuple[str, ...] = ()
    allowed_email_domains: tuple[str, ...] = ()
    public_url: str | None = field(default=None, validator=_http_url)
    _password: Hidden | None = field(default=None, alias="password", converter=_hidden, repr=False)
    preview_origin: str | None = field(default=None, validator=_preview_pattern)
    allowed_hosts: tuple[str, ...] = LOOPBACK_HOSTS
    trusted_origins: tuple[str, ...] = ()
    upstreams: str = ""
    _upstream_secrets: Hidden | None = field(
        default=None, alias="upstream_secrets", converter=_hidden, repr=False
    )
    git_hosts: tuple[str, ...] = ("github.com", "gitlab.com", "codeberg.org")
    trusted_proxies: tuple[str, ...] = ()

    sign_in_ttl: float = field(default=600.0, validator=_at_least(30))
    session_idle_ttl: float = field(default=14 * DAY, validator=_at_least(60))
    session_ttl: float = field(default=90 * DAY, validator=_at_least(60))
    max_sessions_per_user: int = field(default=20, validator=_at_least(1))
    max_api_keys_per_user: int = field(default=50, validator=_at_least(1))
    max_secrets_per_user: int = field(default=50, validator=_at_least(1))
    max_secret_bytes: int = field(default=8192, validator=_at_least(16))
    max_shares_per_user: int = field(default=200, validator=_at_least(1))
    max_preferences_bytes: int = field(default=16_384, validator=_at_least(256))
    chat_retention: float | None = field(default=None, validator=_duration)
    project_retention: float | None = field(default=None, validator=_duration)
    receipt_retention: float = field(default=730 * DAY, validator=_duration)

    max_body_bytes: int = field(default=10 * MIB, validator=_at_least(1024))
    max_url_bytes: int = field(default=20_480, validator=_at_least(1024))
    max_header_bytes: int = field(default=65_536, validator=_at_least(1024))
    max_header_fields: int = field(default=100, validator=_at_least(20))
    body_timeout: float = field(default=30.0, validator=_at_least(0.05))
    min_body_rate: int = field(default=512, validator=_at_least(0))
    write_timeout: float = field(default=60.0, validator=_at_least(0.05))
    git_max_fetch_bytes: int = field(default=256 * MIB, validator=_at_least(1024))
    git_max_push_bytes: int = field(default=64 * MIB, validator=_at_least(1024))
    git_timeout: float = field(default=900.0, validator=_at_least(1))
    max_tokens: int = field(default=16_384, validator=_at_least(1))
    max_segments: int = field(default=4, validator=_at_least(1))
    max_recoveries: int = field(default=2, validator=_at_least(0))
    thinking: int = field(default=0, validator=_at_least(-1))
    context_tokens: int = field(default=60_000, validator=_at_least(0))
    history_tokens: int = field(default=100_000, validator=_at_least(0))
    max_reply_bytes: int = field(default=8 * MIB, validator=_at_least(1024))
    max_turns_per_user: int = field(default=1000, validator=_at_least(1))
    slots_per_user: int = field(default=0, validator=_at_least(0))
    rate_limits: tuple[str, ...] = ()
    max_files_per_turn: int = field(default=200, validator=_at_least(1))
    max_file_bytes: int = field(default=2 * MIB, validator=_at_least(1))
    max_message_bytes: int = field(default=1 * MIB, validator=_at_least(1))
    disconnect_grace: float = field(default=0.0, validator=_at_least(0))
    silence_timeout: float = field(default=45.0, validator=_at_least(0.05))
    turn_timeout: float = field(default=900.0, validator=_at_least(0.05))
    keepalive: float = field(default=15.0, validator=_at_least(0.05))
    lease_ttl: float = field(default=30.0, validator=_at_least(1))
    enhancer_max_chars: int = field(default=20_000, validator=_at_least(1))
    enhancer_max_tokens: int = field(default=2_000, validator=_at_least(1))
    preview_ttl: float = field(default=12 * 3600.0, validator=_at_least(60))
    shutdown_grace: float = field(default=10.0, validator=_at_least(0))
    page_size: int = field(default=200, validator=_at_least(1))
    budget_usd_per_turn: Decimal | None = field(default=None, validator=_amount)
    notice: str | None = None
    provider_name: str = "anthropic"

    def __attrs_post_init__(self) -> None:
        if self.thinking > 0 and not _MIN_THINKING <= self.thinking < self.max_tokens:
            raise ConfigurationError(
                f"thinking must be -1, 0, or at least {_MIN_THINKING} and below max_tokens "
                f"({self.max_tokens}), not {self.thinking}; set {variable_name('thinking')}.",
                setting="thinking",
            )

    @property
    def anthropic_api_key(self) -> str | None:
        return _shown(self._anthropic_api_key)

    @property
    def anthropic_base_url(self) -> str | None:
        return _shown(self._anthropic_base_url)

    @property
    def kv(self) -> str:
        return self._kv.reveal()

    @property
    def objects(self) -> str:
        return self._objects.reveal()

    @property
    def secret_keys(self) -> tuple[str, ...]:
        return tuple(key.reveal() for key in self._secret_keys)

    @property
    def github_client_secret(self) -> str | None:
        return _shown(self._github_client_secret)

    @property
    def oidc_client_secret(self) -> str | None:
        return _shown(self._oidc_client_secret)

    @property
    def password(self) -> str | None:
        return _shown(self._password)

    @property
    def upstream_secrets(self) -> str | None:
        return _shown(self._upstream_secrets)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, str], /, **overrides: Any) -> Settings:
        """Settings from environment-like text.

        Names are ``OPENBOLT_<FIELD>``, but for ``ANTHROPIC_API_KEY``, ``ANTHROPIC_BASE_URL``,
        ``GITHUB_CLIENT_ID`` and ``GITHUB_CLIENT_SECRET``. Lists are comma-separated. An empty
        value counts as absent; other names are left alone. ``overrides`` are field values that
        win.

        Raises:
            ConfigurationError: A value can't be read or is out of bounds.
        """
        values: dict[str, Any] = {}
        for name, kind in _KINDS.items():
            text = mapping.get(variable_name(name), "").strip()
            if text:
                values[name] = _parse(name, kind, text)
        return cls(**{**values, **overrides})


_VARIABLES = {
    "anthropic_api_key": "ANTHROPIC_API_KEY",
    "anthropic_base_url": "ANTHROPIC_BASE_URL",
    "github_client_id": "GITHUB_CLIENT_ID",
    "github_client_secret": "GITHUB_CLIENT_SECRET",
}


# Taken down now: cattrs, given settings to write out, replaces the text of annotations by types.
_KINDS = {str(attribute.alias): str(attribute.type) for attribute in attrs.fields(Settings)}


def _shown(hidden: Hidden | None) -> str | None:
    return None if hidden is None else hidden.reveal()


def setting_names() -> tuple[str, ...]:
    """All settings, as `Settings` takes them."""
    return tuple(_KINDS)


def _parse(name: str, kind: str, text: str) -> Any:
    try:
        if kind.startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if kind == "int":
            return int(text)
        if kind.startswith("float"):
            return float(text)
        if kind.startswith("Decimal"):
            return Decimal(text)
    except (ValueError, InvalidOperation):
        wanted = {"int": "a whole number", "float": "a number of seconds"}.get(
            kind.partition(" ")[0], "an amount"
        )
        raise ConfigurationError(
            f"{variable_name(name)} must be {wanted}, not {text!r}.", setting=name
        ) from None
    return text
