"""The only place for victims: processes with a server or a client of ours, seen from outside.

A process of its own, so that its memory, descriptors and log are the victim's alone.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import trustme
from tests.adapters.certificates import authority
from tests.security.attacker import Attacker
from tests.security.victims.policy import Figures

ROOT: Final = Path(__file__).parents[2]

MODULES: Final = {
    "asyncio": ("tests.security.victims.on_asyncio", "asyncio"),
    "uvloop": ("tests.security.victims.on_asyncio", "uvloop"),
    "trio": ("tests.security.victims.on_trio",),
    "sync": ("tests.security.victims.on_sync",),
    "anyio+asyncio": ("tests.security.victims.on_anyio", "asyncio"),
    "anyio+trio": ("tests.security.victims.on_anyio", "trio"),
}

MIB: Final = 2**20
MOST_MEMORY: Final = 32 * MIB
"""By how much the memory of a process may grow for one hostile peer."""

AFTERMATH: Final = 5.0
"""Seconds within which everything of an attack is gone, with every timeout at 1 s or less."""

PATIENCE: Final = 30.0
"""Seconds after which somebody hangs."""


@cache
def _files() -> tuple[TemporaryDirectory[str], Path, Path]:
    """Where a certificate and its authority are, until this process ends."""
    directory = TemporaryDirectory()
    certificate, trusted = Path(directory.name, "server.pem"), Path(directory.name, "ca.pem")
    server: trustme.LeafCert = authority().issue_cert("localhost", "127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority().cert_pem.write_to_path(str(trusted))
    return directory, certificate, trusted


class Victim:
    """A process that is attacked.

    :ivar variant: what it runs on.
    """

    def __init__(self, variant: str, role: str, file: Path, log: Path) -> None:
        self.variant = variant
        self._log = log
        module, *last = MODULES[variant]
        command = [sys.executable, "-W", "default", "-m", module, role, str(file), *last]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def log(self) -> str:
        """What it has written to its log."""
        return self._log.read_text()

    def listen(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.variant} has died: {self.log[-2000:]}"
        return json.loads(line)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    @contextmanager
    def growing_by_at_most(self, limit: int = MOST_MEMORY) -> Iterator[None]:
        """Its resident memory must not grow by more, not even for a moment."""
        proc = Path("/proc", str(self._process.pid))
        (proc / "clear_refs").write_text("5")  # the peak is what it is now: proc(5)
        before = self._memory("VmRSS")
        yield
        grown = self._memory("VmHWM") - before
        assert grown <= limit, f"{grown / MIB:.1f} MiB more, {limit / MIB:.0f} are allowed"

    @property
    def resident(self) -> int:
        """Its resident memory, in bytes."""
        return self._memory("VmRSS")

    def _memory(self, name: str) -> int:
        status = Path("/proc", str(self._process.pid), "status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024


class Server(Victim):
    """A server that is attacked.

    :ivar plain: the port for ws.
    :ivar secure: the port for wss.
    """

    def __init__(self, variant: str, log: Path) -> None:
        super().__init__(variant, "server", _files()[1], log)
        ports = self.listen()
        self.plain: int = ports["plain"]
        self.secure: int = ports["secure"]
        self._tls = ssl.create_default_context(cafile=_files()[2])
        # What is started once and stays is started by the first connection.
        self.figures()
        self._at_rest = self.figures()

    def connect(self) -> Attacker:
        """A connection, with nothing said yet."""
        return Attacker(socket.create_connection(("127.0.0.1", self.plain), PATIENCE))

    def connect_tls(self) -> Attacker:
        """The same, in TLS."""
        return Attacker(self._tls.wrap_socket(self.connect_raw(), server_hostname="localhost"))

    def connect_raw(self) -> socket.socket:
        """A connection to where TLS is spoken, without it."""
        return socket.create_connection(("127.0.0.1", self.secure), PATIENCE)

    def figures(self) -> Figures:
        """What it holds, by what it tells a good client."""
        with self.connect() as client:
            client.open("/figures")
            said, close = client.frames(2)
            client.send_frame(*close)
            assert client.frames_to_end() == []
            return Figures(**json.loads(said.payload))

    def check(self) -> None:
        """A fresh client is served, and soon nothing of what came before is left."""
        with self.connect() as client:
            client.open()
            client.send_text("still there?")
            assert client.frames(1)[0].payload == b"still there?"
            client.close()
        end = time.monotonic() + AFTERMATH
        while not (now := self.figures()).within(self._at_rest):
            assert time.monotonic() < end, f"{now}, but at rest {self._at_rest}"
            time.sleep(0.01)


class Client(Victim):
    """A client that is sent to hostile servers."""

    def __init__(self, variant: str, log: Path) -> None:
        super().__init__(variant, "client", _files()[2], log)

    def visit(self, url: str) -> dict[str, Any]:
        """Let it connect, echo, and be closed; what came of it: see ``victims.visits``."""
        self.tell(url)
        visit: dict[str, Any] = self.listen()
        return visit


@cache
def server_tls() -> ssl.SSLContext:
    """The context of a hostile server that the client trusts."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_files()[1])
    return tls
