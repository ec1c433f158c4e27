"""Whose turn it is to receive."""

from __future__ import annotations

import pytest

from wscore import ConcurrencyError, ConnectionClosed, PartReceiver, Receiving
from wscore.testing import Pair


def test_one_receives_at_a_time() -> None:
    receiving = Receiving(Pair.opened().client)
    with receiving:
        with pytest.raises(ConcurrencyError), receiving:
            pass
        with pytest.raises(ConcurrencyError):
            receiving.__enter__()
    with receiving:
        pass


def test_a_message_in_parts_ends_with_its_last() -> None:
    pair = Pair.opened()
    receiver = PartReceiver(Receiving(pair.server))
    assert receiver.take(now=pair.now) is None
    pair.client.send_part("one", final=False, now=pair.now)
    pair.run(1)
    assert receiver.take(now=pair.now) == ("one", False)
    assert receiver.take(now=pair.now) is None
    pair.client.send_part("two", final=True, now=pair.now)
    pair.client.send("next", now=pair.now)
    pair.run(1)
    assert receiver.take(now=pair.now) == ("two", True)
    assert receiver.ended
    assert pair.received(pair.server) == ["next"]


def test_whoever_takes_over_discards_the_rest_of_the_parts() -> None:
    pair = Pair.opened()
    now = pair.now
    pair.client.send_part("one", final=False, now=now)
    pair.run(1)
    receiving = Receiving(pair.server)
    first, second = PartReceiver(receiving), PartReceiver(receiving)
    assert first.take(now=now) is not None
    assert second.take(now=now) is None
    with pytest.raises(ConcurrencyError):
        first.take(now=now)
    first.leave(now=now)
    assert second.take(now=now) is None
    second.leave(now=now)
    second.leave(now=now)
    receiving.leave_parts(now=now)
    assert first.ended
    assert second.ended
    pair.client.send_part("two", final=True, now=now)
    pair.client.send("next", now=now)
    pair.run(1)
    assert pair.received(pair.server) == ["next"]


def test_the_end_of_the_connection_is_the_end_of_the_parts() -> None:
    pair = Pair.opened()
    receiver = PartReceiver(Receiving(pair.server))
    assert receiver.take(now=pair.now) is None
    pair.client.close(now=pair.now)
    pair.run(1)
    with pytest.raises(ConnectionClosed):
        receiver.take(now=pair.now)
    assert receiver.ended
