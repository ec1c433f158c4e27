"""Whose turn it is to receive."""

from __future__ import annotations

import pytest

from wscore import ConcurrencyError, Receiving
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


def test_whoever_takes_over_discards_the_rest_of_the_parts() -> None:
    pair = Pair.opened()
    server, now = pair.server, pair.now
    pair.client.send_part("one", final=False, now=now)
    pair.run(1)
    receiving = Receiving(server)
    first = receiving.enter_parts(now=now)
    receiving.check_parts(first)
    part = server.take_part(now=now)
    assert part is not None
    assert part.data == "one"
    second = receiving.enter_parts(now=now)
    with pytest.raises(ConcurrencyError):
        receiving.check_parts(first)
    receiving.check_parts(second)
    receiving.leave_parts(first, now=now)
    receiving.check_parts(second)
    receiving.leave_parts(second, now=now)
    receiving.leave_parts(now=now)
    pair.client.send_part("two", final=True, now=now)
    pair.client.send("next", now=now)
    pair.run(1)
    assert pair.received(server) == ["next"]
