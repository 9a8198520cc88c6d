"""The code that docs/how-to/use-with-usechat.md shows, run against a server."""

from __future__ import annotations

import re
from pathlib import Path

from openbolt_local.mocks import Reply
from tests.wire.replies import AFTER, BEFORE, PAGE
from tests.wire.running import HERE, Chat, Client, Server

GUIDE = HERE.parents[1] / "docs/how-to/use-with-usechat.md"


def documented_module() -> Path:
    """The guide's module, where imports find the packages of this folder."""
    [code] = re.findall(r"^```js\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    module = HERE / "node_modules/.guide/builder.mjs"
    module.parent.mkdir(exist_ok=True)
    module.write_text(code)
    return module


def test_the_guides_module_does_what_it_says(client: Client, server: Server) -> None:
    server.mock.enqueue(PAGE)
    module = str(documented_module())
    chat = Chat(client, client("open", version="ai", url=server.url, module=module)["chat"])

    report = chat.ask("A page")

    assert report.texts == [BEFORE, AFTER]
    [first, second] = client("guide", call="actionsOf", with_=[report.message])
    assert (first["filePath"], second["filePath"]) == ("index.html", "src/app.js")
    assert client("guide", call="filesOf", with_=[report.message]) == {
        "index.html": "saved",
        "src/app.js": "saved",
    }
    stored = client("guide", call="storedChat", with_=[server.url, report.id])
    assert (len(stored["messages"]), stored["running"]) == (2, False)
    assert client("guide", call="storedChat", with_=[server.url, "none"]) is None


def test_the_guides_stop_ends_the_reply(client: Client, server: Server) -> None:
    server.mock.enqueue(Reply(chunks=("So far", " and on"), fault="stall after=1"))
    module = str(documented_module())
    chat = Chat(client, client("open", version="ai", url=server.url, module=module)["chat"])
    chat("send", text="Hi")
    chat_id = chat.until("So far").id

    client("guide", call="stopReply", with_=[server.url, chat_id])

    assert chat.done().chunks[-1] == {"type": "abort"}
