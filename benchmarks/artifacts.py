"""CPU time of `ArtifactParser.feed` per delta: flat from 64 KB to 20 MB, whatever the text.

Run ``python benchmarks/artifacts.py``. Deltas of 18 characters, about what models stream; events
are made and let go, as a server does. CPU time, and the fastest of several runs counts.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator

from attrs import frozen

from openbolt.chat.artifacts import ArtifactParser

KB, MB = 1024, 1024 * 1024

ARTIFACT = '<boltArtifact id="a" title="A">'
FILE = '<boltAction type="file" filePath="src/a.tsx">'
END = "</boltAction></boltArtifact>"

PLAIN = "const total = a + b;\n"
JSX = '<li key={i} className="a">{x < 1 && <b>{y}</b>}</li>\n'
COMMAND = '<boltAction type="shell">ls</boltAction>\n'


@frozen
class Case:
    """A text: `opening`, `unit` over and over, `closing`."""

    name: str
    unit: str
    opening: str = ""
    closing: str = ""

    def deltas(self, size: int, width: int) -> list[str]:
        text = self.opening + self.unit * (size // len(self.unit)) + self.closing
        return [text[at : at + width] for at in range(0, len(text), width)]


BODY = (ARTIFACT + FILE, END)
CASES = [
    Case("plain text", PLAIN),
    Case("plain file", PLAIN, *BODY),
]
HARDER = [
    Case("text with fences", "```js\na\n```\nSome words.\n"),
    Case("text full of HTML", JSX),
    Case("file full of JSX", JSX, *BODY),
    Case("many small actions", COMMAND, ARTIFACT, END),
    Case("many small artifacts", ARTIFACT + "</boltArtifact>\n"),
    Case("text of <", "<"),
    Case("file of <", "<", *BODY),
    Case("text of <boltA", "<boltA"),
    Case("file of </boltA", "</boltA", *BODY),
    Case("text of <boltAction ", "<boltAction "),
    Case('text of <boltAction a="', '<boltAction a="'),
    Case("one endless tag", 'a="b" ', "<boltArtifact "),
    Case("one endless quote", "a > b ", '<boltArtifact id="'),
    Case("artifact full of prose", PLAIN, ARTIFACT),
]

REPORTED = [("bolt.diy, file", 64 * KB, 6.0), ("bolt.diy, file", 2 * MB, 790.0)]
"""Published figures of another parser, which reads the whole text again at each delta."""


def measure(deltas: list[str], runs: int) -> float:
    """Microseconds per delta, of the fastest run."""
    best = float("inf")
    for _ in range(runs):
        gc.collect()
        feed = (parser := ArtifactParser()).feed
        start = time.process_time()
        for delta in deltas:
            feed(delta)
        parser.finish()
        best = min(best, time.process_time() - start)
    return best / len(deltas) * 1e6


def rows(
    sizes: list[int], hard_size: int, width: int, runs: int
) -> Iterator[tuple[str, int, float]]:
    for case in CASES:
        for size in sizes:
            yield case.name, size, measure(case.deltas(size, width), 1 if size > 8 * MB else runs)
    for case in HARDER:
        for size in (hard_size // 8, hard_size):
            yield case.name, size, measure(case.deltas(size, width), runs)


def label(size: int) -> str:
    return f"{size / MB:g} MB" if size >= MB else f"{size / KB:g} KB"


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of ArtifactParser.feed per delta.")
    parser.add_argument("--delta", type=int, default=18, metavar="N", help="characters per delta")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs per row (default 5)")
    parser.add_argument("--quick", action="store_true", help="nothing above 2 MB, and one run")
    args = parser.parse_args()
    sizes = [64 * KB, 2 * MB] if args.quick else [64 * KB, 2 * MB, 20 * MB]
    print(f"{'deltas of ' + str(args.delta):<26}{'size':>8}{'µs/delta':>12}")
    for name, size, cost in rows(sizes, 2 * MB, args.delta, 1 if args.quick else args.runs):
        print(f"{name:<26}{label(size):>8}{cost:>12.2f}", flush=True)
    for name, size, cost in REPORTED:
        print(f"{name:<26}{label(size):>8}{cost:>12.2f}  (reported, not measured here)")


if __name__ == "__main__":
    main()
