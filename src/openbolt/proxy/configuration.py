"""Upstreams as an operator writes them: JSON, in the settings.

Law: a configuration is read whole at the start, and what is wrong or unknown in it is named, with
the place where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs

from openbolt.bodies import camel_case, structure
from openbolt.errors import ConfigurationError, InvalidRequestError
from openbolt.hidden import Hidden
from openbolt.jsons import parse_json
from openbolt.proxy.upstreams import (
    CacheRules,
    Injection,
    QueryRules,
    Rate,
    Upstream,
    is_sendable,
    refuse,
)
from openbolt.settings import Settings

__all__ = ["upstreams_from", "upstreams_of"]

_PARTS: Mapping[str, type[Any]] = {"query": QueryRules, "cache": CacheRules, "rate": Rate}


def upstreams_from(text: str, /) -> tuple[Upstream, ...]:
    """Read ``{"NAME": {"url": ..., ...}, ...}``: the fields of `Upstream` in camel case.

    Raises:
        ConfigurationError: It isn't JSON, or a field is unknown or wrong; says where.
    """
    if not text.strip():
        return ()
    try:
        data: object = parse_json(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(
            f"upstreams must be JSON ({exc}); set OPENBOLT_UPSTREAMS.", setting="upstreams"
        ) from None
    if not isinstance(data, dict):
        refuse("upstreams", "must be an object of upstreams by name")
    return tuple(_upstream(name, said) for name, said in cast("dict[str, object]", data).items())


def _upstream(name: str, said: object) -> Upstream:
    if not isinstance(said, dict):
        refuse(name, "must be an object")
    fields = {**cast("dict[str, Any]", said), "name": name}
    _check_names(name, fields, Upstream)
    for part, kind in _PARTS.items():
        inner: object = fields.get(part)
        if isinstance(inner, dict):
            _check_names(f"{name}.{part}", cast("dict[str, Any]", inner), kind)
    injections: object = fields.get("secrets")
    if isinstance(injections, list):
        for at, each in enumerate(cast("list[object]", injections)):
            if isinstance(each, dict):
                _check_names(f"{name}.secrets[{at}]", cast("dict[str, Any]", each), Injection)
    try:
        return structure(fields, Upstream)
    except InvalidRequestError as exc:
        cause = exc.__cause__
        inner = _configuration_error(cause)
        said_of_it = inner.public_message if inner else exc.public_message
        text = said_of_it.removeprefix("upstreams: ").partition("; set ")[0]
        raise ConfigurationError(
            f"upstreams: {name}: {text}; set OPENBOLT_UPSTREAMS.", setting="upstreams"
        ) from None


def _configuration_error(exc: BaseException | None) -> ConfigurationError | None:
    """The one among what cattrs has gathered."""
    if isinstance(exc, ConfigurationError):
        return exc
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        found = (_configuration_error(each) for each in group.exceptions)
        return next((each for each in found if each is not None), None)
    inner = getattr(exc, "error", None)  # of an item of a list
    return _configuration_error(inner) if isinstance(inner, BaseException) else None


def _check_names(where: str, fields: Mapping[str, object], kind: type[Any]) -> None:
    known = {camel_case(attribute.name) for attribute in attrs.fields(kind) if attribute.init}
    for name in fields:
        if name not in known:
            refuse(f"{where}.{name}", "is unknown")


def upstreams_of(settings: Settings, /) -> tuple[tuple[Upstream, ...], Mapping[str, Hidden]]:
    """The upstreams of the settings, and the operator's secrets that they name.

    Raises:
        ConfigurationError: Something in ``upstreams`` or ``upstream_secrets`` is wrong, or a secret
            that an upstream names isn't there.
    """
    upstreams = upstreams_from(settings.upstreams)
    secrets = _secrets_from(settings.upstream_secrets)
    for upstream in upstreams:
        for injection in upstream.secrets:
            if not injection.is_users and injection.name not in secrets:
                raise ConfigurationError(
                    f"upstreams: {upstream.name} needs the secret {injection.name!r}; put it into "
                    "OPENBOLT_UPSTREAM_SECRETS.",
                    setting="upstream_secrets",
                )
    return upstreams, secrets


def _secrets_from(text: str | None) -> Mapping[str, Hidden]:
    if not text:
        return {}
    wrong = ConfigurationError(
        'upstream_secrets must be JSON like {"name": "value"}, with values that can stand in a '
        "header field; set OPENBOLT_UPSTREAM_SECRETS.",
        setting="upstream_secrets",
    )
    try:
        data: object = parse_json(text)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(data, dict):
        raise wrong
    read: dict[str, Hidden] = {}
    for name, value in cast("dict[str, object]", data).items():
        if not isinstance(value, str) or not value or not is_sendable(value):
            raise wrong
        read[name] = Hidden(value)
    return read
