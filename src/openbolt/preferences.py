"""What a user has chosen: typed, versioned, and changed by merge patch (RFC 7396).

Law: what is stored is what was chosen and nothing else, so that whoever hasn't chosen follows a new
default. A change touches the fields that it names: two tabs never lose each other's, and what a
newer version of openbolt has stored stays, though this one doesn't know it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import attrs
from attrs import field, frozen

from openbolt.bodies import camel_case, structure
from openbolt.errors import InvalidRequestError, PayloadTooLargeError, PreconditionFailedError
from openbolt.heads import HeadStore, move_head
from openbolt.jsons import json_bytes, parse_json

__all__ = ["Layout", "PreferenceStore", "Preferences", "SavedPreferences", "merge_patch"]

_MAX_DEPTH = 16
_MAX_TEXT = 200
_MAX_CUSTOM = 100
_CUSTOM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def merge_patch(target: object, patch: object, /) -> Any:
    """Apply a JSON merge patch (RFC 7396): null removes a member, objects merge, all else replaces.

    Neither argument is changed; the result may share parts with both.
    """
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(_object(target))
    for name, value in cast("dict[str, Any]", patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


@frozen
class Layout:
    """How the page is divided.

    Attributes:
        sidebar: The list of chats.
        chat_share: Width of the chat in percent of chat and workbench, 10 to 90.
        tab: What the workbench shows.
    """

    sidebar: Literal["open", "closed"] = "open"
    chat_share: int = 40
    tab: Literal["preview", "code"] = "preview"


@frozen
class Preferences:
    """What can be chosen, and what holds until it is. On the wire in camel case.

    Attributes:
        theme: Colours of the page.
        model: What a new message asks for; None: the server's choice. At most 200 characters.
        mode: What a new chat begins in.
        language: Of the page, as a BCP 47 tag; None: the browser's.
        send_key: What sends a message; the other one makes a new line.
        enhance_on_send: Improve a prompt before it is sent.
        notifications: Tell when a reply is done while the page is hidden.
        code_font_size: Pixels, 8 to 32.
        word_wrap: Wrap long lines of code.
        last_project: Id of the project that was open last.
        last_chat: Id of the chat that was open last.
        layout: How the page is divided.
        custom: Whatever else a page wants to keep, by names of 1 to 64 of ``A-Z a-z 0-9 . _ -``,
            the first one a letter or digit; at most 100.
    """

    theme: Literal["system", "light", "dark"] = "system"
    model: str | None = None
    mode: Literal["build", "discuss"] = "build"
    language: str | None = None
    send_key: Literal["enter", "mod+enter"] = "enter"
    enhance_on_send: bool = False
    notifications: bool = False
    code_font_size: int = 13
    word_wrap: bool = False
    last_project: str | None = None
    last_chat: str | None = None
    layout: Layout = Layout()
    custom: Mapping[str, Any] = field(factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        """As a client sees it."""
        return _camel(attrs.asdict(self))


@frozen
class SavedPreferences:
    """What a user has chosen, as it is stored.

    Attributes:
        version: Grows with every change; 0 while nothing was ever chosen.
        chosen: Only what was chosen, on the wire's names, unknown ones included.
    """

    version: int = 0
    chosen: Mapping[str, Any] = field(factory=dict[str, Any])

    def effective(self) -> dict[str, Any]:
        """The choices over the defaults, for a client; what isn't known here is in it as it is."""
        merged: dict[str, Any] = merge_patch(Preferences().to_json(), dict(self.chosen))
        return merged

    def typed(self) -> Preferences:
        """The choices for this program: a value that this version doesn't know is the default."""
        known: dict[str, Any] = {}
        for attribute in attrs.fields(Preferences):
            name = camel_case(attribute.name)
            if name in self.chosen:
                try:
                    known[attribute.name] = getattr(
                        _checked({name: self.chosen[name]}), attribute.name
                    )
                except InvalidRequestError:
                    continue
        return Preferences(**known)

    def to_bytes(self) -> bytes:
        """As the head holds it."""
        return _dump({"version": self.version, "preferences": self.chosen})

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> SavedPreferences:
        """What `to_bytes` wrote; nothing chosen, if there is no head."""
        if raw is None:
            return cls()
        data = parse_json(raw)
        return cls(data["version"], data["preferences"])


@frozen
class PreferenceStore:
    """Preferences by user, one head each."""

    heads: HeadStore
    max_bytes: int

    async def load(self, user_id: str, /) -> SavedPreferences:
        """What a user has chosen."""
        head = await self.heads.load(_head_key(user_id))
        return SavedPreferences.from_bytes(head.data if head else None)

    async def change(
        self,
        user_id: str,
        patch: Mapping[str, Any],
        /,
        *,
        only_if: Callable[[SavedPreferences], bool] | None = None,
    ) -> SavedPreferences:
        """Apply a merge patch; one that changes nothing makes no new version.

        Args:
            patch: On the wire's names. Null takes a field back to its default.
            only_if: What has to hold of the present state.

        Raises:
            InvalidRequestError: Naming the field that is wrong or unknown.
            PayloadTooLargeError: All preferences would be over ``max_bytes`` of JSON.
            PreconditionFailedError: ``only_if`` doesn't hold.
            ConflictError: Others were quicker 16 times in a row.
        """
        plain = dict(patch)
        check_patch(plain)

        def apply(raw: bytes | None) -> bytes | None:
            saved = SavedPreferences.from_bytes(raw)
            if only_if is not None and not only_if(saved):
                raise PreconditionFailedError(
                    f"The preferences are at version {saved.version} by now; read them again."
                )
            merged: dict[str, Any] = merge_patch(saved.chosen, plain)
            # Compared as JSON: to Python, 1 equals true.
            if _dump(merged) == _dump(saved.chosen):
                return raw
            self._check_size(saved.chosen, merged)
            return SavedPreferences(saved.version + 1, merged).to_bytes()

        return SavedPreferences.from_bytes(await move_head(self.heads, _head_key(user_id), apply))

    async def discard(self, user_id: str, /) -> bool:
        """Forget a user's choices and their version; whether there were any."""
        known = await self.heads.load(_head_key(user_id)) is not None
        await self.heads.discard(_head_key(user_id))
        return known

    def _check_size(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        # What has become too large by a lower limit may still be made smaller.
        if len(_dump(new)) > max(self.max_bytes, len(_dump(old)) - 1):
            raise PayloadTooLargeError(
                f"body: all preferences together would be over {self.max_bytes} bytes "
                "(max_preferences_bytes)",
                field="body",
            )
        before, after = len(_object(old.get("custom"))), len(_object(new.get("custom")))
        if after > max(_MAX_CUSTOM, before):
            raise InvalidRequestError(f"custom: has over {_MAX_CUSTOM} members", field="custom")


def check_patch(patch: dict[str, Any], /) -> None:
    """Refuse a patch whose values don't fit or whose names aren't known; null fits everywhere.

    Only what the patch itself says is looked at: what is stored may be a newer version's.
    """
    for name, value in patch.items():
        if _depth_is_over(value, _MAX_DEPTH):
            raise InvalidRequestError(
                f"{_shown(name)}: is nested over {_MAX_DEPTH} levels deep", field=_shown(name)
            )
    _check_names(patch, Preferences, "")
    _checked(merge_patch(None, patch))


def _check_names(patch: Mapping[str, Any], kind: type[Any], path: str) -> None:
    known = {camel_case(a.name): a.type for a in attrs.fields(attrs.resolve_types(kind))}
    for name, value in patch.items():
        if name not in known:
            if value is None:  # a newer version's, taken back
                continue
            where = path + _shown(name)
            raise InvalidRequestError(
                f"{where}: is not a known preference; what is a page's own goes below custom",
                field=where,
            )
        of = known[name]
        if attrs.has(of) and isinstance(value, dict):
            _check_names(cast("dict[str, Any]", value), cast("type[Any]", of), f"{path}{name}.")


def _checked(data: Mapping[str, Any]) -> Preferences:
    custom = data.get("custom", {})
    if not isinstance(custom, dict):
        raise InvalidRequestError("custom: must be an object", field="custom")
    for name in cast("dict[str, Any]", custom):
        if not _CUSTOM_NAME.fullmatch(name):
            raise InvalidRequestError(
                f"custom: {_shown(name)!r} can't be a name; use 1 to 64 of A-Z a-z 0-9 . _ -, "
                "the first one a letter or digit",
                field="custom",
            )
    found = structure(data, Preferences)
    _check_number(found.code_font_size, 8, 32, "codeFontSize")
    _check_number(found.layout.chat_share, 10, 90, "layout.chatShare")
    _check_text(found.language, _LANGUAGE, "language", "a language tag, as en or pt-BR")
    _check_text(found.last_project, _ID, "lastProject", "an id")
    _check_text(found.last_chat, _ID, "lastChat", "an id")
    if found.model is not None and not 1 <= len(found.model) <= _MAX_TEXT:
        raise InvalidRequestError(f"model: must be 1 to {_MAX_TEXT} characters", field="model")
    return found


def _check_number(value: int, least: int, most: int, name: str) -> None:
    if not least <= value <= most:
        raise InvalidRequestError(f"{name}: must be {least} to {most}", field=name)


def _check_text(value: str | None, form: re.Pattern[str], name: str, what: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise InvalidRequestError(f"{name}: must be {what}", field=name)


def _depth_is_over(value: object, limit: int) -> bool:
    """Without recursion: the parser takes what is nested deeper than Python's own stack."""
    level = [value]
    for _ in range(limit + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                inner.extend(cast("list[object]", item))
        if not inner:
            return False
        level = inner
    return True


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _camel(data: Mapping[str, Any]) -> dict[str, Any]:
    nested = {"layout": _camel(data["layout"])} if "layout" in data else {}
    return {**{camel_case(name): value for name, value in data.items()}, **nested}


def _dump(data: Mapping[str, Any]) -> bytes:
    return json_bytes(data, errors="surrogatepass", sort_keys=True)


def _shown(name: str) -> str:
    """A name of the sender's in a message of ours."""
    return name if len(name) <= 64 else f"{name[:63]}…"


def _head_key(user_id: str) -> str:
    return f"user:{user_id}/preferences"
