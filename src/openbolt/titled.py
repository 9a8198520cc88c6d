"""What chats and projects are alike in over HTTP: a page of one's own, and another title.

Law: a title is trimmed, its white space folded, and has 1 to 200 characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from attrs import frozen

from openbolt.access import Asker, principal_of
from openbolt.bodies import json_response, read_json
from openbolt.errors import InvalidRequestError
from openbolt.http import Request, Response
from openbolt.paging import page_by_time

__all__ = ["Title", "Titled", "TitledStore", "list_page", "rename"]


class Titled(Protocol):
    """A thing that can be listed: by the time of its last change, then by its id."""

    @property
    def id(self) -> str: ...

    @property
    def updated_at(self) -> float: ...


T = TypeVar("T", bound=Titled)
T_co = TypeVar("T_co", covariant=True)


class TitledStore(Protocol[T_co]):
    """Where such things are kept."""

    async def list(self, owner: Asker, /) -> Sequence[T_co]:
        """Those of whoever asks that they may read, the latest change first."""
        ...

    async def rename(self, thing_id: str, title: str, /, *, owner: Asker) -> T_co:
        """Give one another title."""
        ...


@frozen
class Title:
    """A new title."""

    title: str

    def checked(self) -> str:
        """The title, trimmed; 1 to 200 characters."""
        text = " ".join(self.title.split())
        if not 1 <= len(text) <= 200:
            raise InvalidRequestError("title: must be 1 to 200 characters", field="title")
        return text


async def list_page(
    request: Request,
    store: TitledStore[T],
    row: Callable[[T], dict[str, Any]],
    /,
    *,
    name: str,
    size: int,
) -> Response:
    """The caller's things, the latest change first; ``next`` goes on with ``?cursor=``.

    Args:
        name: The field that holds the rows.
        size: Rows at most.
    """
    page, cursor = page_by_time(
        await store.list(principal_of(request)),
        lambda thing: (thing.updated_at, thing.id),
        cursor=request.query_param("cursor"),
        size=size,
    )
    return json_response({name: [row(thing) for thing in page], "next": cursor})


async def rename(
    request: Request,
    store: TitledStore[T],
    row: Callable[[T], dict[str, Any]],
    /,
    *,
    limit: int,
) -> Response:
    """Give the thing that the path names the title in the body.

    Args:
        limit: Bytes of the body at most.
    """
    body = await read_json(request, Title, limit=limit)
    thing_id, owner = request.path_params["id"], principal_of(request)
    return json_response(row(await store.rename(thing_id, body.checked(), owner=owner)))
