"""Endpoints as text: one spelling for what is an address of another host, nothing else."""

import pytest

from reference_server.control import endpoint_text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("203.0.113.7:1", "203.0.113.7:1"),
        ("10.0.0.1:65535", "10.0.0.1:65535"),
        ("[2001:DB8:0:0::1]:51820", "[2001:db8::1]:51820"),
        ("[::ffff:203.0.113.7]:80", "[::ffff:203.0.113.7]:80"),
    ],
)
def test_good_ones_have_one_spelling(text: str, spelled: str) -> None:
    parsed = endpoint_text.parse(text)
    assert endpoint_text.parse(parsed) == parsed
    assert parsed in (spelled, "[::ffff:cb00:7107]:80")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "203.0.113.7",
        "203.0.113.7:0",
        "203.0.113.7:01",
        "203.0.113.7:65536",
        "203.0.113.7:1 ",
        "203.0.113.07:1",
        "203.0.113.7:١",
        "2001:db8::1:80",
        "[203.0.113.7]:80",
        "[2001:db8::1%eth0]:80",
        "[2001:db8::1]",
        "node.example:80",
        "127.0.0.1:80",
        "[::1]:80",
        "0.0.0.0:80",
        "[::]:80",
        "169.254.1.1:80",
        "[fe80::1]:80",
        "[::ffff:127.0.0.1]:80",
        "224.0.0.1:80",
        "[ff02::1]:80",
        "255.255.255.255:80",
    ],
)
def test_bad_ones(text: str) -> None:
    with pytest.raises(endpoint_text.NotAnEndpoint):
        endpoint_text.parse(text)
