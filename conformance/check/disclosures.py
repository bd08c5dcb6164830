"""What events must never tell: the credentials that the server itself gave out to Nodes (TYPE-3)."""

import base64
from collections.abc import Iterator

from conformance.check import acts, impostors, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

LISTENER, COMER, LIVE = "told_listener", "told_comer", "all that is told"
LOOKED = "looked for secrets"

# Steps around what happens to the other Node: the last one says that all before it came.
LAST = 2


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain("told")
    listener = await acts.own_node(stage, LISTENER, domain="told")
    async with stage.stream(LIVE, identity=LISTENER) as live:
        await live.head()
        await acts.say(stage, listener, 1)
        comer = await acts.own_node(stage, COMER, domain="told")
        body = {"transition_seconds": 3600}
        path = f"/v1/domains/{domain.id}/signing-keys/rotate"
        await stage.request("keys rotated", "POST", path, identity="operator", json=body)
        await stage.request("departed", "DELETE", f"/v1/nodes/{comer.id}", identity="operator")
        await acts.say(stage, listener, LAST)
        await acts.heard(live, LAST)
    came = b"".join(each.body for each in stage.excerpt(LIVE).exchanges)
    found = [name for name, spelled in secrets(listener, comer).items() if spelled in came]
    stage.mark(LOOKED, found=sorted(found), spellings=len(secrets(listener, comer)))


def secrets(*nodes: NodeHandle) -> dict[str, bytes]:
    """Every way in which a Node's secret may be spelled, by what it is called in a report."""
    found: dict[str, bytes] = {}
    for node in nodes:
        secret = impostors.raw(node.credential)[impostors.ID_BYTES :]
        spelled = {
            "credential": node.credential.split("_", 2)[2].encode(),
            "base64": base64.b64encode(secret).rstrip(b"="),
            "base64url": base64.urlsafe_b64encode(secret).rstrip(b"="),
            "hexadecimal": secret.hex().encode(),
            "capital hexadecimal": secret.hex().upper().encode(),
        }
        found |= {f"the NSK of {node.identity} as {way}": each for way, each in spelled.items()}
    return found


def judge(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.twin_steps(transcript, LIVE, [1, LAST])
    comer = reading.fact(transcript, f"node {COMER}", "node_id")
    about = [
        each.frame.event
        for each in reading.events(exchange)
        if comer in each.frame.data.decode("utf-8", "replace")
    ]
    if not about:
        raise CannotJudge("nothing was told about the Node that came and left")
    facts = reading.first_mark(transcript, LOOKED).facts
    found = facts["found"]
    assert isinstance(found, list | tuple)  # noqa: S101  # the scenario's own mark
    kinds = ", ".join(sorted({str(each.frame.event) for each in reading.events(exchange)}))
    seen = "; ".join(map(str, found)) or f"none of {facts['spellings']} spellings in {kinds}"
    yield reading.finding("TYPE-3", not found, "no secret that the server gave to a Node", seen, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="disclosures",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason="a handful of commits, each on the wire within a second",
        act=act,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="TYPE-003",
        title="No event tells a Node's secret, in whatever spelling",
        clauses=("TYPE-3",),
        profile="stream",
        scenario="disclosures",
        judge=judge,
    ),
)
