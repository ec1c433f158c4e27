"""The only place that binds what wscore needs of a runtime to anyio."""

from __future__ import annotations

import ssl as tls

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import RunVar, cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled
from anyio.streams.tls import TLSStream

from wscore import Runtime, Watch

from ._stream import abort

__all__ = ["OnAnyio"]


class OnAnyio(Runtime):
    """What runs on anyio."""

    _watch_of_run = RunVar[Watch]("ws_anyio.watch")
    _stream_errors = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
    _abort_stream = staticmethod(abort)
    _group_name = "task_group"
    _current_time = staticmethod(anyio.current_time)
    _event = staticmethod(anyio.Event)
    _lock = staticmethod(anyio.Lock)
    _cancel_scope = staticmethod(anyio.CancelScope)
    _task_group = staticmethod(anyio.create_task_group)
    _checkpoint = staticmethod(checkpoint)
    _checkpoint_if_cancelled = staticmethod(checkpoint_if_cancelled)
    _cancel_shielded_checkpoint = staticmethod(cancel_shielded_checkpoint)
    _cancelled_error = staticmethod(anyio.get_cancelled_exc_class)

    @staticmethod
    async def _accept_tls(stream: ByteStream, context: tls.SSLContext) -> ByteStream:
        return await TLSStream.wrap(stream, server_side=True, ssl_context=context)

    @staticmethod
    def _current_task() -> int:
        return anyio.get_current_task().id

    @staticmethod
    def _what_failed(error: Exception) -> BaseException:
        """The error of TLS or of the system says more than anyio's around it."""
        cause = error.__cause__
        if (
            isinstance(cause, ExceptionGroup)
            and len({type(each) for each in cause.exceptions}) == 1
        ):
            # Of every address the same.
            cause = cause.exceptions[0]
        wrapped = isinstance(error, anyio.BrokenResourceError) or isinstance(cause, OSError)
        return cause if cause is not None and wrapped else error
