"""JSON as the house writes and reads it: compact, in UTF-8 instead of escapes, in the order given.

Law: the text is what ``json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))`` writes, and
a value is what `json.loads` reads, its errors too: manifests are named by the hash of their bytes.
Only the way there is shorter, for a chat writes and reads some forty values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from json import encoder
from typing import Any

__all__ = ["json_bytes", "json_string", "json_text", "parse_finite_json", "parse_json"]

_Encoder = Callable[[object, int], Iterable[str]]

json_string: Callable[[str], str] = encoder.encode_basestring
"""One string with its quotes, as `json_text` writes it."""


def make_encoder(make: Callable[..., Any] | None, /, *, sort_keys: bool) -> _Encoder:
    """One encoder for every call, where `json` makes a new one for each.

    Args:
        make: ``json.encoder.c_make_encoder``, which isn't documented: where it is missing or takes
            other arguments than now, the documented encoder does the same.
    """
    plain = json.JSONEncoder(
        check_circular=False, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys
    )
    if make is not None:
        try:
            chunks: _Encoder = make(
                None, plain.default, json_string, None, ":", ",", sort_keys, False, True
            )
        except TypeError:
            pass
        else:
            return chunks
    return lambda value, _indent, /: (plain.encode(value),)


_c_make_encoder = getattr(encoder, "c_make_encoder", None)
_encode = make_encoder(_c_make_encoder, sort_keys=False)
_encode_sorted = make_encoder(_c_make_encoder, sort_keys=True)


def json_text(value: object, /) -> str:
    """A value as compact JSON.

    Raises:
        TypeError: It holds something that JSON has no form for.
        RecursionError: It is nested too deeply, or holds itself.
    """
    return "".join(_encode(value, 0))


def json_bytes(
    value: object, /, *, errors: str = "backslashreplace", sort_keys: bool = False
) -> bytes:
    """The same in UTF-8.

    Args:
        errors: What becomes of a lone surrogate, as `str.encode` takes it. By default it is the
            escape that JSON has for it, which every reader takes; ``surrogatepass`` keeps even
            two that would be one character as two, for `parse_json`.
        sort_keys: Whatever the order in which they were set.
    """
    chunks = (_encode_sorted if sort_keys else _encode)(value, 0)
    return "".join(chunks).encode("utf-8", errors)


_read = json.JSONDecoder().raw_decode


def parse_json(data: str | bytes, /) -> Any:
    """The value that a JSON text stands for, as `json.loads` gives it.

    Raises:
        ValueError: It isn't JSON, or not in UTF-8.
        RecursionError: It is nested too deeply.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
        value, end = _read(text)
    except ValueError:
        pass
    else:
        if end == len(text):
            return value
    # White space around it, another encoding, or an error to be put in its usual words.
    return json.loads(data)


def parse_finite_json(text: str, /) -> Any:
    """The same without ``NaN``, ``Infinity`` and numbers too large for a float.

    Python's reader takes them, and no other does.

    Raises:
        ValueError: It isn't JSON, or has such a number.
        RecursionError: It is nested too deeply.
    """
    return _read_finite(text)


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


_read_finite = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite).decode
