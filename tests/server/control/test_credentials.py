"""The bearer forms of CRED-1, and what passes for none of them."""

import base64
import uuid

import pytest

from reference_server.control import credentials

NODE = "0198c0de-0000-7000-8000-00000000a001"
SECRET = bytes(range(32))


def test_a_rendered_credential_reads_back() -> None:
    token = credentials.render("prod", NODE, SECRET)
    assert token.startswith("nsk_prod_") and len(token) == len("nsk_prod_") + 64
    assert credentials.parse(token.encode()) == credentials.NodeCredential(node_id=NODE, secret=SECRET)


def test_the_content_is_node_id_and_nsk() -> None:
    content = credentials.render("dev", NODE, SECRET).split("_", 2)[2]
    assert base64.urlsafe_b64decode(content) == uuid.UUID(NODE).bytes + SECRET


@pytest.mark.parametrize(
    "token",
    [
        b"nsk_",
        b"nsk_dev",
        b"nsk_dev_",
        b"nsk__" + b"A" * 64,
        b"nsk_Dev_" + b"A" * 64,
        b"nsk_d3v_" + b"A" * 64,
        b"nsk_dev_" + b"A" * 63,
        b"nsk_dev_" + b"A" * 65,
        b"nsk_dev_" + b"A" * 63 + b"=",
        b"nsk_dev_" + b"A" * 63 + b"+",
        b"nsk_dev_" + b"A" * 64 + b"\n",
        b"NSK_dev_" + b"A" * 64,
    ],
)
def test_other_shapes_are_no_credential(token: bytes) -> None:
    assert credentials.parse(token) is None


def test_an_underscore_belongs_to_the_content() -> None:
    secret = b"\xff" * 32
    assert "_" in credentials.render("dev", NODE, secret).split("_", 2)[2]
    assert credentials.parse(credentials.render("dev", NODE, secret).encode()) is not None


@pytest.mark.parametrize(
    ("lines", "token"),
    [
        ([b"Bearer abc"], b"abc"),
        ([b"bEaReR   abc"], b"abc"),
        ([], None),
        ([b"Bearer abc", b"Bearer abc"], None),
        ([b"Basic abc"], None),
        ([b"Bearer"], None),
        ([b"Bearer "], None),
        ([b"Bearerabc"], None),
        ([b"Bearer a b"], None),
        ([b"Bearer a\xc3\xa4"], None),
        ([b"abc"], None),
        ([b""], None),
    ],
)
def test_one_bearer_line_counts(lines: list[bytes], token: bytes | None) -> None:
    assert credentials.bearer_of(lines) == token


def test_a_raw_nsk_is_recognised() -> None:
    assert credentials.is_bare_nsk(base64.b64encode(SECRET))
    assert not credentials.is_bare_nsk(credentials.fresh_operator_token().encode())
    assert not credentials.is_bare_nsk(base64.b64encode(SECRET + b"x"))


def test_hashes_differ_by_key_node_secret_and_purpose() -> None:
    other = str(uuid.UUID(int=1))
    hashes = {
        credentials.keyed_hash(b"k" * 32, NODE, SECRET),
        credentials.keyed_hash(b"l" * 32, NODE, SECRET),
        credentials.keyed_hash(b"k" * 32, other, SECRET),
        credentials.keyed_hash(b"k" * 32, NODE, SECRET[::-1]),
        credentials.token_hash(b"k" * 32, uuid.UUID(NODE).bytes + SECRET),
    }
    assert len(hashes) == 5


def test_a_traceback_shows_no_secret() -> None:
    shown = repr(credentials.NodeCredential(node_id=NODE, secret=SECRET))
    assert repr(SECRET) not in shown and SECRET.hex() not in shown
