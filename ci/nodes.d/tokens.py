"""What a card is worth by its token: accepted for as long as the cluster's file says, and nothing once it is revoked."""

import time

from cases import all_ready, claim, healthy, joined_once


def refused(worker, plane):
    """Waits for a worker whose token the cluster does not know to say so; it is no node."""
    state = worker.wait("its join to be refused", lambda: worker.state() if worker.state().get("phase") == "retry" else None)
    claim("could not find a JWS signature in the cluster-info ConfigMap for token ID" in state["last_error"], f"{worker.name}: {state}")
    claim(state["waiting_for"] == "attempt 2", f"{worker.name}: {state}")
    all_ready(plane, [plane.name])
    claim(all(it["status"] == 1 for it in worker.calls("join") if it["ended"]), f"{worker.name}: {worker.calls('join')}")


def token_of_the_past(world, _long):
    """The cluster's file lets tokens live for seconds: who is first powered later is refused, and goes on trying."""
    plane, worker = world.cluster(1, 1, more='token_ttl = "5s"')
    worker.discovery = "3s"
    worker.write_seed()
    plane.start()
    plane.phase("joined")
    time.sleep(5)
    worker.start()
    refused(worker, plane)
    worker.phase("join")
    healthy(plane)


def card_of_the_past(world, _long):
    """Cards that were made months ago join: the life of a token begins when the cluster is formed."""
    nodes = world.cluster(1, 1, more='token_ttl = "720h"', age=90 * 86400)
    for node in nodes:
        node.start()
    for node in nodes:
        healthy(node)
    all_ready(nodes[0], [it.name for it in nodes])
    joined_once(nodes)


def revoked_card(world, _long):
    """A worker's card is lost before the cluster is formed, and its token revoked: that card is worth nothing, the one made anew is."""
    nodes = plane, worker = world.cluster(1, 1)
    anew = world.seeds("anew", worker.name)
    plane.seed = anew / plane.name
    plane.flash()
    worker.discovery = "3s"
    worker.write_seed()
    for node in nodes:
        node.start()
    refused(worker, plane)
    worker.seed, worker.discovery = anew / worker.name, None
    worker.flash_anew()
    healthy(worker)
    all_ready(plane, [it.name for it in nodes])
    joined_once(nodes)


ALL = {it.__name__: it for it in (token_of_the_past, card_of_the_past, revoked_card)}
