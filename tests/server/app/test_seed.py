"""The seed file: what hangs together, and where it does not (file, line, reason)."""

import pytest

from reference_server import seed
from reference_server.settings import SettingsRefused

GOOD = """
[[operators]]
name = "root"
token = "0123456789abcdef"
relations = [{relation = "manage", object = "*"}]

[[domains]]
name = "One"
slug = "one"
mesh_cidr = "10.1.0.0/16"
signing_key = "none"

[[nodes]]
name = "alpha"
domain = "one"
revoked = true
"""


def test_a_good_file_is_taken_whole() -> None:
    plan = seed.parse(GOOD, "seed.toml")
    assert [operator.name for operator in plan.operators] == ["root"]
    assert plan.domains[0].signing_key == "none"
    assert plan.nodes[0].revoked


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "root"', 'name = "ro ot"', "seed.toml:2: operators[0]: 'ro ot' is no name"),
        ('domain = "one"', 'domain = "two"', "seed.toml:13: nodes[0]: no Domain of the file has"),
        ('slug = "one"', 'slugg = "one"', "seed.toml:7: "),
        ("revoked = true", "revoked = 1", "seed.toml:13: "),
        ('signing_key = "none"', 'signing_key = "some"', "seed.toml:7: "),
        ("[[nodes]]", "[[node]]", "seed.toml:"),
        ("revoked = true", "revoked = yes", "seed.toml:16: "),
        ("revoked = true", "revoked = ", "seed.toml:16: "),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(SettingsRefused) as raised:
        seed.parse(GOOD.replace(old, new), "seed.toml")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_a_name_stands_once() -> None:
    twice = GOOD + GOOD[GOOD.index("[[nodes]]") :]
    with pytest.raises(SettingsRefused, match=r"seed\.toml:17: nodes\[1\]: 'alpha' stands in the file twice"):
        seed.parse(twice, "seed.toml")


def test_a_token_is_in_no_message() -> None:
    with pytest.raises(SettingsRefused) as raised:
        seed.parse(GOOD.replace('token = "0123456789abcdef"', 'tokens = "0123456789abcdef"'), "seed.toml")
    assert "0123456789abcdef" not in str(raised.value)
