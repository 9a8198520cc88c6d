"""What a machine may lack: said with the way to get it, and skipped; where CI is set, failed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Say how to get what this machine lacks; where CI is set that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"needs {what}", pytrace=False)
    pytest.skip(f"needs {what}")


def need_packages(folder: Path) -> None:
    """Install what a folder's lock file names, unless it is there."""
    if (folder / "node_modules/.package-lock.json").exists():
        return
    if not shutil.which("node") or not shutil.which("npm"):
        lacking("Node.js 20 or newer with npm: apt-get install -y nodejs npm")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lacking(f"npm packages: cd {folder} && npm ci\n{done.stderr[-2000:]}")
