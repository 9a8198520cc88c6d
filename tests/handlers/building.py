"""The whole application over stores in memory, driven with plain requests instead of a server."""

from __future__ import annotations

import json as jsons
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

from attrs import frozen

from openbolt.http import (
    EMPTY_BODY,
    Handler,
    Headers,
    Principal,
    Request,
    RequestContext,
    Response,
    StreamBody,
)
from openbolt.lifetime import Work
from openbolt_local.mocks import AnthropicMock

HOST = "localhost:8787"


@frozen
class Answer:
    """A response with its body read."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    async def of(cls, response: Response) -> Answer:
        """A response, read to its end and closed."""
        return cls(response.status, response.headers, await read_body(response))

    @property
    def json(self) -> Any:
        return jsons.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def frames(self) -> list[Any]:
        """What a server-sent event stream carried, without its ``[DONE]``."""
        lines = self.text.splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [jsons.loads(text) for text in data if text != "[DONE]"]

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and field of an error, whose shape is checked."""
        said = self.json["error"]
        assert self.json.keys() == {"error"}
        assert said.keys() - {"field"} == {"code", "message", "requestId"}
        assert said["requestId"] == self.headers.get("x-request-id") != ""
        return self.status, said["code"], said.get("field")


class ByHeader:
    """An `openbolt.protocols.Authenticator` that believes ``x-test-user``."""

    async def authenticate(self, request: Request, /) -> Principal | None:
        name = request.headers.get("x-test-user")
        return Principal(name) if name else None


class Caller:
    """Sends requests to a handler.

    Attributes:
        work: What the requests spawned.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.work = Work()

    async def send(
        self,
        method: str,
        target: str,
        /,
        *,
        json: object = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        user: str | None = "ann",
        host: str = HOST,
        root_path: str = "",
    ) -> Response:
        """The response as the handler gives it; whoever calls closes its body.

        Args:
            json: Sent as the body, if it isn't None.
            user: Who is signed in; None for nobody.
        """
        fields = {"host": host, **({"x-test-user": user} if user else {})}
        if json is not None:
            content = jsons.dumps(json).encode()
            fields["content-type"] = "application/json"
        path, _, query = target.partition("?")
        body = StreamBody(once(content)) if content else EMPTY_BODY
        request = Request(
            method,
            unquote(path),
            Headers.of({**fields, **(headers or {})}),
            body,
            RequestContext(spawn=self.work.spawn),
            query=query,
            root_path=root_path,
        )
        try:
            return await self.handler(request)
        finally:
            await body.aclose()

    async def __call__(self, method: str, target: str, /, **options: Any) -> Answer:
        """Like `send`, with the body read."""
        return await Answer.of(await self.send(method, target, **options))

    async def settle(self) -> None:
        """Wait until all that the requests spawned has ended."""
        await self.work.drain(30)


@frozen
class Talked:
    """A turn that was read to its end and has settled."""

    answer: Answer

    @property
    def frames(self) -> list[Any]:
        return self.answer.frames

    @property
    def chat_id(self) -> str:
        return self.answer.headers.get("x-openbolt-chat") or ""

    @property
    def project_id(self) -> str:
        return self.answer.headers.get("x-openbolt-project") or ""


@frozen
class Chatter:
    """Holds conversations."""

    call: Caller
    mock: AnthropicMock

    async def __call__(
        self,
        text: str = "Hello",
        /,
        *,
        files: Mapping[str, str] | None = None,
        user: str | None = "ann",
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Talked:
        """Say something and read the reply.

        Args:
            files: What the model answers with; None leaves it to the mock.
            body: Further fields of the request's body; ``messages`` replaces the text.
        """
        if files is not None:
            self.mock.enqueue(handing_over(files))
        said = {"messages": [{"role": "user", "content": text}], **body}
        answer = await self.call("POST", "/api/chat", json=said, user=user, headers=headers)
        await self.call.settle()
        return Talked(answer)


def handing_over(files: Mapping[str, str]) -> str:
    """A model's reply that hands over files."""
    actions = "".join(
        f'<boltAction type="file" filePath="{path}">\n{content}\n</boltAction>\n'
        for path, content in files.items()
    )
    return f'Here.\n<boltArtifact id="made" title="Made">\n{actions}</boltArtifact>\nDone.'


async def preview_token(call: Caller, project: str = "p1") -> str:
    """What a project's preview is reached by."""
    answer = await call("POST", f"/api/projects/{project}/preview")
    token: str = answer.json["sandboxUrl"].split("/")[2]
    return token


async def read_body(response: Response) -> bytes:
    """The whole body, closed."""
    if isinstance(response.body, bytes):
        return response.body
    try:
        return b"".join([chunk async for chunk in response.body])
    finally:
        await response.body.aclose()


async def once(content: bytes) -> AsyncIterator[bytes]:
    """A body in one piece."""
    yield content
