"""Target files: refused with one clear line, secrets by reference only."""

from pathlib import Path

import pytest

from conformance.target import sample
from conformance.target.file import BadTarget, load, read
from tests.suite.tiny import NODE

GOOD = f"""
[target]
base_url = "https://bus.example.org/"
claims = ["stream"]
[tls]
ca_file = "ca.pem"
[identities.node_a]
credential = "env:NODE_A"
node_id = "{NODE}"
[identities.operator]
credential = "file:operator.txt"
[driver]
kind = "command"
command = ["driver", "--x"]
"""


def written(path: Path, text: str) -> str:
    (path / "operator.txt").write_text("operator-token\n")
    file = path / "target.toml"
    file.write_text(text)
    return str(file)


def test_a_target_file_is_read_with_its_secrets(tmp_path: Path) -> None:
    target = load(written(tmp_path, GOOD), environment={"NODE_A": "nsk_x_secret"})
    assert target.base_url == "https://bus.example.org" and target.name == "bus.example.org"
    assert target.identities["node_a"].credential == "nsk_x_secret"
    assert target.identities["operator"].credential == "operator-token"
    assert target.ca_file == str(tmp_path / "ca.pem") and target.driver.command == ("driver", "--x")
    assert not target.may_disrupt and not target.trust_env
    assert "secret" not in repr(target)


def test_a_bare_url_claims_nothing() -> None:
    target = load("http://127.0.0.1:8080/")
    assert target.base_url == "http://127.0.0.1:8080" and target.claims == () and not target.identities


@pytest.mark.parametrize("url", ["http://", "http://user:pass@host", "http://host/?q=1", "http://host/#f"])
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        load(url)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"env:NODE_A"', '"nsk_inline_secret"', "identities.node_a.credential"),
        ("[target]", "[target", "no TOML"),
        ("claims", "claim", "not known"),
        ('base_url = "https://bus.example.org/"', "", "base_url"),
        ('"https://bus.example.org/"', '"ftp://bus"', "target.base_url"),
        ('command = ["driver", "--x"]', "", "command"),
        (NODE, NODE.upper(), "node_id"),
        ("env:NODE_A", "env:NOT_SET", "not set"),
        ("file:operator.txt", "file:gone.txt", "gone.txt"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadTarget, match=says) as refused:
        load(written(tmp_path, GOOD.replace(old, new)), environment={"NODE_A": "nsk_x_secret"})
    assert "nsk_inline_secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTarget, match=r"gone\.toml cannot be read"):
        load(str(tmp_path / "gone.toml"))


def test_the_sample_satisfies_the_schema(tmp_path: Path) -> None:
    assert read(Path(written(tmp_path, sample.TEXT)))["driver"] == {"kind": "http"}
