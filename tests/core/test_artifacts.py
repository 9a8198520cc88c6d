"""The input language of artifacts, row by row: docs/reference/artifacts.md is the table."""

from __future__ import annotations

import tracemalloc
from typing import get_args

import pytest

from openbolt.chat.artifacts import (
    KNOWN_ACTION_TYPES,
    ActionClosed,
    ActionDelta,
    ActionOpened,
    ArtifactClosed,
    ArtifactOpened,
    ArtifactParser,
    Event,
    Repair,
    RepairKind,
    Text,
    Verdict,
)
from tests.artifacts import merged


def read(text: str, size: int | None = None, *, max_tag: int = 16_384) -> list[Event]:
    """The events of a whole message, fed in deltas of `size`, adjacent ones merged."""
    parser = ArtifactParser(max_tag=max_tag)
    step = size or max(len(text), 1)
    events: list[Event] = []
    for at in range(0, len(text), step):
        events += parser.feed(text[at : at + step])
    return merged(events + parser.finish())


def artifact(body: str, attributes: str = 'id="a" title="A"') -> str:
    return f"<boltArtifact {attributes}>{body}</boltArtifact>"


def file(body: str, path: str = "a.js") -> str:
    return f'<boltAction type="file" filePath="{path}">{body}</boltAction>'


OPENED = ArtifactOpened("a", "A", None)
CLOSED = ArtifactClosed("a")


def action(
    body: str,
    content: str,
    verdict: Verdict = "complete",
    *repairs: Repair,
    action_id: str = "0",
    artifact_id: str = "a",
    **attributes: str,
) -> list[Event]:
    """One action, from its opening to its closing."""
    given = attributes or {"type": "file", "filePath": "a.js"}
    return [
        ActionOpened(artifact_id, action_id, given.get("type", ""), given.get("filePath"), given),
        *([ActionDelta(action_id, body)] if body else []),
        *repairs,
        ActionClosed(action_id, content, verdict),
    ]


UNFENCED = Repair("content", "a markdown fence around the whole file was taken off")
UNESCAPED = Repair("content", "escaped characters were restored")
UNCLOSED_ACTION = Repair("unclosed-action", "</boltAction> was missing")
UNCLOSED_ARTIFACT = Repair("unclosed-artifact", "the reply ended before </boltArtifact>")
DROPPED = Repair("dropped-text", "text in an artifact, outside its actions, was dropped")
NESTED = Repair("nested-artifact", "<boltArtifact> inside an artifact was dropped")
IN_FENCE = Repair("in-fence", "the artifact stands in a markdown fence")
BARE = [
    Repair("bare-action", "<boltAction> got an artifact of its own"),
    Repair("missing-attribute", "<boltArtifact>: id, now artifact-1"),
    Repair("missing-attribute", "<boltArtifact>: title, now Untitled"),
    ArtifactOpened("artifact-1", "Untitled", None),
]


def odd(detail: str, name: str = "boltArtifact") -> Repair:
    return Repair("tag", f"<{name}>: {detail}")


SOURCES = [
    *("a.js", "b.ts", "c.jsx", "d.tsx", "e.vue", "f.svelte", "g.html", "h.css", "i.py", "j.go"),
    *("k.rs", "l.java", "m.c", "n.cpp", "o.php", "p.rb", "q.sh", "r.sql", "dir.d/S.TSX"),
]
WIDE = " \t\r\n" * 4
LONG_LINE = "```js " + "x" * 2000 + "`"
SHELL = {"type": "shell"}
START = {"type": "start"}

CASES: dict[str, tuple[str, list[Event]]] = {
    # As it is meant to be
    "no text at all": ("", []),
    "text only": ("Hello <b>you</b>\n", [Text("Hello <b>you</b>\n")]),
    "text, a file, a shell command, a start command, text": (
        "Here:\n"
        + artifact(
            "\n  " + file("\nlet a = 1;\n\n") + "\n"
            '  <boltAction type="shell">\nnpm i\n</boltAction>'
            '<boltAction type="start">npm run dev</boltAction>\n',
            'id="a" title="A" type="bundled"',
        )
        + "\n\nDone. ",
        [
            Text("Here:\n"),
            ArtifactOpened("a", "A", "bundled"),
            *action("\nlet a = 1;\n\n", "let a = 1;\n"),
            *action("\nnpm i\n", "npm i", action_id="1", **SHELL),
            *action("npm run dev", "npm run dev", action_id="2", **START),
            CLOSED,
            Text("\n\nDone. "),
        ],
    ),
    "actions are counted through the message, over artifacts": (
        artifact(file("1")) + artifact(file("2"), 'id="b" title="B"'),
        [
            OPENED,
            *action("1", "1\n"),
            CLOSED,
            ArtifactOpened("b", "B", None),
            *action("2", "2\n", action_id="1", artifact_id="b"),
            ArtifactClosed("b"),
        ],
    ),
    "an artifact without actions": (artifact("\n"), [OPENED, CLOSED]),
    "an empty file is one newline": (artifact(file("")), [OPENED, *action("", "\n"), CLOSED]),
    "an empty command is empty": (
        artifact('<boltAction type="shell"> </boltAction>'),
        [OPENED, *action(" ", "", **SHELL), CLOSED],
    ),
    "CRLF within a file stays": (
        artifact(file("\r\na\r\nb\r\n")),
        [OPENED, *action("\r\na\r\nb\r\n", "a\r\nb\n"), CLOSED],
    ),
    "an edit is no file: trimmed, nothing added": (
        artifact('<boltAction type="edit" filePath="a.js">\n```js\na\n```\n</boltAction>'),
        [
            OPENED,
            *action("\n```js\na\n```\n", "```js\na\n```", type="edit", filePath="a.js"),
            CLOSED,
        ],
    ),
    "other tags in a body are content": (
        artifact(file("<div>a < b</div></boltActions></ bolt>")),
        [
            OPENED,
            *action(
                "<div>a < b</div></boltActions></ bolt>",
                "<div>a < b</div></boltActions></ bolt>\n",
            ),
            CLOSED,
        ],
    ),
    # Fences around files
    "a fence with an info string is taken off": (
        artifact(file("\n```c++ linenums\na\n\n```\n")),
        [
            OPENED,
            *action("\n```c++ linenums\na\n\n```\n", "a\n", "repaired", UNFENCED),
            CLOSED,
        ],
    ),
    "a fence of tildes, indented at its end, with CRLF": (
        artifact(file("~~~~js\r\na\r\n  ~~~~\r\n")),
        [OPENED, *action("~~~~js\r\na\r\n  ~~~~\r\n", "a\n", "repaired", UNFENCED), CLOSED],
    ),
    "a fence with nothing in it leaves an empty file": (
        artifact(file("```\n```")),
        [OPENED, *action("```\n```", "\n", "repaired", UNFENCED), CLOSED],
    ),
    "a fence that holds a fenced example": (
        artifact(file("```js\n/**\n```html\n<b>\n```\n*/\n```")),
        [
            OPENED,
            *action(
                "```js\n/**\n```html\n<b>\n```\n*/\n```",
                "/**\n```html\n<b>\n```\n*/\n",
                "repaired",
                UNFENCED,
            ),
            CLOSED,
        ],
    ),
    "a fence in a file without a path": (
        artifact('<boltAction type="file">```\na\n```</boltAction>'),
        [OPENED, *action("```\na\n```", "a\n", "repaired", UNFENCED, type="file"), CLOSED],
    ),
    "a fence that holds shorter ones": (
        artifact(file("````js\n```\na\n```\n~~~\n````")),
        [
            OPENED,
            *action("````js\n```\na\n```\n~~~\n````", "```\na\n```\n~~~\n", "repaired", UNFENCED),
            CLOSED,
        ],
    ),
    "of two fences only the inner one is closed": (
        artifact(file("```js\n```html\n```")),
        [OPENED, *action("```js\n```html\n```", "```js\n```html\n```\n"), CLOSED],
    ),
    "two fences are not one": (
        artifact(file("```js\na\n```\n```js\nb\n```")),
        [
            OPENED,
            *action("```js\na\n```\n```js\nb\n```", "```js\na\n```\n```js\nb\n```\n"),
            CLOSED,
        ],
    ),
    "a fence that is not closed stays": (
        artifact(file("```js\na")),
        [OPENED, *action("```js\na", "```js\na\n"), CLOSED],
    ),
    "a fence on one line is none": (
        artifact(file("```js a```")),
        [OPENED, *action("```js a```", "```js a```\n"), CLOSED],
    ),
    "a fence closed by a shorter one stays": (
        artifact(file("````js\na\n```")),
        [OPENED, *action("````js\na\n```", "````js\na\n```\n"), CLOSED],
    ),
    **{
        f"a fence around a whole {path} stays": (
            artifact(file("```js\na\n```", path)),
            [
                OPENED,
                *action("```js\na\n```", "```js\na\n```\n", type="file", filePath=path),
                CLOSED,
            ],
        )
        for path in ("README.md", "docs/page.MDX")
    },
    # Escaped source
    **{
        f"escaped source in {path} is restored": (
            artifact(file("&lt;b&gt; &amp;&amp; &quot;&#39;", path)),
            [
                OPENED,
                *action(
                    "&lt;b&gt; &amp;&amp; &quot;&#39;",
                    "<b> && \"'\n",
                    "repaired",
                    UNESCAPED,
                    type="file",
                    filePath=path,
                ),
                CLOSED,
            ],
        )
        for path in SOURCES
    },
    "each character is restored once": (
        artifact(file("&amp;lt; &lt; &nbsp; &apos;")),
        [
            OPENED,
            *action("&amp;lt; &lt; &nbsp; &apos;", "&lt; < &nbsp; &apos;\n", "repaired", UNESCAPED),
            CLOSED,
        ],
    ),
    "escaped source in a fence": (
        artifact(file("```js\na &lt; b\n```")),
        [
            OPENED,
            *action("```js\na &lt; b\n```", "a < b\n", "repaired", UNFENCED, UNESCAPED),
            CLOSED,
        ],
    ),
    **{
        f"entities stay: {why}": (
            artifact(file(body, path)),
            [OPENED, *action(body, body + "\n", type="file", filePath=path), CLOSED],
        )
        for why, body, path in [
            ("beside a raw <", "a < b &lt; c", "a.js"),
            ("beside a raw >", "a > b &gt; c", "a.js"),
            ("neither &lt; nor &gt;", "a &amp;&amp; &quot;b&quot;", "a.js"),
            ("in markdown", "&lt;b&gt;", "a.md"),
            ("in JSON", '"&lt;b&gt;"', "a.json"),
            ("in text", "&lt;", "js"),
            ("in a dotted folder", "&lt;", "a.js/LICENSE"),
        ]
    },
    "entities stay in commands": (
        artifact('<boltAction type="shell">echo &lt;</boltAction>'),
        [OPENED, *action("echo &lt;", "echo &lt;", **SHELL), CLOSED],
    ),
    # Tags
    "attributes: > and quotes in quotes, entities, any order, names that look alike": (
        artifact(
            "",
            'title="a > b\'s &lt;i&gt; &quot;&#39;&apos;&#65;&#x42;&copy;&#0;" data-id="x" id="a"',
        ),
        [ArtifactOpened("a", "a > b's <i> \"''AB&copy;&#0;", None), CLOSED],
    ),
    "attributes: an entity is decoded once": (
        artifact("", 'id="a" title="&amp;lt;"'),
        [ArtifactOpened("a", "&lt;", None), CLOSED],
    ),
    "attributes: on lines of their own, empty, unknown": (
        artifact('<boltAction type="shell"\n  x=""\r\n\tY-z="1">a</boltAction >'),
        [OPENED, *action("a", "a", **SHELL, x="", **{"Y-z": "1"}), CLOSED],
    ),
    "attributes: of two with one name the first counts": (
        artifact("", 'id="a" title="A" id="b"'),
        [odd("an attribute twice"), OPENED, CLOSED],
    ),
    "attributes: references to no character": (
        artifact("", 'id="a" title="&#x110000;&#xD800;&#9999999;&#0;"'),
        [ArtifactOpened("a", "&#x110000;&#xD800;&#9999999;&#0;", None), CLOSED],
    ),
    "attributes: a value that ends in a name and =": (
        artifact("", 'type="a b=" id="a" title="A"') + '<boltArtifact id="a" title="a b="/>',
        [
            ArtifactOpened("a", "A", "a b="),
            CLOSED,
            odd("no closing tag"),
            ArtifactOpened("a", "a b=", None),
            CLOSED,
        ],
    ),
    "a tag as a title": (
        artifact("", 'id="a" title="the <boltAction> tag"'),
        [ArtifactOpened("a", "the <boltAction> tag", None), CLOSED],
    ),
    "single quotes": (
        artifact(file("1"), "id='a' title='A \"q\"'"),
        [odd("single quotes"), ArtifactOpened("a", 'A "q"', None), *action("1", "1\n"), CLOSED],
    ),
    "no quotes": (
        artifact("<boltAction type=file filePath=src/a.js>1</boltAction>", "id=a title=A"),
        [
            odd("no quotes"),
            OPENED,
            odd("no quotes", "boltAction"),
            *action("1", "1\n", type="file", filePath="src/a.js"),
            CLOSED,
        ],
    ),
    "a new line after the tag's name": (
        '<boltArtifact\n  id="a"\n  title="A"\n></boltArtifact>',
        [odd("a new line after the tag's name"), OPENED, CLOSED],
    ),
    "a space after <, opening and closing": (
        '< boltArtifact id="a" title="A">< boltAction type="shell">a'
        "< /boltAction></ boltArtifact >",
        [
            odd("a space after <"),
            OPENED,
            odd("a space after <", "boltAction"),
            *action("a", "a", "complete", odd("a space after <", "/boltAction"), **SHELL),
            CLOSED,
        ],
    ),
    "a space after the < of </boltArtifact>": (
        '<boltArtifact id="a" title="A">< /boltArtifact>',
        [OPENED, odd("a space after <", "/boltArtifact"), CLOSED],
    ),
    "spaces around =, none between attributes": (
        artifact("", 'id = "a"title= "A"'),
        [odd("spaces around =, no space before an attribute"), OPENED, CLOSED],
    ),
    "attributes without a value": (
        artifact("", 'id="a" title="A" open type='),
        [odd("an attribute without a value"), ArtifactOpened("a", "A", ""), CLOSED],
    ),
    "a missing closing quote before the next attribute": (
        artifact("", 'id="a  title="A"'),
        [odd("a closing quote is missing"), OPENED, CLOSED],
    ),
    "a missing closing quote before the end of the tag": (
        '<boltArtifact title="A" id="a>\n<boltAction type="shell">x</boltAction></boltArtifact>',
        [odd("a closing quote is missing"), OPENED, *action("x", "x", **SHELL), CLOSED],
    ),
    "a self-closing action": (
        artifact('<boltAction type="file" filePath="a.js"/>'),
        [OPENED, odd("no closing tag", "boltAction"), *action("", "\n", "repaired"), CLOSED],
    ),
    "a self-closing action outside": (
        '<boltAction type="start" />.',
        [
            odd("no closing tag", "boltAction"),
            *BARE,
            *action("", "", "repaired", artifact_id="artifact-1", **START),
            ArtifactClosed("artifact-1"),
            Text("."),
        ],
    ),
    "a self-closing artifact": (
        '<boltArtifact id="a" title="A" />.',
        [odd("no closing tag"), OPENED, CLOSED, Text(".")],
    ),
    "a slash that closes nothing": (
        artifact("", '/ id="a" / title="A" / '),
        [OPENED, CLOSED],
    ),
    "no id": (
        artifact("", 'title="A"') + artifact("", 'id="" title="A"'),
        [
            Repair("missing-attribute", "<boltArtifact>: id, now artifact-1"),
            ArtifactOpened("artifact-1", "A", None),
            ArtifactClosed("artifact-1"),
            Repair("missing-attribute", "<boltArtifact>: id, now artifact-2"),
            ArtifactOpened("artifact-2", "A", None),
            ArtifactClosed("artifact-2"),
        ],
    ),
    "no title": (
        artifact("", 'id="a"'),
        [
            Repair("missing-attribute", "<boltArtifact>: title, now Untitled"),
            ArtifactOpened("a", "Untitled", None),
            CLOSED,
        ],
    ),
    # Tags in places where they are not expected
    "</boltArtifact> while an action is open": (
        '<boltArtifact id="a" title="A"><boltAction type="shell">ls\n</boltArtifact>.',
        [OPENED, *action("ls\n", "ls", "repaired", UNCLOSED_ACTION, **SHELL), CLOSED, Text(".")],
    ),
    "<boltArtifact> inside an artifact": (
        artifact(artifact(file("1"), 'id="b"')),
        [OPENED, NESTED, *action("1", "1\n"), CLOSED, Text("</boltArtifact>")],
    ),
    "a known action outside any artifact": (
        'a<boltAction type="shell">ls</boltAction>b',
        [
            Text("a"),
            *BARE,
            *action("ls", "ls", artifact_id="artifact-1", **SHELL),
            ArtifactClosed("artifact-1"),
            Text("b"),
        ],
    ),
    "a known action outside any artifact, closed by </boltArtifact>": (
        '<boltAction type="shell">ls</boltArtifact>b',
        [
            *BARE,
            *action("ls", "ls", "repaired", UNCLOSED_ACTION, artifact_id="artifact-1", **SHELL),
            ArtifactClosed("artifact-1"),
            Text("b"),
        ],
    ),
    "an unknown action outside any artifact": (
        '<boltAction type="x">a</boltAction><boltAction>',
        [Text('<boltAction type="x">a</boltAction><boltAction>')],
    ),
    "opening tags in a file's body": (
        artifact(file('<boltArtifact id="b"><boltAction type="file">')),
        [
            OPENED,
            *action(
                '<boltArtifact id="b"><boltAction type="file">',
                '<boltArtifact id="b"><boltAction type="file">\n',
            ),
            CLOSED,
        ],
    ),
    "a literal </boltAction> in a file's body ends it; what follows is dropped": (
        artifact(file("'</boltAction>'")),
        [OPENED, *action("'", "'\n"), DROPPED, CLOSED],
    ),
    "a file without a path": (
        artifact('<boltAction type="file">a</boltAction>'),
        [OPENED, *action("a", "a\n", type="file"), CLOSED],
    ),
    "an unknown type": (
        artifact('<boltAction type="File">\na\n</boltAction>'),
        [
            OPENED,
            Repair("action-type", "<boltAction>: unknown type 'File'"),
            *action("\na\n", "a", type="File"),
            CLOSED,
        ],
    ),
    "no type": (
        artifact("<boltAction x='1'>a</boltAction>"),
        [
            OPENED,
            odd("single quotes", "boltAction"),
            Repair("action-type", "<boltAction>: no type"),
            *action("a", "a", x="1"),
            CLOSED,
        ],
    ),
    "as many blanks in tags as are allowed": (
        f'<{WIDE}boltArtifact id="a" title="A"><{WIDE}/{WIDE}boltArtifact{WIDE}>',
        [odd("a space after <"), OPENED, odd("a space after <", "/boltArtifact"), CLOSED],
    ),
    "one blank too many": (
        f'<{WIDE} boltArtifact id="a">{artifact(file(f"< /boltAction{WIDE} >"))}',
        [
            Text(f'<{WIDE} boltArtifact id="a">'),
            OPENED,
            *action(f"< /boltAction{WIDE} >", f"< /boltAction{WIDE} >\n"),
            CLOSED,
        ],
    ),
    "an artifact after an action outside any": (
        '<boltAction type="shell">ls</boltAction>' + artifact(file("1") + file("2")),
        [
            *BARE,
            *action("ls", "ls", artifact_id="artifact-1", **SHELL),
            ArtifactClosed("artifact-1"),
            OPENED,
            *action("1", "1\n", action_id="1"),
            *action("2", "2\n", action_id="2"),
            CLOSED,
        ],
    ),
    "prose before an action, not after it": (
        artifact(f"First: {file('1')}\n"),
        [OPENED, DROPPED, *action("1", "1\n"), CLOSED],
    ),
    "prose between actions": (
        artifact(f"First: {file('1')} Then:"),
        [OPENED, DROPPED, *action("1", "1\n"), DROPPED, CLOSED],
    ),
    **{
        f"text: {text}": (text, [Text(text)])
        for text in [
            "</boltArtifact> and </boltAction>",
            '<boltArtifacts id="a" title="A">',
            '<boltartifact id="a" title="A">',
            '<BoltAction type="shell">',
            '<xboltAction type="shell">',
            "a < b << c <",
            "<boltArtifact-x id='a'>",
            "<" + " " * 17 + 'boltAction type="shell">',
            "the `<boltArtifact>` tag",
        ]
    },
    "a tag's name in prose, then a tag": (
        "A <boltArtifact opens: " + artifact(""),
        [Text("A <boltArtifact opens: "), OPENED, CLOSED],
    ),
    "a tag with neither id nor title": (
        "<boltArtifact></boltArtifact>",
        [*BARE[1:], ArtifactClosed("artifact-1")],
    ),
    # Markdown around artifacts
    "an artifact in a fence": (
        f"```xml\n{artifact(file('1'))}\n```\n",
        [Text("```xml\n"), IN_FENCE, OPENED, *action("1", "1\n"), CLOSED, Text("\n```\n")],
    ),
    "an action in a fence of tildes": (
        '~~~~\n```\n~~~\n<boltAction type="shell">ls</boltAction>\n~~~~',
        [
            Text("~~~~\n```\n~~~\n"),
            BARE[0],
            IN_FENCE,
            *BARE[1:],
            *action("ls", "ls", artifact_id="artifact-1", **SHELL),
            ArtifactClosed("artifact-1"),
            Text("\n~~~~"),
        ],
    ),
    "an artifact on the line that opens a fence": (
        f"   ```xml {artifact('')}",
        [Text("   ```xml "), IN_FENCE, OPENED, CLOSED],
    ),
    "an artifact after a fence, after inline code, and one that closes over it": (
        f"```\na\n```\n```inline``` `{artifact('')}\n```\n{artifact('')}",
        [
            Text("```\na\n```\n```inline``` `"),
            OPENED,
            CLOSED,
            Text("\n```\n"),
            IN_FENCE,
            OPENED,
            CLOSED,
        ],
    ),
    "an artifact in the line that opens a fence": (
        f"``{artifact('')}`\n{artifact('')}",
        [Text("``"), OPENED, CLOSED, Text("`\n"), IN_FENCE, OPENED, CLOSED],
    ),
    **{
        f"a fence is known by the first 1,024 characters of its line, {where}": (
            f"{text}{artifact('')}",
            [Text(text), IN_FENCE, OPENED, CLOSED],
        )
        for where, text in [
            ("in the line", LONG_LINE),
            ("in a later line", "\n" + LONG_LINE),
            ("after it", LONG_LINE + "\n"),
        ]
    },
    # The end of the reply
    **{
        f"the reply ends in a file, after {tail!r}": (
            f'<boltArtifact id="a" title="A"><boltAction type="file" filePath="a.js">\n  a\n{tail}',
            [OPENED, *action("\n  a\n", "a\n", "truncated"), CLOSED],
        )
        for tail in ["", "<", "</", "</boltAct", "</boltAction", "</boltAction ", "</boltArtifact"]
    },
    "the reply ends in a file that is fenced and escaped": (
        '<boltArtifact id="a" title="A"><boltAction type="file" filePath="a.js">```\n&lt;\n```',
        [OPENED, *action("```\n&lt;\n```", "```\n&lt;\n```\n", "truncated"), CLOSED],
    ),
    "the reply ends in a file that has not begun": (
        '<boltArtifact id="a" title="A"><boltAction type="file" filePath="a.js">',
        [OPENED, *action("", "\n", "truncated"), CLOSED],
    ),
    "the reply ends in a command": (
        '<boltArtifact id="a" title="A"><boltAction type="shell">ls ',
        [OPENED, *action("ls ", "ls", "truncated", **SHELL), CLOSED],
    ),
    "the reply ends in an action outside any artifact": (
        '<boltAction type="shell">ls',
        [
            *BARE,
            *action("ls", "ls", "truncated", artifact_id="artifact-1", **SHELL),
            ArtifactClosed("artifact-1"),
        ],
    ),
    **{
        f"the reply ends between actions, after {tail!r}": (
            f'<boltArtifact id="a" title="A">\n{tail}',
            [OPENED, *dropped, UNCLOSED_ARTIFACT, CLOSED],
        )
        for tail, dropped in [
            ("", []),
            ("</boltArtifact", [DROPPED]),
            ('<boltAction type="file" filePath="a', [DROPPED]),
        ]
    },
    **{
        f"the reply ends in {tail!r}": (f"a{tail}", [Text(f"a{tail}")])
        for tail in ["<", "< ", "<b", "<boltArtifact", '<boltArtifact id="a', "<boltAction type="]
    },
}


@pytest.mark.parametrize("size", [None, 1, 7], ids=["whole", "by 1", "by 7"])
@pytest.mark.parametrize("name", CASES)
def test_a_text_has_these_events(name: str, size: int | None) -> None:
    text, events = CASES[name]
    assert read(text, size) == events


@pytest.mark.parametrize("action_type", sorted(KNOWN_ACTION_TYPES))
def test_a_known_action_type_needs_no_repair(action_type: str) -> None:
    text = artifact(f'<boltAction type="{action_type}">a</boltAction>')
    assert not [event for event in read(text) if isinstance(event, Repair)]


def test_every_kind_of_repair_is_made_by_some_text() -> None:
    made = {
        event.kind for _, events in CASES.values() for event in events if isinstance(event, Repair)
    }
    assert made == set(get_args(RepairKind))


@pytest.mark.parametrize("size", [None, 1, 63, 64, 65])
def test_an_opening_tag_may_be_as_long_as_the_limit_and_no_longer(size: int | None) -> None:
    tag = '<boltArtifact id="a" title="' + "A" * 34 + '">'
    longer = tag.replace('">', 'A">')
    assert (len(tag), len(longer)) == (64, 65)
    assert read(tag + "</boltArtifact>", size, max_tag=64) == [
        ArtifactOpened("a", "A" * 34, None),
        CLOSED,
    ]
    assert read(longer + "</boltArtifact>", size, max_tag=64) == [Text(longer + "</boltArtifact>")]
    assert read(f'<boltArtifact id="b" title="B">{longer}</boltArtifact>', size, max_tag=64) == [
        ArtifactOpened("b", "B", None),
        DROPPED,
        ArtifactClosed("b"),
    ]


def test_a_limit_that_no_tag_fits_in_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tag must be at least 64, not 63"):
        ArtifactParser(max_tag=63)


def test_text_is_passed_on_as_soon_as_it_is_decided() -> None:
    parser = ArtifactParser()
    deltas = ["a <", "b", "old", ' <boltAction type="shell">x<', "/b", ">\n", ""]
    assert [parser.feed(delta) for delta in deltas] == [
        [Text("a ")],
        [],
        [Text("<bold")],
        [
            Text(" "),
            *BARE,
            ActionOpened("artifact-1", "0", "shell", None, {"type": "shell"}),
            ActionDelta("0", "x"),
        ],
        [],
        [ActionDelta("0", "</b>\n")],
        [],
    ]


def test_no_event_is_empty() -> None:
    text = "a" + artifact(file("") + file("1<")) + artifact("") + "<b"
    parser = ArtifactParser()
    events = [event for char in text for event in (*parser.feed(""), *parser.feed(char))]
    events += parser.finish()
    assert not [event for event in events if event in (Text(""), ActionDelta("0", ""))]


def test_a_parser_reads_one_message() -> None:
    parser = ArtifactParser()
    parser.feed("a<b")
    assert parser.finish() == [Text("<b")]
    assert parser.finish() == []
    with pytest.raises(ValueError, match="one message"):
        parser.feed("c")


def test_events_are_values() -> None:
    text, _ = CASES["text, a file, a shell command, a start command, text"]
    first, second = read(text), read(text)
    assert set(first) == set(second)
    opened = next(event for event in first if isinstance(event, ActionOpened))
    with pytest.raises(TypeError):
        opened.attributes["type"] = "shell"  # type: ignore[index]


@pytest.mark.parametrize("filler", ["plain text\n", "<b>text</b>\n"])
@pytest.mark.parametrize("inside", [False, True], ids=["text", "body"])
def test_a_long_message_keeps_its_fence_and_its_body(filler: str, inside: bool) -> None:
    """Longer than the parser keeps deltas apart."""
    count = 10_000
    opening = '<boltArtifact id="a" title="A"><boltAction type="shell">' if inside else "```\n"
    parser = ArtifactParser()
    events = parser.feed(opening)
    for _ in range(count):
        events += parser.feed(filler)
    events += parser.feed("</boltAction></boltArtifact>" if inside else artifact(""))
    body = filler * count
    assert merged(events) == (
        [OPENED, *action(body, body.strip(), **SHELL), CLOSED]
        if inside
        else [Text("```\n" + body), IN_FENCE, OPENED, CLOSED]
    )


@pytest.mark.parametrize("delta", ["some words", "a <i> in ", "<boltA >"])
def test_visible_text_is_not_kept(delta: str) -> None:
    parser = ArtifactParser()
    tracemalloc.start()
    try:
        for turn in range(20_000):
            parser.feed(f"{delta}{turn:0100}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
