"""Settings: all can be said in a mapping, what is wrong is named, and secrets stay unseen."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import pprint
import re
import traceback
from decimal import Decimal
from typing import Any

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import ConfigurationError
from openbolt.settings import LOOPBACK_HOSTS, Settings

SPELLED_OTHERWISE = {
    "anthropic_api_key": "ANTHROPIC_API_KEY",
    "anthropic_base_url": "ANTHROPIC_BASE_URL",
    "github_client_id": "GITHUB_CLIENT_ID",
    "github_client_secret": "GITHUB_CLIENT_SECRET",
}
URLS = ("anthropic_base_url", "github_url", "public_url")
SECRETS = (
    "anthropic_api_key",
    "github_client_secret",
    "kv",
    "objects",
    "oidc_client_secret",
    "password",
    "secret_keys",
    "upstream_secrets",
)
FIELDS = {str(attribute.alias): str(attribute.type) for attribute in attrs.fields(Settings)}
NUMBERS = [name for name, kind in FIELDS.items() if kind in {"int", "float"}]


def variable(name: str) -> str:
    return SPELLED_OTHERWISE.get(name, f"OPENBOLT_{name.upper()}")


def example(name: str) -> tuple[str, Any]:
    """Text of a setting that isn't its default, and the value that it stands for."""
    if name in URLS:
        return "https://example.test:8443/base", "https://example.test:8443/base"
    if name == "preview_origin":
        return "https://{token}.example.test", "https://{token}.example.test"
    if name == "oidc_issuer":
        return "https://issuer.example.test", "https://issuer.example.test"
    if name == "thinking":
        return "7000", 7000  # below max_tokens, also where every setting is set at once
    match FIELDS[name]:
        case "int":
            return "7001", 7001
        case "float" | "float | None":
            return "700100.5", 700100.5  # a day or more
        case "Decimal | None":
            return "0.25", Decimal("0.25")
        case "tuple[str, ...]" | "tuple[Hidden, ...]":
            return " a, b,,c ,", ("a", "b", "c")
        case "str" | "str | None" | "Hidden" | "Hidden | None":
            return f"some {name}", f"some {name}"
        case kind:
            raise AssertionError(f"{name}: nobody thought of {kind}")


def refused(mapping: dict[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_mapping(mapping)
    return caught.value


def test_an_empty_mapping_gives_the_defaults() -> None:
    assert Settings.from_mapping({}) == Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_can_be_said_in_the_mapping(name: str) -> None:
    text, value = example(name)
    assert Settings.from_mapping({variable(name): text}) == Settings(**{name: value})
    assert Settings.from_mapping({variable(name): f"  {text}\n"}) == Settings(**{name: value})
    assert Settings(**{name: value}) != Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_an_empty_value_counts_as_absent(name: str) -> None:
    assert Settings.from_mapping({variable(name): " "}) == Settings()


def test_all_settings_at_once() -> None:
    examples = {name: example(name) for name in FIELDS}
    mapping = {variable(name): text for name, (text, _) in examples.items()}
    expected = Settings(**{name: value for name, (_, value) in examples.items()})
    assert Settings.from_mapping(mapping) == expected


def test_unknown_names_are_left_alone() -> None:
    mapping = {"PATH": "/bin", "OPENBOLT_NO_SUCH_THING": "x", "OPENBOLT_ANTHROPIC_API_KEY": "y"}
    assert Settings.from_mapping(mapping) == Settings()


def test_overrides_win() -> None:
    actual = Settings.from_mapping({"OPENBOLT_MODEL": "a", "OPENBOLT_KV": "memory"}, model="b")
    assert actual == Settings(model="b", kv="memory")


@pytest.mark.parametrize("name", [*NUMBERS, "budget_usd_per_turn"])
@pytest.mark.parametrize("text", ["many", "1,5", "1 000", "0x10", "--1", "nan", "inf", "-inf"])
def test_what_is_no_number_names_the_setting_and_its_variable(name: str, text: str) -> None:
    error = refused({variable(name): text})
    assert error.setting == name
    assert variable(name) in error.public_message
    assert text in error.public_message.replace("NaN", "nan").replace("Infinity", "inf")


@pytest.mark.parametrize("name", [name for name in FIELDS if FIELDS[name] == "int"])
def test_a_whole_number_has_no_fraction(name: str) -> None:
    assert refused({variable(name): "7001.5"}).setting == name


@pytest.mark.parametrize("name", [*NUMBERS, "budget_usd_per_turn"])
def test_a_number_under_its_bound_names_the_setting_and_its_variable(name: str) -> None:
    error = refused({variable(name): "-2"})
    assert error.setting == name
    assert variable(name) in error.public_message
    assert "-2" in error.public_message


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("max_body_bytes", 1024),
        ("max_tokens", 1),
        ("max_segments", 1),
        ("thinking", -1),
        ("context_tokens", 0),
        ("history_tokens", 0),
        ("max_reply_bytes", 1024),
        ("disconnect_grace", 0),
        ("silence_timeout", 0.05),
        ("lease_ttl", 1),
        ("preview_ttl", 60),
    ],
)
def test_the_least_value_is_allowed_and_nothing_under_it(name: str, least: float) -> None:
    assert getattr(Settings(**{name: least}), name) == least
    with pytest.raises(ConfigurationError):
        Settings(**{name: least - 0.01})


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize(
    "text",
    ["example.test", "ftp://example.test", "https://", "//example.test", "http://[::1", "https:x",
     "http://example.test:port", "http://example.test:99999", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_url_names_the_setting_and_its_variable(name: str, text: str) -> None:
    error = refused({variable(name): text})
    assert error.setting == name
    assert variable(name) in error.public_message


@pytest.mark.parametrize(
    "text",
    ["https://preview.example", "https://preview.example/{token}", "{token}.preview.example",
     "https://{token}.preview.example/path", "https://{token}.{token}.example",
     "https://{token}.example?x", "ftp://{token}.example", "https://u:p@{token}.example"],
)  # fmt: skip
def test_a_preview_origin_has_the_token_in_its_host(text: str) -> None:
    error = refused({"OPENBOLT_PREVIEW_ORIGIN": text})
    assert error.setting == "preview_origin"
    assert "OPENBOLT_PREVIEW_ORIGIN" in error.public_message


@pytest.mark.parametrize(
    "text",
    ["https://{token}.preview.example", "http://{token}.localhost:8787", "https://p-{token}.x/"],
)
def test_a_preview_origin_may_have_a_port_and_a_slash(text: str) -> None:
    assert Settings.from_mapping({"OPENBOLT_PREVIEW_ORIGIN": text}).preview_origin == text


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_never_shown(name: str) -> None:
    secret = "hunter2-hunter2"
    settings = Settings.from_mapping({variable(name): secret})
    assert secret in repr(getattr(settings, name))
    for shown in (repr(settings), str(settings), f"{settings}", f"{settings!r}"):
        assert "hunter2" not in shown


@pytest.mark.parametrize("name", [*SECRETS, "anthropic_base_url"])
def test_no_dump_of_settings_holds_a_secret(name: str) -> None:
    secret = "https://me:hunter2@example.test"
    settings = Settings(**{name: (secret,) if name == "secret_keys" else secret})
    assert "hunter2" in repr(getattr(settings, name))
    dumps = [
        repr(attrs.asdict(settings)),
        repr(attrs.astuple(settings)),
        repr(cattrs.unstructure(settings)),
        json.dumps(attrs.asdict(settings), default=str),
        json.dumps(cattrs.unstructure(settings), default=repr),
        pprint.pformat(settings),
        "".join(traceback.TracebackException.from_exception(_failing(settings), capture_locals=True)
                .format()),
    ]  # fmt: skip
    assert [dump for dump in dumps if "hunter2" in dump] == []
    assert "example.test" in repr(getattr(settings, name))
    for write in (pickle.dumps, pickle_of, json_of):
        with pytest.raises(TypeError):
            write(settings)


def test_settings_can_be_copied_and_changed_with_their_secrets() -> None:
    settings = Settings(anthropic_api_key="key-1", secret_keys=("a", "b"), kv="memory")
    for other in (copy.copy(settings), copy.deepcopy(settings), attrs.evolve(settings)):
        assert other == settings
        assert hash(other) == hash(settings)
        assert (other.anthropic_api_key, other.secret_keys) == ("key-1", ("a", "b"))
    assert attrs.evolve(settings, anthropic_api_key="key-2").anthropic_api_key == "key-2"
    assert attrs.evolve(settings, anthropic_api_key=None).anthropic_api_key is None
    assert attrs.evolve(settings, anthropic_api_key="key-2") != settings


def _failing(settings: Settings) -> Exception:
    dump = [settings, attrs.asdict(settings)]
    try:
        raise RuntimeError(f"{len(dump)}")
    except RuntimeError as error:
        return error


def json_of(settings: Settings) -> str:
    return json.dumps(attrs.asdict(settings))


def pickle_of(settings: Settings) -> bytes:
    return pickle.dumps(attrs.asdict(settings))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:hunter2@example.test/v1", "https://example.test/v1"),
        ("https://hunter2@example.test", "https://example.test"),
        ("https://example.test/v1", "https://example.test/v1"),
    ],
)
def test_the_password_in_a_url_is_never_shown(url: str, shown: str) -> None:
    settings = Settings(anthropic_base_url=url)
    assert f"anthropic_base_url={shown!r}" in repr(settings)
    assert settings.anthropic_base_url == url


@pytest.mark.parametrize(
    "url", ["ftp://me:hunter2@example.test", "https://me:hunt/hunter2@x", "me:hunter2@example.test"]
)
def test_the_password_in_a_wrong_url_is_never_shown(url: str) -> None:
    error = refused({"ANTHROPIC_BASE_URL": url})
    assert "hunter2" not in f"{error} {error!r}"


@given(st.dictionaries(st.sampled_from([variable(n) for n in FIELDS]), st.text(max_size=12)))
def test_any_mapping_gives_settings_or_a_configuration_error(mapping: dict[str, str]) -> None:
    try:
        settings: Settings | None = Settings.from_mapping(mapping)
    except ConfigurationError as exc:
        named = exc.setting
        settings = None
    if settings is None:
        assert named in FIELDS
    else:
        assert attrs.evolve(settings) == settings


def test_a_value_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Settings().model = "other"  # type: ignore[misc]


def test_only_loopback_is_answered_by_default() -> None:
    assert Settings().allowed_hosts == LOOPBACK_HOSTS == ("localhost", "127.0.0.1", "[::1]")


def test_every_setting_is_documented_once_and_nothing_else_is() -> None:
    text = inspect.getdoc(Settings)
    assert text is not None
    documented = re.findall(r"^    (\w+): ", text.partition("Attributes:")[2], re.MULTILINE)
    assert sorted(documented) == sorted(FIELDS)


@pytest.mark.parametrize("thinking", [1, 1023, 4096, 5000])
def test_a_budget_that_the_api_would_refuse_is_refused_at_start_up(thinking: int) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_THINKING"):
        Settings(thinking=thinking, max_tokens=4096)
