"""Somebody who uses a deployment: writes state entries of one Node now and then, for ever."""

import itertools

import httpx
import trio

from conformance.target.model import Target

NODE = "node_a"

# Quick enough that a look at the stream sees several events, slow enough to leave the machine alone.
PAUSE_SECONDS = 0.2

# Then nothing for so long that a keep-alive is due (SSE-4).
BURST, QUIET_SECONDS = 40, 27.0


async def publish(target: Target) -> None:
    """Writes an entry of `node_a` again and again, each value once; until it is cancelled."""
    credential = target.identities["operator"].credential
    path = f"/v1/nodes/{target.identities[NODE].node_id}/state/metadata/used"
    async with httpx.AsyncClient(
        base_url=target.base_url, headers={"Authorization": f"Bearer {credential}"}, trust_env=False
    ) as http:
        for number in itertools.count(1):
            await http.put(path, json={"value": f"<{number}> é"})
            await trio.sleep(PAUSE_SECONDS if number % BURST else QUIET_SECONDS)
