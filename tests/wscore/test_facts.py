"""What an adapter's WebSocket tells of its connection."""

from __future__ import annotations

from wscore import Facts, State
from wscore.testing import Pair


def test_the_facts_are_the_connections() -> None:
    pair = Pair.opened()
    client = pair.client
    ping = client.ping(now=pair.now)
    pair.run(1)
    facts = Facts(client)
    assert client.poll_pong(ping) is not None
    assert facts.latency is not None
    assert facts.latency == client.latency
    assert facts.stats is client.stats
    assert facts.request is client.request is not None
    assert facts.response is client.response is not None
    assert facts.subprotocol is None
    assert facts.state is State.OPEN
    assert facts.close_reason is None
    assert (facts.local_address, facts.remote_address) == (None, None)
    assert repr(facts) == "<WebSocket client open, peer None>"
    client.abort(now=pair.now)
    assert facts.close_reason == client.close_reason is not None
