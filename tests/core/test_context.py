"""What a model is shown of a project: whole files within the budget, and every other one named."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.chat.context import Context, choose_files
from openbolt.chat.prompt import estimate_tokens
from openbolt.projects.store import Manifest, ProjectStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore

LONG = "const answer = 42; // a line that is long enough to be told from others by itself\n"


async def choose(
    files: Mapping[str, str | bytes],
    *,
    prompt: str = "Change it",
    said: tuple[str, ...] = (),
    budget: int = 60_000,
) -> Context:
    clock = ManualClock()
    projects = ProjectStore(MemoryObjectStore(clock), MemoryKeyValueStore(clock), clock)
    entries = [
        await projects.put_blob(path, data.encode() if isinstance(data, str) else data)
        for path, data in files.items()
    ]
    manifest = Manifest(7, None, 0.0, "", tuple(sorted(entries)))
    return await choose_files(projects, manifest, prompt=prompt, said=said, budget=budget)


def action(path: str, content: str) -> str:
    return f'<boltAction type="file" filePath="{path}">\n{content}</boltAction>'


def shown(context: Context) -> dict[str, str]:
    found = re.findall(r'<file path="([^"]+)">\n(.*?)</file>\n', context.text, re.DOTALL)
    return dict(found)


async def test_files_are_shown_whole_under_their_paths() -> None:
    context = await choose({"index.html": "<p>é</p>\n", "a/b.js": "b\n"})
    assert shown(context) == {"index.html": "<p>é</p>\n", "a/b.js": "b\n"}
    assert set(context.included) == {"index.html", "a/b.js"}
    assert context.receipt() == {
        "version": 7,
        "included": ["index.html", "a/b.js"],
        "omitted": [],
        "tokens": context.tokens,
    }


async def test_a_project_without_files_shows_nothing() -> None:
    assert await choose({}) == Context(version=7)


async def test_what_the_prompt_names_comes_first_then_entry_points_then_small_files() -> None:
    files = {
        "tiny.txt": "t\n",
        "small.txt": "small\n",
        "index.html": "<p>An entry point</p>\n",
        "lib/named.js": "named in the prompt, and the largest of them all\n",
    }
    context = await choose(files, prompt="Fix named.js, please")
    assert context.included == ("lib/named.js", "index.html", "tiny.txt", "small.txt")


async def test_under_a_tight_budget_the_named_file_is_the_one_that_is_shown() -> None:
    files = {f"f{n}.js": LONG * 3 for n in range(5)}
    context = await choose(files, prompt="What does f3.js do?", budget=100)
    assert context.included == ("f3.js",)
    assert dict(context.omitted) == {f"f{n}.js": "over the context budget" for n in (0, 1, 2, 4)}


async def test_a_file_over_what_is_left_does_not_keep_a_smaller_one_out() -> None:
    context = await choose({"index.html": LONG * 50, "z.txt": "z\n"}, budget=60)
    assert context.included == ("z.txt",)
    assert context.omitted == (("index.html", "over the context budget"),)


async def test_what_is_not_text_is_left_out_and_said_so() -> None:
    context = await choose({"a.png": b"\x89PNG\xff", "nul.txt": b"a\0b", "b.txt": "b"})
    assert context.included == ("b.txt",)
    assert dict(context.omitted) == {"a.png": "not text", "nul.txt": "not text"}


async def test_a_huge_file_is_left_out_even_where_the_budget_would_hold_it() -> None:
    context = await choose({"big.txt": "x" * (256 * 1024 + 1)}, budget=10**9)
    assert context.omitted == (("big.txt", "over 262144 bytes"),)


async def test_a_file_that_stands_in_the_conversation_as_it_is_now_is_not_repeated() -> None:
    context = await choose({"a.js": LONG}, said=(action("a.js", LONG),))
    assert context == Context(omitted=(("a.js", "already in the conversation"),), version=7)


@pytest.mark.parametrize(
    "said",
    [
        (action("a.js", "const old = 1;\n"),),
        (action("a.js", LONG), action("a.js", "const newer = 1;\n")),
        (action("b.js", LONG),),
        (LONG,),
    ],
    ids=["an older text", "a newer text that was undone", "another file", "no file"],
)
async def test_a_file_that_the_model_last_saw_otherwise_is_shown(said: tuple[str, ...]) -> None:
    context = await choose({"a.js": LONG}, said=said)
    assert shown(context) == {"a.js": LONG}


async def test_speaking_of_a_file_later_does_not_hide_where_it_was_written() -> None:
    said = (action("a.js", LONG), "I changed a.js for you.")
    context = await choose({"a.js": LONG}, said=said)
    assert context.included == ()


@pytest.mark.parametrize("content", ["", "\n", "1\n", "{}\n"])
async def test_a_text_that_stands_in_any_reply_by_chance_is_shown(content: str) -> None:
    context = await choose({"VERSION": content}, said=("1 {} " + action("VERSION.js", LONG),))
    assert shown(context) == {"VERSION": content}


PATHS = st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?\.(js|html|txt)", fullmatch=True)
BODIES = st.text(st.characters(blacklist_categories=("Cs",)), max_size=200) | st.binary(
    max_size=200
)


@given(st.dictionaries(PATHS, BODIES, max_size=8), st.integers(0, 200), st.text(max_size=20))
async def test_every_file_is_named_exactly_once_and_the_budget_holds(
    files: dict[str, str | bytes], budget: int, prompt: str
) -> None:
    context = await choose(files, prompt=prompt, budget=budget)
    named = [*context.included, *(path for path, _ in context.omitted)]
    assert sorted(named) == sorted(files)
    assert estimate_tokens(context.text) <= context.tokens
    assert context.tokens <= max(budget, 0)
    for path in context.included:
        data = files[path]
        text = data if isinstance(data, str) else data.decode()
        assert f'<file path="{path}">\n{text}</file>\n' in context.text
