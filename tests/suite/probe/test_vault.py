"""No secret survives the vault, and nothing else is changed by it."""

import random

import pytest

from conformance.probe.vault import Vault, WeakSecret


def made() -> Vault:
    vault = Vault(random.Random(1))
    vault.add("operator", 'token/"quoted"')
    vault.add("node_a", "nsk_dev_" + "b" * 64)
    return vault


def test_a_secret_is_masked_with_the_same_length() -> None:
    data = b'{"x":"nsk_dev_' + b"b" * 64 + b'","y":1}'
    masked = made().mask(data)
    assert len(masked) == len(data)
    assert b"bbbb" not in masked and masked.endswith(b'","y":1}')


def test_a_secret_is_masked_in_its_json_spelling_too() -> None:
    masked = made().mask(b'{"t": "token/\\"quoted\\""}')
    assert b"quoted" not in masked


@pytest.mark.parametrize("member", [b"nsk", b"token", b"psk", b"private_key"])
def test_once_only_members_are_masked_whoever_made_them(member: bytes) -> None:
    masked = made().mask(b'{"' + member + b'": "somebody elses", "name": "kept"}')
    assert b"somebody" not in masked and b"kept" in masked


def test_a_credential_nobody_told_us_of_is_masked() -> None:
    assert b"zzzz" not in made().mask(b"Bearer nsk_prod_" + b"z" * 64)


def test_text_names_the_secret_as_a_shell_variable() -> None:
    assert made().named('Bearer token/"quoted"') == "Bearer $BUSPROOF_OPERATOR"


def test_leaks_are_found_by_name_the_canary_too() -> None:
    vault = made()
    assert vault.leaks(b"nothing") == ()
    assert vault.leaks(b"see " + vault.canary.encode()) == ("canary",)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(WeakSecret):
        made().add("weak", "1234")


def test_the_canary_depends_on_the_seed_alone() -> None:
    assert Vault(random.Random("a")).canary == Vault(random.Random("a")).canary
    assert Vault(random.Random("a")).canary != Vault(random.Random("b")).canary
