"""Dockerfile and compose file hold together, and speak of settings, flags and files that are there."""

import fnmatch
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reference_server import app, settings
from reference_server.settings import ROWS, Settings
from tests.deploy import files, program, subsets
from tests.deploy.program import ROOT
from tests.services import nats, postgres

_OWN = files.own_services()
# As many digits as a registry needs to mean one thing; a digest would hide which.
_PINNED = re.compile(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z]+)*")
_PASSWORD = re.compile(r"\$\{BUSPROOF_DATABASE_PASSWORD:\?[^}]+\}")


def _environment(service: dict[str, Any]) -> dict[str, str]:
    """What the process gets: of the image, then of the service, the password filled in."""
    given = files.image_environment() | {name: str(value) for name, value in service["environment"].items()}
    return {name: _PASSWORD.sub("secret", value) for name, value in given.items()}


def _resolved(service: dict[str, Any]) -> Settings:
    words = service["command"][1:]
    flags = {name[2:].replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    return settings.resolve(flags, _environment(service))


# ---- the image


def test_what_is_copied_is_there_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    copied = [
        word
        for each in files.instructions()
        if each.name == "COPY" and not each.rest.startswith("--from")
        for word in each.words[:-1]
    ]
    assert set(copied) == let_through
    for name in copied:
        assert (ROOT / name).exists(), name


def test_stages_are_pinned_and_what_comes_from_one_was_made_there() -> None:
    stages = [each.words for each in files.instructions() if each.name == "FROM"]
    assert all(_PINNED.fullmatch(words[0]) for words in stages), stages
    names = {words[2] for words in stages if len(words) > 1}
    taken = [each.words for each in files.instructions() if each.rest.startswith("--from=")]
    assert {words[0].partition("=")[2] for words in taken} == names
    made = " ".join(each.rest for each in files.instructions() if each.name == "RUN")
    assert all(words[1] in made for words in taken)


def test_everything_that_is_installed_is_checked_by_hash() -> None:
    made = " && ".join(each.rest for each in files.instructions() if each.name == "RUN")
    installs = [line for line in made.split("&&") if "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        assert "--require-hashes" in line or ("--no-index" in line and "--no-deps" in line), line
    assert "--no-build-isolation" in made


def test_it_does_not_run_as_root_and_holds_no_secret() -> None:
    stage = files.last_stage()
    [user] = [each.rest for each in stage if each.name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name, row in ROWS.items():
        assert not row.secret or settings.environment_name(name) not in re.findall(r"\w+", text)


def test_its_ports_agree_and_its_environment_is_of_settings() -> None:
    environment = files.image_environment()
    chosen = settings.resolve({}, environment)
    [exposed] = [each.rest for each in files.last_stage() if each.name == "EXPOSE"]
    [health] = [each.rest for each in files.last_stage() if each.name == "HEALTHCHECK"]
    assert (chosen.host, str(chosen.port)) == ("0.0.0.0", exposed)
    assert f"127.0.0.1:{exposed}/v1/health" in health
    known = {settings.environment_name(name) for name in ROWS}
    assert {name for name in environment if name.startswith("BUSPROOF_")} <= known
    [entry] = [each.words for each in files.last_stage() if each.name == "ENTRYPOINT"]
    [default] = [each.words for each in files.last_stage() if each.name == "CMD"]
    assert entry == ["busproof"]
    program.check_command(default)


@pytest.mark.parametrize("name", subsets.SUBSETS)
def test_the_image_gets_what_it_needs_as_it_is_tested(name: str) -> None:
    """Whoever changes requirements.txt says `python -m tests.deploy.subsets`."""
    whole, part = subsets.pinned(subsets.WHOLE), subsets.pinned(ROOT / name)
    assert part == {each: whole[each] for each in subsets.closure(subsets.SUBSETS[name]) if each in whole}
    assert all("--hash=sha256:" in lines for lines in part.values())


# ---- the compose file


def test_there_are_servers_a_relay_and_engines() -> None:
    commands = sorted(service["command"][0] for service in _OWN.values())
    assert commands == ["relay", "serve", "serve"]
    assert files.compose()["services"].keys() - _OWN.keys() == {"postgres", "nats"}


@pytest.mark.parametrize("name", _OWN)
def test_a_service_of_ours_is_started_as_the_program_takes_it(name: str) -> None:
    service: dict[str, Any] = dict(_OWN[name])
    program.check_command(service["command"])
    chosen = _resolved(service)
    with_engines = app.opened(chosen)  # any other combination is refused here
    assert with_engines is not None
    servers = [each for each in _OWN.values() if each["command"][0] == "serve"]
    assert chosen.replicas == (len(servers) if service["command"][0] == "serve" else 1)
    known = {settings.environment_name(setting) for setting in ROWS}
    assert service["environment"].keys() <= known
    for setting, row in ROWS.items():
        variable = settings.environment_name(setting)
        if row.secret and variable in service["environment"]:
            assert _PASSWORD.fullmatch(service["environment"][variable]), variable
    assert int(service["stop_grace_period"].removesuffix("s")) > chosen.grace_seconds


def test_files_come_as_secrets_and_every_secret_has_its_file() -> None:
    told = files.compose()["secrets"]
    for service in _OWN.values():
        chosen = _resolved(dict(service))
        for path in filter(None, (chosen.master_key_file, chosen.seed_file)):
            assert path.startswith(files.SECRETS_ROOM)
            assert path.removeprefix(files.SECRETS_ROOM) in service["secrets"]
        assert set(service["secrets"]) == told.keys()
    for each in told.values():
        assert fnmatch.fnmatch(each["file"], "./secrets/*")
        assert (
            subprocess.run(["git", "check-ignore", "-q", each["file"]], cwd=ROOT, check=False).returncode == 0
        )


def test_urls_name_services_and_their_ports() -> None:
    services = files.compose()["services"]
    for service in _OWN.values():
        chosen = _resolved(dict(service))
        assert f"@postgres:5432/{services['postgres']['environment']['POSTGRES_DB']}" in str(
            chosen.database_url
        )
        assert f"//{services['postgres']['environment']['POSTGRES_USER']}@" in str(chosen.database_url)
        assert chosen.nats_url == "nats://nats:4222"
        for waited in service["depends_on"]:
            assert services[waited].get("healthcheck") or waited in _OWN  # the image has one
    assert _PASSWORD.fullmatch(services["postgres"]["environment"]["POSTGRES_PASSWORD"])


def test_doors_are_on_the_loopback_and_lead_to_the_image_s_port() -> None:
    exposed = files.image_environment()["BUSPROOF_PORT"]
    published = [port for each in files.compose()["services"].values() for port in each.get("ports", ())]
    assert [re.fullmatch(r"127\.0\.0\.1:\d+:" + exposed, port) is not None for port in published] == [
        True,
        True,
    ]
    assert len(set(published)) == len(published)


def test_volumes_are_declared() -> None:
    used = {
        v.partition(":")[0] for each in files.compose()["services"].values() for v in each.get("volumes", ())
    }
    assert used == files.compose()["volumes"].keys()


def test_engines_are_pinned_to_what_is_tested_here() -> None:
    services = files.compose()["services"]
    for name, binary in (("postgres", postgres.binary("postgres")), ("nats", nats.binary())):
        image = services[name]["image"]
        assert _PINNED.fullmatch(image), image
        shown = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\d+\.\d+(\.\d+)?", shown)
        assert found is not None
        assert re.split("[:-]", image)[1] == found[0]


def test_the_command_of_nats_is_one_that_it_takes(tmp_path: Path) -> None:
    words = list(files.compose()["services"]["nats"]["command"])
    shown = subprocess.run([str(nats.binary()), "--help"], capture_output=True, text=True, check=False)
    for flag in (word for word in words if word.startswith("--")):
        assert flag in shown.stdout + shown.stderr, flag
    [probe] = [word for word in files.compose()["services"]["nats"]["healthcheck"]["test"] if "http" in word]
    assert f":{words[words.index('--http_port') + 1]}/" in probe
