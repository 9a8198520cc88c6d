"""``python -m examples.server`` where people sign in: who is let in, what is said at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.test_example_server import run, serving

GITHUB = {"GITHUB_CLIENT_ID": "client", "GITHUB_CLIENT_SECRET": "secret"}


def test_the_page_is_for_everybody_and_the_rest_for_whoever_signed_in(tmp_path: Path) -> None:
    with serving(tmp_path, **GITHUB) as server:
        assert server("GET", "/").status == 200
        assert server("GET", "/main.js").status == 200
        assert server("GET", "/api/chats").error == (401, "unauthenticated", None)
        assert server("GET", "/api/auth/session").status == 200
        callback = f"http://127.0.0.1:{server.port}/api/auth/github/callback"
        assert callback in server.stop()


def test_the_callback_to_register_is_that_of_the_public_url(tmp_path: Path) -> None:
    public = {"OPENBOLT_PUBLIC_URL": "https://builder.example/"}
    with serving(tmp_path, "--host", "0.0.0.0", **GITHUB, **public) as server:
        assert server("GET", "/", host="builder.example").status == 200
        assert " https://builder.example/api/auth/github/callback\n" in server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("name", GITHUB)
def test_half_of_a_sign_in_is_named_at_the_start(host: str, name: str) -> None:
    given = {other: value for other, value in GITHUB.items() if other != name}
    ended = run("--host", host, **given)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_sign_in_too_has_to_say_under_which_names_it_is_reached() -> None:
    ended = run("--host", "0.0.0.0", **GITHUB)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "OPENBOLT_ALLOWED_HOSTS=" in ended.stderr
