"""The process that gets killed: it appends and relays on one file, and says what it was promised.

Run as `python -m tests.crash.producer STORE`. It prints `ready`, then `ack DOMAIN EVENT NODE,NODE` after each
commit that it was told of: exactly what a client holds as acknowledged.
"""

import os
import random
import sys
import uuid

import trio
from sqlalchemy import Connection, select

from reference_server.store import tables
from tests.server.bus import Bus, opened

DOMAINS = [str(uuid.UUID(int=number + 1)) for number in range(3)]
NODES = [str(uuid.UUID(int=1000 + number)) for number in range(6)]


def _keyed(connection: Connection) -> set[str]:
    return set(connection.execute(select(tables.signing_keys.c.domain_id)).scalars())


async def _produce(bus: Bus, domain_id: str) -> None:
    while True:
        node_ids = random.sample(NODES, random.choice([1, 1, len(NODES)]))
        [event_id] = await bus.publish(domain_id, node_ids)
        os.write(1, f"ack {domain_id} {event_id} {','.join(node_ids)}\n".encode())


async def main(path: str) -> None:
    """Produce and relay until killed; Domains get their keys late, so that their first rows are parked."""
    async with opened(path, publishes=8, tick_seconds=0.1) as bus, trio.open_nursery() as nursery:
        nursery.start_soon(bus.relay.run)
        keyed = await bus.store.read(_keyed)
        os.write(1, b"ready\n")
        for domain_id in DOMAINS:
            nursery.start_soon(_produce, bus, domain_id)
        for domain_id in DOMAINS:
            if domain_id not in keyed:
                await trio.sleep(random.uniform(0, 0.1))
                await bus.provision(domain_id)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
