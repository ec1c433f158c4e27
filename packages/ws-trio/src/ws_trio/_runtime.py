"""The only place that binds what wscore needs of a runtime to trio."""

from __future__ import annotations

import ssl as tls

import trio
from trio.lowlevel import (
    RunVar,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
)

from wscore import Runtime, Watch

__all__ = ["OnTrio"]


class OnTrio(Runtime):
    """What runs on trio."""

    _watch_of_run = RunVar[Watch]("ws_trio.watch")
    _stream_errors = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
    _abort_stream = staticmethod(trio.aclose_forcefully)
    _group_name = "nursery"
    _current_time = staticmethod(trio.current_time)
    _current_task = staticmethod(current_task)
    _event = staticmethod(trio.Event)
    _lock = staticmethod(trio.Lock)
    _cancel_scope = staticmethod(trio.CancelScope)
    _task_group = staticmethod(trio.open_nursery)
    _checkpoint = staticmethod(checkpoint)
    _checkpoint_if_cancelled = staticmethod(checkpoint_if_cancelled)
    _cancel_shielded_checkpoint = staticmethod(cancel_shielded_checkpoint)

    @staticmethod
    async def _accept_tls(stream: trio.abc.Stream, context: tls.SSLContext) -> trio.abc.Stream:
        secured = trio.SSLStream(stream, context, server_side=True)
        await secured.do_handshake()
        return secured

    @staticmethod
    def _cancelled_error() -> type[BaseException]:
        return trio.Cancelled

    @staticmethod
    def _what_failed(error: Exception) -> BaseException:
        """The error of TLS or of the system says more than trio's around it."""
        return error if isinstance(error, OSError) else error.__cause__ or error
