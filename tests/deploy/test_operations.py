"""docs/operations.md speaks of things that are there, and of every metric."""

import re

import pytest

from tests.deploy import program

_TEXT = (program.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
_SPANS = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", _TEXT, flags=re.DOTALL)))

# Code spans of one word that are names of something else than settings, log lines and metrics.
_OTHER_NAMES = {
    *("degraded", "down"),  # of GET /v1/health
    "created_at",  # a column
    "status",  # labels
    *("limit", "exhausted", "handshake"),
    *("slow_reader", "unverifiable", "evicted", "bus_away"),
    *("relay", "stream"),
    *("no_signing_key", "signing_key_destroyed", "bad_payload"),  # reasons of parked rows
    *("pg_restore", "restored"),
}
_ONE_WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def test_every_metric_of_the_registry_is_explained_and_no_other() -> None:
    told = re.findall(
        r"^\| `([a-z_]+)` \|", _TEXT.partition("## Metrics")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert sorted(told) == sorted(program.metric_names())


@pytest.mark.parametrize("words", list(program.commands(_TEXT)), ids=" ".join)
def test_every_command_is_one(words: list[str]) -> None:
    program.check_command(words)


def test_commands_are_found_at_all() -> None:
    found = [" ".join(words) for words in program.commands(_TEXT)]
    assert {"db upgrade", "db restored", "relay skipped list"} <= set(found)
    with pytest.raises(AssertionError):
        program.check_command(["db", "status", "--nonsense"])
    with pytest.raises(AssertionError):
        program.check_command(["relay", "skipped", "lose"])


def test_every_name_is_a_setting_a_log_line_or_a_metric() -> None:
    known = program.settings() | program.log_lines() | set(program.metric_names()) | _OTHER_NAMES
    names = {span for span in _SPANS if _ONE_WORD.fullmatch(span)}
    assert not names - known
    assert len(names & program.settings()) > 8
    assert len(names & program.log_lines()) > 7


def test_every_flag_variable_and_label_exists() -> None:
    for span in _SPANS:
        for flag in re.findall(r"--[a-z-]+", span):
            name = flag[2:].replace("-", "_")
            assert name in program.settings() | {"help", "force"} or span.startswith("docker"), flag
        for variable in re.findall(r"BUSPROOF_([A-Z_]+)", span):
            assert variable.lower() in program.settings()
        metric = re.fullmatch(r"([a-z_]+)\{.*\}", span)
        assert metric is None or metric[1] in program.metric_names()


def test_what_it_links_to_is_there() -> None:
    for place in re.findall(r"\]\(([a-z./-]+)\)", _TEXT):
        assert (program.ROOT / "docs" / place).exists(), place
    assert (program.ROOT / "compose.yaml").exists()
