"""Takes out one defence after another, and sees the test fail that the table of attacks names.

``python -m tests.security.mutations`` does so for every row of `tests.security.attacks` that has
edits, each in a copy of ``src``, and prints what became of it; some two minutes on two cores. A
test that passes without the defence shows nothing: it has SURVIVED, and the exit status is 1.

``--only WORDS`` takes the rows whose attack or test has these words; ``--jobs N`` so many at once;
``--why`` says what each test failed with.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from attrs import frozen

from tests.security.attacks import ATTACKS, Attack, Edit

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0
"""Seconds for one test; one that hangs without its defence has failed."""

_FAILED = re.compile(r"^(\d+) failed", re.MULTILINE)
_WHY = re.compile(r"^E +(.+)$", re.MULTILINE)

# Every test runs in a process of its own; they are forked from one that has loaded what is slow to
# load, and nothing of ours.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["aiohttp", "cattrs", "cryptography.fernet", "httpx", "jwt", "pytest", "sortedcontainers"]
)


@frozen
class Outcome:
    """What a test said without its defence."""

    attack: Attack
    said: str
    seconds: float
    output: str

    @property
    def is_right(self) -> bool:
        """Whether it did as it must."""
        return self.said == "failed"

    @property
    def why(self) -> str:
        """What it failed with, in a line."""
        found = _WHY.search(self.output)
        return found[1] if found else ""


class Source:
    """A copy of ``src`` that is changed, tested and changed back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changes = 0
        shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("__pycache__"))

    @contextmanager
    def without(self, edits: Sequence[Edit]) -> Iterator[None]:
        """With these edits."""
        before = {name: (self.folder / name).read_text() for name in {e.file for e in edits}}
        times = {name: (self.folder / name).stat().st_mtime_ns for name in before}
        after = mutated(before, edits)
        self._changes += 1
        try:
            for name, text in after.items():
                (self.folder / name).write_text(text)
                # A time of its own for each change: compiled files are told apart by it.
                os.utime(self.folder / name, (self._changes, self._changes))
            yield
        finally:
            for name, text in before.items():
                (self.folder / name).write_text(text)
                os.utime(self.folder / name, ns=(times[name], times[name]))

    def run(self, *tests: str) -> tuple[int, str]:
        """Pytest's exit status and what it printed; -1 where it took too long."""
        printed = self.folder.with_suffix(".txt")
        process = _PROCESSES.Process(target=_pytest, args=(self.folder, tests, printed))
        process.start()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            process.join()
            return -1, "E   it hung"
        return process.exitcode or 0, printed.read_text(errors="replace")


def _pytest(source: Path, tests: Sequence[str], printed: Path) -> None:
    """In a process of its own."""
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "ci"
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={ROOT} {source}"]
    status = pytest.main([*options, *tests])
    sys.stdout.flush()
    os._exit(status)


def mutated(texts: dict[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """Texts of files with edits.

    Raises:
        LookupError: What an edit takes out isn't there, or more than once.
    """
    after = dict(texts)
    for edit in edits:
        count = after[edit.file].count(edit.old)
        if count != 1:
            raise LookupError(f"{edit.file} has {count} times: {edit.old!r}")
        after[edit.file] = after[edit.file].replace(edit.old, edit.new)
    return after


def outcome_of(attack: Attack, source: Source) -> Outcome:
    """Take a defence out and run its test."""
    started = time.monotonic()
    with source.without(attack.without):
        status, output = source.run(attack.test)
    if status == 0:
        said = "SURVIVED"
    elif status == -1 or (status == 1 and _FAILED.search(output)):
        said = "failed"
    else:  # it wasn't even run: the edit broke something else
        said = "ERROR"
    return Outcome(attack, said, time.monotonic() - started, output)


def outcomes_of(attacks: Sequence[Attack], *, jobs: int) -> Iterator[Outcome]:
    """Each defence taken out, in order.

    Raises:
        RuntimeError: The tests fail as it is.
    """
    with tempfile.TemporaryDirectory(prefix="openbolt-mutations-") as name:
        sources: SimpleQueue[Source] = SimpleQueue()
        first = Source(Path(name) / "0")
        status, output = first.run(*dict.fromkeys(attack.test for attack in attacks))
        if status != 0:
            raise RuntimeError(f"The tests fail with every defence in its place:\n{output}")
        sources.put(first)
        for number in range(1, jobs):
            sources.put(Source(Path(name) / str(number)))

        def next_of(attack: Attack) -> Outcome:
            source = sources.get()
            try:
                return outcome_of(attack, source)
            finally:
                sources.put(source)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(next_of, attacks)


def main(words: Sequence[str] | None = None) -> int:
    """Run, print, and say whether every test did as it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.mutations")
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--why", action="store_true")
    given = parser.parse_args(words)
    chosen = [
        attack
        for attack in ATTACKS
        if attack.without and given.only in f"{attack.does} {attack.test}"
    ]
    started = time.monotonic()
    wrong: list[Outcome] = []
    for outcome in outcomes_of(chosen, jobs=given.jobs):
        attack = outcome.attack
        test = attack.test.rpartition("::")[2]
        print(f"{outcome.said:8}  {attack.does[:70]:70}  {test}  {outcome.seconds:.1f} s")
        if given.why:
            print(f"          {outcome.why}")
        if not outcome.is_right:
            wrong.append(outcome)
    for outcome in wrong:
        print(f"\n{outcome.said}: {outcome.attack.does}\n{outcome.attack.test}")
        print(outcome.output[-3000:])
    took = time.monotonic() - started
    print(
        f"\n{len(chosen)} defences taken out, {len(chosen) - len(wrong)} tests failed as they "
        f"must, {len(wrong)} did not; {took:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
