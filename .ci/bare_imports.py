"""Import every module of an installation that has nothing but the package and its dependencies.

`nox -s build` runs this there. A module may miss a library only if the table names both.
"""

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator

MAY_MISS = {
    "openbolt.proxy.caching": {"hishel"},
    "openbolt.providers.anthropic": {"anthropic", "httpx2"},
    "openbolt.s3": {"aiobotocore", "botocore"},
    "openbolt.senders.aiohttp": {"aiohttp", "multidict", "yarl"},
    "openbolt.senders.httpx": {"httpx"},
    "openbolt.telemetry": {"opentelemetry"},
    "openbolt.testing": {"hypothesis", "pytest", "pytest_asyncio"},
    "openbolt_cloudflare": {"aiobotocore", "httpx", "js", "pyodide", "workers"},
    "openbolt_local.app": {"aiohttp", "anthropic", "cryptography", "httpx"},
    "openbolt_local.crypto": {"cryptography"},
    "openbolt_local.mocks": {"h11"},
    "openbolt_local.redis": {"redis"},
}
BARE = {"attrs", "cattrs", "openbolt", "pip", "setuptools", "typing-extensions"}


def granted(module: str) -> set[str]:
    """Return the libraries that a module may miss."""
    return set().union(
        *(libraries for at, libraries in MAY_MISS.items() if f"{module}.".startswith(f"{at}."))
    )


def visit(name: str) -> Iterator[str | None]:
    """Import a module and those below it; yield the library that each misses, or None."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in granted(name):
            raise
        yield error.name
        return
    yield None
    for below in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if below.name != "__main__":
            yield from visit(f"{name}.{below.name}")


def main() -> None:
    """Import everything, in an environment that is checked to be bare."""
    distributions = importlib.metadata.distributions()
    present = {found.metadata["Name"].replace("_", "-").lower() for found in distributions}
    if strays := present - BARE:
        raise SystemExit(f"not a bare environment: {sorted(strays)}")
    missed = [
        library
        for package in ("openbolt", "openbolt_cloudflare", "openbolt_local")
        for library in visit(package)
    ]
    lacking = [library for library in missed if library]
    print(f"{len(missed) - len(lacking)} modules imported; {len(lacking)} need {sorted(lacking)}")


if __name__ == "__main__":
    main()
