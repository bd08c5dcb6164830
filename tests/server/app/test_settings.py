"""Settings: sources in their order, bounds, and slips of the pen answered with the nearest name."""

import pytest

from reference_server import settings
from reference_server.settings import ROWS, Settings, SettingsRefused


def _refusal(**sources: object) -> str:
    with pytest.raises(SettingsRefused) as raised:
        settings.resolve(
            sources.get("flags", {}),  # type: ignore[arg-type]
            sources.get("environment", {}),  # type: ignore[arg-type]
            sources.get("document"),  # type: ignore[arg-type]
            "busproof.toml",
        )
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_flag_wins_over_the_environment_and_that_over_the_file() -> None:
    chosen = settings.resolve(
        {"port": "1", "host": None},
        {"BUSPROOF_PORT": "2", "BUSPROOF_HOST": "::1", "PATH": "x"},
        b"port = 3\nhost = 'h'\ngrace_seconds = 4",
    )
    assert (chosen.port, chosen.host, chosen.grace_seconds) == (1, "::1", 4.0)
    assert chosen.head_bytes == Settings().head_bytes


@pytest.mark.parametrize("name", ROWS)
def test_every_default_passes_its_own_check(name: str) -> None:
    default = Settings.__dataclass_fields__[name].default
    if default is not None:
        assert settings.checked(name, default, name) == default


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.low is not None])
def test_every_bound_holds_from_both_sides(name: str) -> None:
    row = ROWS[name]
    assert row.low is not None
    assert settings.checked(name, row.low, name) == row.low or row.kind is int
    with pytest.raises(SettingsRefused, match=name):
        settings.checked(name, row.low - 1, name)
    if row.high is not None:
        assert settings.checked(name, row.high, name) == row.high
        with pytest.raises(SettingsRefused, match=name):
            settings.checked(name, row.high + 1, name)


def test_an_unknown_key_of_the_file_names_the_nearest() -> None:
    assert _refusal(document=b"retention_second = 3") == (
        "busproof.toml: unknown key 'retention_second' (did you mean 'retention_seconds'?)"
    )


def test_a_mistyped_variable_names_the_nearest_and_others_are_left_alone() -> None:
    assert "'BUSPROOF_PORT'" in _refusal(environment={"BUSPROOF_PROT": "3"})
    assert settings.resolve({}, {"BUSPROOF_KILLS": "3", "BUSPROOF_TOKEN_OF_ROOT": "x"}) == Settings()


@pytest.mark.parametrize("given", ["x", "", "1.5", True, [1], "nan"])
def test_what_is_no_whole_number_is_refused(given: object) -> None:
    with pytest.raises(SettingsRefused, match="port"):
        settings.checked("port", given, "port")


@pytest.mark.parametrize("given", ["nan", "inf", "", "x", False])
def test_what_is_no_number_is_refused(given: object) -> None:
    with pytest.raises(SettingsRefused, match="grace_seconds"):
        settings.checked("grace_seconds", given, "grace_seconds")


def test_a_choice_is_one_of_the_listed() -> None:
    assert "(did you mean 'NodeRepo'?)" in _refusal(flags={"unwire": ("EventStream", "NodeRepos")})
    assert "auto, json, console" in _refusal(environment={"BUSPROOF_LOG_FORMAT": "xml"})
    assert _refusal(flags={"env_prefix": "De_v"}) == "--env-prefix: must match [a-z]+"


def test_a_list_comes_by_commas_or_as_an_array() -> None:
    both = ("NodeRepo", "AuditSink")
    assert settings.resolve({}, {"BUSPROOF_UNWIRE": "NodeRepo, AuditSink"}).unwire == both
    assert settings.resolve({}, {}, b'unwire = ["NodeRepo", "AuditSink"]').unwire == both


def test_the_file_is_refused_with_its_line() -> None:
    assert "line 1" in _refusal(document=b"port = = 3")
    assert "busproof.toml" in _refusal(document=b"\xff")


def test_a_secret_is_in_no_text_of_the_record() -> None:
    assert "hidden" not in repr(Settings(master_key="hidden"))
