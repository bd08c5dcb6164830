"""An Authorization header on the command line is an identity, and a secret."""

import base64
import uuid

import pytest

from conformance.runner import Order, vault_for
from conformance.target import callers
from conformance.target.model import Target

NODE = "0198c0de-0000-7000-8000-00000000a001"
NSK = "nsk_live_" + base64.urlsafe_b64encode(uuid.UUID(NODE).bytes + b"k" * 32).decode().rstrip("=")
BARE = Target(name="bus", base_url="https://bus.example.org")


def test_a_nodes_credential_names_its_node() -> None:
    headers = (("authorization", f"bearer {NSK}"), ("X-Trace", "1"))
    target = callers.with_caller(BARE, headers)
    assert target.identities["node_a"].node_id == NODE
    assert target.identities["node_a"].credential == NSK
    assert callers.without_caller(headers) == (("X-Trace", "1"),)


@pytest.mark.parametrize(
    "credential", ["op_0123456789", "nsk_live_AAAA", "nsk_live_!!", "nsk_live_" + "A" * 62]
)
def test_any_other_bearer_is_an_operator(credential: str) -> None:
    target = callers.with_caller(BARE, (("Authorization", f"Bearer {credential}"),))
    assert set(target.identities) == {"operator"} and target.identities["operator"].node_id is None


@pytest.mark.parametrize("value", ["Basic bm9ib2R5", "Bearer", "Bearer a b", NSK])
def test_what_is_no_bearer_is_refused(value: str) -> None:
    with pytest.raises(callers.NoCaller) as refused:
        callers.with_caller(BARE, (("Authorization", value),))
    assert value not in str(refused.value) or value == "Bearer"


def test_a_gateways_key_stays_out_of_all_output() -> None:
    order = Order(
        profiles=("live",), seed=1, headers=(("X-Api-Key", "gateway-key-1"), ("Accept", "text/html"))
    )
    vault = vault_for(BARE, order)
    assert vault.leaks(b"... gateway-key-1 ...") and not vault.leaks(b"text/html")
