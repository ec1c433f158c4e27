"""How the bytes of a connection are read and written, piece by piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import pytest
from tests.wscore.carried import Closing, Peer, Socket, Stream, Wire
from tests.wscore.kernel import Kernel
from tests.wscore.rawpeer import BINARY, FIN, frame

from wscore import (
    Cause,
    Config,
    Connection,
    ConnectionClosed,
    Message,
    Role,
    codec,
    send_some,
)

KIB = 1024


class Ends:
    """A connection with either kind of carrier, and a peer; time is the kernel's."""

    def __init__(self, config: Config | None = None) -> None:
        self.kernel = Kernel()
        self.wire = Wire()
        self.connection = Connection.upgraded(Role.SERVER, config, now=0.0)
        self.socket = Socket(self.kernel, self.wire, self.connection)
        self.stream = Stream(self.kernel, self.wire, self.connection)
        self.peer = Peer(self.kernel, self.wire)

    def send(self, *messages: str | bytes) -> None:
        for message in messages:
            self.connection.send(message, compress=False, now=0.0)


@pytest.fixture
def ends() -> Ends:
    return Ends()


# ------------------------------------------------------------------------- any stream


def test_a_stream_is_written_in_chunks_and_each_counts_when_it_has_left(ends: Ends) -> None:
    ends.send(b"x" * 200 * KIB)
    ends.wire.room = 64 * KIB
    task = ends.kernel.start(ends.stream.write())
    ends.kernel.settle()
    # What was shown was a little more, of which nothing is there yet.
    assert ends.connection.stats.bytes_sent == 64 * KIB
    assert ends.stream.is_writing
    ends.wire.room = math.inf
    ends.kernel.settle()
    assert task.ended
    assert ends.connection.stats.bytes_sent > 64 * KIB
    while ends.connection.want_write:
        ends.kernel.run(ends.stream.write())
    assert ends.peer.read() == [b"x" * 200 * KIB]
    assert not ends.stream.is_writing


def test_a_writer_that_is_cancelled_stays_one_that_is_writing(ends: Ends) -> None:
    ends.send("hello")
    ends.wire.room = 3
    task = ends.kernel.start(ends.stream.write())
    ends.kernel.settle()
    assert ends.stream.is_writing
    task.cancel()
    ends.kernel.settle()
    assert task.cancelled
    # Nobody knows how much of it has left.
    assert ends.stream.is_writing
    assert ends.connection.stats.bytes_sent == 0


def test_nothing_is_written_to_a_stream_without_waiting(ends: Ends) -> None:
    frame = ends.connection.frame_alone("hello")
    assert frame is not None
    assert not ends.stream.write_alone(frame, 0.0)
    assert not ends.stream.write_now()
    assert ends.wire.written == []
    assert ends.connection.want_write


def test_a_stream_brings_no_more_than_is_wanted() -> None:
    ends = Ends(Config(read_size=KIB))
    ends.peer.say("x" * 1500)
    ends.kernel.run(ends.stream.read())
    assert ends.connection.stats.bytes_received == KIB
    ends.kernel.run(ends.stream.read())
    assert ends.connection.take_message(now=0.0) == "x" * 1500


def test_the_end_of_a_stream_is_one_for_the_connection(ends: Ends) -> None:
    ends.wire.coming.append(b"")
    assert not ends.kernel.run(ends.stream.read())
    reason = ends.connection.close_reason
    assert reason is not None
    assert reason.cause is Cause.EOF


def test_a_stream_is_read_by_one_task_whom_nobody_interrupts(ends: Ends) -> None:
    assert not ends.stream.is_shared
    task = ends.kernel.start(ends.stream.read())
    ends.kernel.settle()
    ends.stream.interrupt_read()
    ends.kernel.settle()
    assert not task.ended
    ends.kernel.end()


# -------------------------------------------------------------------------- a socket


def test_what_a_socket_takes_is_written_without_waiting(ends: Ends) -> None:
    ends.send("one", "two")
    assert ends.socket.write_now()
    assert not ends.connection.want_write
    assert ends.peer.read() == ["one", "two"]


def test_what_a_socket_does_not_take_is_written_when_it_does(ends: Ends) -> None:
    ends.send("hello")
    ends.wire.room = 3
    assert not ends.socket.write_now()
    assert ends.connection.stats.bytes_sent == 3
    task = ends.kernel.start(ends.socket.write())
    ends.kernel.settle()
    assert not task.ended
    ends.wire.room = math.inf
    ends.kernel.settle()
    assert task.ended
    assert ends.peer.read() == ["hello"]


@pytest.mark.parametrize(("room", "sent"), [(math.inf, 7), (3, 3), (0, 0)])
def test_a_frame_alone_is_written_as_far_as_it_goes(ends: Ends, room: float, sent: int) -> None:
    frame = ends.connection.frame_alone("hello")
    assert frame is not None
    assert len(frame) == 7
    ends.wire.room = room
    assert ends.socket.write_alone(frame, 0.0) is (sent == 7)
    assert ends.connection.stats.bytes_sent == sent
    ends.wire.room = math.inf
    assert ends.socket.write_now()
    assert ends.peer.read() == ["hello"]


def test_a_socket_that_is_closed_while_it_has_no_room_is_not_written(ends: Ends) -> None:
    ends.send("hello")
    ends.wire.room = 0
    task = ends.kernel.start(ends.socket.write())
    ends.kernel.settle()
    ends.kernel.run(ends.socket.abort())
    ends.wire.room = math.inf
    ends.kernel.settle()
    task.result()
    assert ends.wire.written == []


def test_what_a_socket_brings_is_handed_to_the_connection(ends: Ends) -> None:
    task = ends.kernel.start(ends.socket.read())
    ends.kernel.settle()
    assert not task.ended
    ends.peer.say("one", "two")
    ends.kernel.settle()
    # There is nothing to settle but who receives.
    assert task.result()
    assert ends.connection.take_message(now=0.0) == "one"
    ends.peer.connection.ping(now=0.0)
    ends.peer.write()
    # A pong is to be written.
    assert not ends.kernel.run(ends.socket.read())
    assert ends.connection.want_write


def test_all_sockets_are_read_into_the_same_buffer(ends: Ends) -> None:
    ends.peer.say("one")
    ends.kernel.run(ends.socket.read())
    assert ends.wire.landings[0].obj is Socket._scratch.buffer.obj
    assert len(ends.wire.landings[0]) == Config().read_size


def test_a_large_message_lands_where_the_core_wants_it() -> None:
    ends = Ends(Config(max_message_size=4 * KIB * KIB))
    body = bytes(range(256)) * 4 * KIB
    data = frame(FIN | BINARY & 0x0F, body, masked=True)
    for start in range(0, len(data), 100_000):
        ends.wire.coming.append(data[start : start + 100_000])
    while ends.wire.coming:
        ends.kernel.run(ends.socket.read())
    assert ends.connection.take_message(now=0.0) == body
    landed = [each.obj is not Socket._scratch.buffer.obj for each in ends.wire.landings]
    assert any(landed) is (codec == "C")


def test_the_end_of_the_stream_within_a_large_message_is_the_end(ends: Ends) -> None:
    data = frame(BINARY | FIN, bytes(900 * KIB), masked=True)
    ends.wire.coming += [data[:200_000], data[200_000:400_000], b""]
    for _ in range(3):
        assert not ends.kernel.run(ends.socket.read())
    reason = ends.connection.close_reason
    assert reason is not None
    assert reason.cause is Cause.EOF


def test_a_socket_that_is_not_ready_after_all_brings_nothing(ends: Ends) -> None:
    ends.wire.is_readable = lambda: True  # type: ignore[method-assign]
    assert not ends.kernel.run(ends.socket.read())
    assert ends.wire.reads == 1
    assert ends.connection.close_reason is None


def test_who_waits_to_read_can_be_interrupted_and_nobody_else(ends: Ends) -> None:
    ends.socket.interrupt_read()
    assert ends.wire.said_closing == 0
    task = ends.kernel.start(ends.socket.read())
    ends.kernel.settle()
    ends.socket.interrupt_read()
    ends.kernel.settle()
    assert not task.result()
    assert ends.wire.reads == 0
    ends.socket.interrupt_read()
    assert ends.wire.said_closing == 1


def test_nothing_is_read_that_is_not_wanted_any_more(ends: Ends) -> None:
    task = ends.kernel.start(ends.socket.read())
    ends.kernel.settle()
    ends.connection.abort(now=0.0)
    ends.peer.say("late")
    ends.kernel.settle()
    assert not task.result()
    assert ends.wire.reads == 0


def test_a_socket_of_ours_that_is_closed_brings_nothing(ends: Ends) -> None:
    interrupted = ends.kernel.start(ends.socket.read())
    ends.kernel.settle()
    ends.kernel.run(ends.socket.close())
    ends.kernel.settle()
    assert not interrupted.result()
    ends.peer.say("late")
    assert not ends.kernel.run(ends.socket.read())
    assert ends.wire.reads == 0


def test_a_socket_that_somebody_else_closes_has_failed(ends: Ends) -> None:
    task = ends.kernel.start(ends.socket.read())
    ends.kernel.settle()
    ends.wire.number = -1
    ends.wire.said_closing += 1
    ends.kernel.settle()
    with pytest.raises(Closing):
        task.result()


def test_a_socket_is_closed_once(ends: Ends) -> None:
    ends.kernel.run(ends.socket.close())
    ends.kernel.run(ends.socket.abort())
    ends.kernel.run(ends.socket.close())
    assert ends.socket.closed == 1


def test_the_runtime_may_wait_for_another_object() -> None:
    ends, awaited = Ends(), Wire()
    carrier = Socket(ends.kernel, ends.wire, ends.connection, awaited)
    reading = ends.kernel.start(carrier.read())
    ends.peer.say("hello")
    ends.kernel.settle()
    assert not reading.ended
    awaited.coming.append(b"ready")
    ends.kernel.settle()
    assert reading.result()
    assert ends.connection.take_message(now=0.0) == "hello"


# ------------------------------------------------- what is left of what has failed


def all_of(connection: Connection) -> list[Message]:
    """The messages that can be taken."""
    messages = []
    with suppress(ConnectionClosed):
        while (message := connection.take_message(now=0.0)) is not None:
            messages.append(message)
    return messages


@pytest.mark.parametrize("broken", [None, ConnectionResetError("by peer")])
def test_the_rest_is_read_in_as_many_pieces_as_there_are(broken: OSError | None) -> None:
    ends = Ends(Config(read_size=KIB))
    said = ["x" * 700, "y" * 700, "z" * 700]
    ends.peer.say(*said)
    ends.wire.broken = broken
    ends.socket.read_rest()
    assert ends.wire.reads == 4
    assert all_of(ends.connection) == said
    # What reading raises is nobody's concern any more.
    assert ends.connection.close_reason is None


def test_the_end_behind_the_rest_is_not_told(ends: Ends) -> None:
    ends.peer.say("last words")
    ends.wire.coming += [b"", b"never read"]
    ends.socket.read_rest()
    assert ends.wire.coming == [b"never read"]
    assert all_of(ends.connection) == ["last words"]
    assert ends.connection.close_reason is None


def test_no_more_of_the_rest_is_read_than_is_wanted() -> None:
    ends = Ends(Config(max_queue=1, control_look_ahead=0))
    ends.peer.say("one")
    ends.peer.say("two")
    ends.socket.read_rest()
    assert ends.wire.reads == 1
    ends.connection.abort(now=0.0)
    ends.socket.read_rest()
    assert ends.wire.reads == 1


def test_a_large_message_may_be_in_the_rest() -> None:
    ends = Ends(Config(max_message_size=4 * KIB * KIB))
    body = bytes(range(256)) * 4 * KIB
    data = frame(FIN | BINARY & 0x0F, body, masked=True)
    ends.wire.coming += [data[:200_000], data[200_000:]]
    ends.kernel.run(ends.socket.read())
    ends.socket.read_rest()
    assert ends.connection.take_message(now=0.0) == body


def test_who_talks_on_behind_a_failure_is_not_listened_to_for_ever() -> None:
    ends = Ends(Config(read_size=256 * KIB))
    ends.connection.close(now=0.0)
    chunk = bytes(256 * KIB)
    ends.wire.coming += [frame(BINARY | FIN, chunk, masked=True)] * 100
    ends.socket.read_rest()
    assert ends.connection.stats.bytes_received == 4 * KIB * KIB


@pytest.mark.parametrize("by_us", [True, False])
def test_nothing_is_left_of_a_socket_that_is_closed(ends: Ends, by_us: bool) -> None:
    """Its number may be another socket's by now."""
    ends.peer.say("for whom?")
    if by_us:
        ends.kernel.run(ends.socket.abort())
    else:
        ends.wire.number = -1
    ends.socket.read_rest()
    assert ends.wire.reads == 0


def test_nothing_is_left_of_a_stream(ends: Ends) -> None:
    ends.peer.say("last words")
    ends.stream.read_rest()
    assert ends.wire.reads == 0


# ------------------------------------------------------------------- several buffers


class WithoutSendmsg:
    """A socket as it is on Windows."""

    def __init__(self) -> None:
        self.wire = Wire()

    def fileno(self) -> int:
        return 1

    def send(self, data: bytes | memoryview, /) -> int:
        return self.wire.send(data)

    def recv_into(self, buffer: memoryview, /) -> int:
        raise BlockingIOError


@pytest.mark.parametrize(
    ("buffers", "calls"),
    [([b"one"], [b"one"]), ([b"one", memoryview(b"two")], [b"onetwo"])],
    ids=["one", "two"],
)
def test_buffers_are_sent_in_one_call(
    buffers: Sequence[bytes | memoryview], calls: list[bytes]
) -> None:
    wire, other = Wire(), WithoutSendmsg()
    assert send_some(wire, buffers) == send_some(other, buffers) == len(b"".join(calls))
    assert wire.written == other.wire.written == calls


def test_no_more_buffers_go_into_a_call_than_every_system_takes() -> None:
    wire = Wire()
    assert send_some(wire, [b"x"] * 100) == 64
