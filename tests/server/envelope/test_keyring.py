"""The master key and what hangs on it (KEY-4); the wire forms signed here (LOG-4)."""

import pytest

from reference_server.envelope import signing
from reference_server.envelope.keyring import Keyring, Purpose, SealBroken
from reference_server.envelope.signed_here import SignedHere


def test_sealed_seeds_open_under_their_own_key_alone() -> None:
    seed = signing.new_seed()
    sealed = Keyring(b"a" * 32).seal(seed)
    assert seed not in sealed
    assert Keyring(b"a" * 32).unseal(sealed) == seed
    for keyring, content in ((Keyring(b"b" * 32), sealed), (Keyring(b"a" * 32), sealed[:-1] + b"?")):
        with pytest.raises(SealBroken):
            keyring.unseal(content)


def test_purposes_never_share_a_key() -> None:
    keyring = Keyring(b"a" * 32)
    derived = {keyring.derived(purpose) for purpose in Purpose} | {b"a" * 32}
    assert len(derived) == len(Purpose) + 1
    assert all(len(key) == 32 for key in derived)
    assert keyring.derived(Purpose.PSKS) == Keyring(b"a" * 32).derived(Purpose.PSKS)


def test_signing_keys_stay_open_until_forgotten() -> None:
    keyring = Keyring(b"a" * 32)
    seed = signing.new_seed()
    key = keyring.signing_key("k", keyring.seal(seed))
    assert key == signing.key_pair(seed)[1]
    assert keyring.signing_key("k", b"never opened") == key
    keyring.forget("k")
    with pytest.raises(SealBroken):
        keyring.signing_key("k", b"never opened")


def test_a_master_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keyring(b"short")


def test_signed_here_is_bounded_and_exact() -> None:
    signed = SignedHere(max_bytes=100)
    first, second = b"a" * 60, b"b" * 40
    signed.add(first)
    signed.add(second)
    signed.add(second)
    assert first in signed
    assert bytes(bytearray(second)) in signed
    assert second[:-1] + b"c" not in signed
    signed.add(b"c" * 10)
    assert first not in signed
    assert second in signed
