"""Removes what a crashed run left on a target, without a run around it."""

import random
from collections.abc import Sequence

import trio

from conformance.probe import ledger
from conformance.probe.client import Client
from conformance.probe.clock import RunClock
from conformance.probe.grounds import Grounds
from conformance.probe.policy import Restraint
from conformance.probe.recorder import Recorder
from conformance.probe.stage import Stage
from conformance.probe.vault import Vault
from conformance.target.driver import NoDriver
from conformance.target.grade import Effect, Grade
from conformance.target.model import Claims, Target
from conformance.target.reach import LIVE_CONNECTIONS, LIVE_REQUESTS


async def remove_all(target: Target, made: Sequence[ledger.Created]) -> tuple[str, ...]:
    """Removes it as the target's operator; returns what is left over. Raises WeakSecret."""
    rng = random.Random(0)  # noqa: S311  # nothing here is chosen at random
    vault = Vault(rng)
    for identity in target.identities.values():
        if identity.credential is not None:
            vault.add(identity.label, identity.credential)
    restraint = Restraint(may_write=True, requests=LIVE_REQUESTS, watchful=False)
    client = Client(target, max_connections=LIVE_CONNECTIONS, restraint=restraint)
    try:
        async with trio.open_nursery() as nursery:
            stage = Stage(
                target=target,
                claims=Claims(profiles=(), grade=Grade.G0, effects=frozenset({Effect.WRITE_OWN})),
                client=client,
                recorder=Recorder("cleanup", RunClock(), vault),
                vault=vault,
                driver=NoDriver(),
                grounds=Grounds(prefix="", rng=rng, ledger=ledger.FileLedger(None, base_url=target.base_url)),
                rng=rng,
                nursery=nursery,
            )
            return await ledger.clean(
                made, lambda label, path: stage.request(label, "DELETE", path, identity="operator")
            )
    finally:
        await client.aclose()
