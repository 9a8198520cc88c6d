"""The documentation is executed: each Python block of a page runs after the ones above it.

A block may `await` at its top level, as the asyncio prompt (`python -m asyncio`) allows, and all
blocks of a page share one event loop. A block that must not run is preceded by
`<!--- skip: next -->`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

_RUNNER = "__runner__"


def _start(namespace: dict[str, Any]) -> None:
    namespace[_RUNNER] = asyncio.Runner()


def _stop(namespace: dict[str, Any]) -> None:
    namespace[_RUNNER].close()


def _run(example: Example) -> None:
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    code = compile(
        source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    if code.co_flags & inspect.CO_COROUTINE:

        async def main() -> None:
            await eval(code, example.namespace)

        example.namespace[_RUNNER].run(main())
    else:
        exec(code, example.namespace)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=_run), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    excludes=["*/README.md"],
    setup=_start,
    teardown=_stop,
).pytest()
