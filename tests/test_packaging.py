"""What an installation is: a light import, honest public names, types, and a core that stays small.

The table below is the law "one importer each": which modules may import something beyond attrs,
cattrs and the standard library. import-linter holds who may import whom inside the project.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import openbolt

PACKAGES = ("openbolt", "openbolt_cloudflare", "openbolt_local")
SOURCE = Path(openbolt.__file__).parent.parent

HEAVY = {
    "aiobotocore",
    "aiohttp",
    "anthropic",
    "httpx",
    "openbolt.testing",
    "openbolt_cloudflare",
    "openbolt_local",
    "opentelemetry",
    "pytest",
    "redis",
    "uvicorn",
}

CORE = {"attr", "attrs", "cattrs", "openbolt", *sys.stdlib_module_names}

MAY_ALSO_IMPORT = {
    "openbolt/auth/_id_tokens.py": {"jwt"},
    "openbolt/proxy/caching.py": {"hishel"},
    "openbolt/proxy/names.py": {"idna"},
    "openbolt/providers/anthropic.py": {"anthropic", "httpx2"},
    "openbolt/s3.py": {"aiobotocore", "botocore"},
    "openbolt/senders/aiohttp.py": {"aiohttp", "multidict", "yarl"},
    "openbolt/senders/httpx.py": {"httpx"},
    "openbolt/telemetry.py": {"opentelemetry"},
    "openbolt/testing/": {"hypothesis", "pytest", "pytest_asyncio"},
    "openbolt_cloudflare/": {"js", "openbolt_cloudflare", "pyodide", "workers"},
    "openbolt_local/": {"openbolt_local"},
    "openbolt_local/crypto.py": {"cryptography"},
    "openbolt_local/mocks/": {"h11"},
    "openbolt_local/redis.py": {"redis"},
}


def _modules() -> list[str]:
    return sorted(
        path.relative_to(SOURCE).as_posix()
        for package in PACKAGES
        for path in (SOURCE / package).rglob("*.py")
    )


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def test_importing_the_core_loads_no_optional_library_and_no_backend() -> None:
    code = "import json, sys; import openbolt; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        check=True,
        cwd=SOURCE,
        text=True,
    )
    assert HEAVY & set(json.loads(done.stdout)) == set()


def test_the_public_names_are_the_namespace() -> None:
    assert all(hasattr(openbolt, name) for name in openbolt.__all__)  # some load when named
    public = {
        name
        for name, value in vars(openbolt).items()
        if not name.startswith("_") and not _is_module(name, value)
    }
    assert public | {"__version__"} == set(openbolt.__all__)


def _is_module(name: str, value: object) -> bool:
    return value in (sys.modules.get(f"openbolt.{name}"), sys.modules.get(name))


def test_the_public_names_are_named_once_and_in_order() -> None:
    assert list(openbolt.__all__) == sorted(set(openbolt.__all__))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_ships_its_types(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").is_file()


@pytest.mark.parametrize("module", _modules())
def test_a_module_imports_only_what_the_law_grants_it(module: str) -> None:
    granted = CORE.union(
        *(names for place, names in MAY_ALSO_IMPORT.items() if module.startswith(place))
    )
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    assert {name for name in _imported(tree) if name.partition(".")[0] not in granted} == set()
