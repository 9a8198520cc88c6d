"""What `openbolt` exports is what it holds, and every other module's list is true."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import openbolt

OPTIONAL = ("openbolt.testing", "openbolt.providers.anthropic", "openbolt.senders", "openbolt.s3",
            "openbolt.telemetry")  # fmt: skip


def modules() -> Iterator[ModuleType]:
    """The core's modules that need nothing but its own dependencies."""
    for info in pkgutil.walk_packages(openbolt.__path__, "openbolt."):
        if not info.name.startswith(OPTIONAL) and not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def test_all_is_the_public_namespace() -> None:
    assert all(hasattr(openbolt, name) for name in openbolt.__all__)  # some load when named
    public = {
        name
        for name, value in vars(openbolt).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(openbolt.__all__) == public | {"__version__"}


def test_all_is_sorted_and_without_repeats() -> None:
    assert openbolt.__all__ == sorted(set(openbolt.__all__), key=lambda n: (n == "__version__", n))


def test_the_names_that_the_documentation_builds_on_are_there() -> None:
    assert {"OpenBolt", "Dependencies", "Settings"} <= set(openbolt.__all__)


def test_importing_the_package_leaves_the_application_for_later() -> None:
    code = (
        "import sys, openbolt; assert 'openbolt.app' not in sys.modules;"
        "openbolt.OpenBolt; assert 'openbolt.app' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Bolt'"):
        openbolt.Bolt  # type: ignore[attr-defined]  # noqa: B018


def test_every_module_s_list_of_names_is_true() -> None:
    missing = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    ]
    assert missing == []


def test_every_module_with_code_says_what_it_exports() -> None:
    silent = [
        module.__name__
        for module in modules()
        if not hasattr(module, "__all__")
        and any(getattr(v, "__module__", None) == module.__name__ for v in vars(module).values())
    ]
    assert silent == []


def test_every_module_with_code_opens_with_why_it_exists() -> None:
    silent = [m.__name__ for m in modules() if hasattr(m, "__all__") and not m.__doc__]
    assert silent == []


def test_importing_openbolt_loads_no_backend_and_no_library_of_one() -> None:
    code = (
        "import sys; from openbolt import OpenBolt;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    loaded = set(done.stdout.split())
    assert "openbolt" in loaded
    assert loaded & {
        "aiobotocore", "aiohttp", "anthropic", "anyio", "cryptography", "httpx", "httpx2",
        "openbolt_cloudflare", "openbolt_local", "pytest", "redis", "sqlite3", "uvicorn",
    } == set()  # fmt: skip
