"""A turn survives whatever happens to it: laws over generated stories in simulated time."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.durability.laws import FOR_EVER, Story, Teller
from tests.durability.simulation import Call, simulate
from tests.durability.story import Turn

WORDS = st.sampled_from(
    ["So. ", "a < b\n", "<b>", "<boltArt", "é😀", "\n\n", "words and words and words ", "`x` ", "<"]
)
LINES = st.sampled_from(
    ["let a = 1;\n", "<p>hi</p>\n", "if (a < b) go();\n", "</bolt", "x" * 40, "ü\n", "\n", "  "]
)
NAMES = st.sampled_from(["a.js", "b.css", "src/c.html"])


def _body(lines: Sequence[str], number: int) -> str:
    return "".join(lines) + f"// {number}\n"


@st.composite
def replies(draw: st.DrawFn) -> str:
    """A reply's text: words, and artifacts with files and commands."""
    parts: list[str] = []
    for number in range(draw(st.integers(0, 3))):
        parts += draw(st.lists(WORDS, max_size=3))
        actions = []
        for index, name in enumerate(draw(st.lists(NAMES, max_size=3))):
            body = _body(draw(st.lists(LINES, max_size=4)), draw(st.integers(0, 99)))
            actions.append(f'<boltAction type="file" filePath="{name}">{body}</boltAction>')
            if draw(st.booleans()):
                actions.append(f'<boltAction type="shell">run {index}</boltAction>')
        inside = draw(st.sampled_from(["", "\n"])).join(actions)
        parts.append(f'<boltArtifact id="a{number}" title="T{number}">{inside}</boltArtifact>')
    parts += draw(st.lists(WORDS, max_size=3))
    return "".join(parts) or "ok"


TIMES = st.sampled_from([0.0, 0.004, 0.01, 0.05, 0.3])
CALLS = st.builds(
    Call,
    size=st.none() | st.integers(0, 200),
    overlap=st.sampled_from([0, 0, 16, 40]),
    thinking=st.none() | st.sampled_from(["", "hm, let me see", "<boltArtifact id='x'>"]),
    delta=st.integers(1, 60),
    batch=st.sampled_from([1, 2, 5, 1000]),
    pause=TIMES,
    ending=st.sampled_from(
        ["end_turn", "max_tokens", "max_tokens", "broken", "refusal", "fatal", "stall", "pings"]
    ),
    cut=st.integers(0, 20),
    refused=st.sampled_from([None, None, None, "broken", "fatal"]),
    tokens=st.tuples(st.integers(0, 500), st.integers(1, 50)),
)
MOMENTS = st.integers(0, 200).map(lambda n: n * 0.005)
ATTENDED = st.fixed_dictionaries(
    {},
    optional={
        "leave": MOMENTS,
        "stop": MOMENTS,
        "hang_up": MOMENTS,
        "rejoin": st.lists(st.tuples(MOMENTS, st.integers(0, 30)), max_size=2).map(tuple),
    },
)
FATES = st.one_of(
    st.just({}),
    st.builds(lambda at: {"shutdown": at}, MOMENTS),
    st.builds(lambda at: {"kill_time": at}, MOMENTS),
    st.builds(
        lambda at, after, again: {"kill_at": at, "after": after, "kill_again": again},
        st.integers(1, 60),
        st.booleans(),
        st.none() | st.integers(1, 30),
    ),
    st.builds(
        lambda at, count, after: {"fails": range(at, at + count), "after": after},
        st.integers(1, 50),
        st.sampled_from([1, 2, 1000]),
        st.booleans(),
    ),
)
TURNS = st.builds(
    lambda text, calls, attended, fate: Turn(text, tuple(calls), **attended, **fate),
    replies(),
    st.lists(CALLS, max_size=4),
    st.just({}) | ATTENDED,
    FATES,
)


STORIES = st.builds(
    Story,
    turns=st.lists(TURNS, min_size=1, max_size=3).map(tuple),
    grace=st.sampled_from([0.0, 0.2, FOR_EVER]),
    max_segments=st.integers(1, 4),
    max_recoveries=st.integers(0, 2),
    latency=st.sampled_from([0.0, 0.001, 0.02, 0.05]),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(STORIES)
def test_a_turn_survives_whatever_happens_to_it(story: Story) -> None:
    simulate(Teller(story).tell())
