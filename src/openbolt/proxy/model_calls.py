"""The body of a call to the gateway, read and written anew; pure.

Law: what is sent on is what was understood. Fields that could cost what nothing here counts (tools
that run at the provider, faster tiers) are refused by name, and of a name that stands twice the
last one is all that is sent.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

from attrs import frozen

from openbolt.errors import InvalidRequestError, UnsupportedMediaTypeError
from openbolt.http import Request
from openbolt.proxy.app_tokens import AppToken
from openbolt.settings import Settings

__all__ = ["ModelCall", "read_call"]

_COUNTED = frozenset(
    {"cache_control", "messages", "model", "system", "thinking", "tool_choice", "tools"}
    | {"output_config", "output_format"}
)
_ANSWERED = _COUNTED | {
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
}
# Tools that the caller runs itself; those that the provider runs have a price of their own.
_OWN_TOOLS = ("bash_", "computer_", "memory_", "text_editor_")

_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@frozen
class ModelCall:
    """A call that may be made.

    Attributes:
        max_tokens: Of the answer; 0 where only tokens are counted.
        body: As it is sent on.
    """

    model: str
    max_tokens: int
    stream: bool
    body: bytes


async def read_call(
    request: Request, settings: Settings, token: AppToken | None, /, *, counts_only: bool = False
) -> ModelCall:
    """Read and check a body.

    Args:
        token: The app token that it comes with; it narrows the models.
        counts_only: It asks for a count of tokens, not for an answer.

    Raises:
        InvalidRequestError: Names the field.
    """
    media = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMediaTypeError("Send the body as application/json.")
    raw = await request.read(settings.max_body_bytes)
    try:
        data: object = json.loads(raw.decode("utf-8"))
        body = _to_json(data).encode()  # which knows no NaN, and no infinity
    except (ValueError, RecursionError):
        _refuse("body", "is not JSON")
    if not isinstance(data, dict):
        _refuse("body", "must be an object")
    fields = cast("dict[str, Any]", data)
    known = _COUNTED if counts_only else _ANSWERED
    for name in fields:
        if name not in known:
            _refuse(name[:64], "is not taken here")
    model = _model(fields.get("model"), settings, token)
    _check_tools(fields.get("tools"))
    stream = fields.get("stream", False)
    if not isinstance(stream, bool):
        _refuse("stream", "must be true or false")
    max_tokens = 0 if counts_only else _max_tokens(fields.get("max_tokens"), settings)
    return ModelCall(model, max_tokens, stream, body)


def _model(model: object, settings: Settings, token: AppToken | None) -> str:
    if not isinstance(model, str) or not 0 < len(model) <= 200:
        _refuse("model", "must be a name")
    for known in (settings.models, token.models if token else ()):
        if known and model not in known:
            _refuse("model", f"must be one of {', '.join(known)}")
    return model


def _max_tokens(value: object, settings: Settings) -> int:
    limit = settings.max_tokens
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
        _refuse("max_tokens", f"must be 1 to {limit}")
    return value


def _check_tools(tools: object) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        _refuse("tools", "must be a list")
    for at, tool in enumerate(cast("list[object]", tools)):
        kind = cast("dict[str, Any]", tool).get("type") if isinstance(tool, dict) else ""
        is_own = isinstance(kind, str) and (kind == "custom" or kind.startswith(_OWN_TOOLS))
        if kind is not None and not is_own:
            _refuse(f"tools[{at}].type", "must be custom, or a tool that you run yourself")


def _refuse(field: str, said: str) -> NoReturn:
    raise InvalidRequestError(f"{field}: {said}", field=field)
