"""JSON bodies in and out: bytes become attrs values, or an error that names the field.

Law: a body is either structured whole or refused; ``field`` is the path to what is wrong, as the
sender would write it (``messages[2].role``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
from cattrs import ClassValidationError, Converter, IterableValidationError, transform_error
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override
from cattrs.v import format_exception

from openbolt.errors import InvalidRequestError, UnsupportedMediaTypeError
from openbolt.http import Headers, Request, Response

__all__ = ["camel_case", "iso_time", "json_response", "read_json", "structure"]

T = TypeVar("T")


def camel_case(name: str) -> str:
    """``project_id`` as ``projectId``: the wire's spelling of a field."""
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in rest)


def _strict(kind: type[Any], article: str) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"must be {article}")
        return value

    return hook


def _number(value: object, _: object) -> float:
    if type(value) not in (int, float):
        raise TypeError("must be a number")
    return float(value)  # type: ignore[arg-type]


def make_converter() -> Converter:
    """A converter that coerces nothing and spells fields in camel case."""
    converter = Converter(detailed_validation=True)
    for kind, article in ((str, "a string"), (bool, "true or false"), (int, "a whole number")):
        converter.register_structure_hook(kind, _strict(kind, article))
    converter.register_structure_hook(float, _number)

    @converter.register_structure_hook_factory(attrs.has)
    def _factory(cls: Any) -> Any:
        names = {a.name: override(rename=camel_case(a.name)) for a in attrs.fields(cls)}
        inner: Any = make_dict_structure_fn(cls, converter, **names)  # type: ignore[arg-type]

        def hook(value: object, kind: object) -> object:
            if not isinstance(value, Mapping):
                raise TypeError("must be an object")
            return inner(value, kind)

        return hook

    return converter


_CONVERTER = make_converter()


def _explain(exc: BaseException, kind: type | None) -> str:
    if isinstance(exc, KeyError):
        return "is missing"
    if isinstance(exc, (TypeError, ValueError)) and str(exc):
        return str(exc)
    if isinstance(exc, ForbiddenExtraKeysError):
        return "has unknown keys"
    return str(format_exception(exc, kind))


def _first_error(exc: Exception) -> tuple[str, str]:
    lines = transform_error(exc, path="$", format_exception=_explain)
    text, _, path = lines[0].rpartition(" @ ")
    if not text and isinstance(exc, (ClassValidationError, IterableValidationError)):
        text, path = "is not valid", "$"
    segments = path.removeprefix("$").lstrip(".").split(".")
    field = ".".join(camel_case(segment) for segment in segments if segment)
    return text, field


def structure(data: object, kind: type[T], /) -> T:
    """Structure decoded JSON as an attrs class.

    Raises:
        InvalidRequestError: Naming the first field that is wrong.
    """
    try:
        return _CONVERTER.structure(data, kind)
    except Exception as exc:
        text, field = _first_error(exc)
        where = field or "body"
        raise InvalidRequestError(f"{where}: {text}", field=where) from exc


async def read_json(request: Request, kind: type[T], /, *, limit: int) -> T:
    """Read a JSON body and structure it.

    Args:
        limit: Bytes.

    Raises:
        UnsupportedMediaTypeError: The content type isn't ``application/json``.
        PayloadTooLargeError: The body is over the limit.
        InvalidRequestError: It isn't UTF-8, isn't JSON, or doesn't fit; names the field.
    """
    media = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMediaTypeError("Send the body as application/json.")
    raw = await request.read(limit)
    try:
        data = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise InvalidRequestError("body: is not UTF-8", field="body") from exc
    except (ValueError, RecursionError) as exc:
        reason = f"body: is not JSON ({exc})" if isinstance(exc, ValueError) else "body: too deep"
        raise InvalidRequestError(reason, field="body") from exc
    return structure(data, kind)


def json_response(
    data: object, /, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response that no cache keeps."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    base = Headers.of({"content-type": "application/json", "cache-control": "no-store"})
    return Response(status, base.with_(headers or {}), body)


def iso_time(seconds: float, /) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    stamp = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
