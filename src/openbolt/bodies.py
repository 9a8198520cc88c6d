"""JSON bodies in and out: bytes become attrs values, or an error that names the field.

Law: a body is either structured whole or refused; ``field`` is the path to what is wrong, as the
sender would write it (``messages[2].role``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from openbolt.errors import InvalidRequestError, UnsupportedMediaTypeError
from openbolt.http import Headers, Request, Response
from openbolt.jsons import json_bytes, parse_finite_json

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
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("must be a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("is too large") from None


class _ItemError(Exception):
    """An item of a list is wrong."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(index, error)
        self.index = index
        self.error = error


def _is_array(kind: Any) -> bool:
    args = get_args(kind)
    return get_origin(kind) in (list, Sequence) or (
        get_origin(kind) is tuple and len(args) == 2 and args[1] is Ellipsis
    )


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _literal(kind: Any) -> Callable[[object, object], object]:
    names = " or ".join(map(repr, get_args(kind)))

    def hook(value: object, _: object) -> object:
        for choice in get_args(kind):
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError(f"must be {names}")

    return hook


def make_converter() -> Converter:
    """A converter that coerces nothing and spells fields in camel case."""
    converter = Converter(detailed_validation=True)
    for kind, article in ((str, "a string"), (bool, "true or false"), (int, "a whole number")):
        converter.register_structure_hook(kind, _strict(kind, article))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_literal)(_literal)

    @converter.register_structure_hook_factory(_is_array)
    def _array(kind: Any) -> Any:
        made, of = get_origin(kind), get_args(kind)[0]
        inner = converter.get_structure_hook(of)

        def hook(value: object, _: object) -> object:
            if type(value) is not list:
                raise TypeError("must be a list")
            done: list[Any] = []
            # cattrs' own hook collects the error of every item: a body full of wrong ones would
            # become gigabytes of tracebacks. The first one is all that is told.
            for index, item in enumerate(cast("list[object]", value)):
                try:
                    done.append(inner(item, of))
                except Exception as exc:
                    raise _ItemError(index, exc) from None
            return tuple(done) if made is tuple else done

        return hook

    @converter.register_structure_hook_factory(attrs.has)
    def _factory(cls: Any) -> Any:
        names: Any = {a.name: override(rename=camel_case(a.name)) for a in attrs.fields(cls)}
        inner: Any = make_dict_structure_fn(cls, converter, **names)

        def hook(value: object, kind: object) -> object:
            if not isinstance(value, Mapping):
                raise TypeError("must be an object")
            return inner(value, kind)

        return hook

    return converter


_CONVERTER = make_converter()


def _explain(exc: BaseException) -> str:
    if isinstance(exc, KeyError):
        return "is missing"
    if isinstance(exc, (TypeError, ValueError)) and exc.args and isinstance(exc.args[0], str):
        return exc.args[0]
    return "is not valid"


def _first_error(exc: BaseException) -> tuple[str, str]:
    """What is wrong first, and the path to it in the sender's spelling."""
    path = ""
    while True:
        match exc:
            case _ItemError():
                path += f"[{exc.index}]"
                exc = exc.error
            case ClassValidationError() if found := exc.group_exceptions()[0]:
                path += ("." if path else "") + camel_case(found[0][1].name)
                exc = found[0][0]
            case IterableValidationError() if items := exc.group_exceptions()[0]:
                path += f".{items[0][1].index}"
                exc = items[0][0]
            case BaseValidationError():
                exc = exc.exceptions[0]
            case _:
                return _explain(exc), path


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
        data = parse_finite_json(raw.decode("utf-8"))
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
    base = Headers.of({"content-type": "application/json", "cache-control": "no-store"})
    return Response(status, base.with_(headers or {}), json_bytes(data))


def iso_time(seconds: float, /) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    stamp = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
