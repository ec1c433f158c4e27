"""Runs the Autobahn test suite against our peers, and compares with what is expected.

``python -m autobahn.run [--quick] [peer ...]``, as ``make autobahn`` does. The reports are in
``build/autobahn``, a page to look at in ``index.html`` of each role of each peer.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
BUILD: Final = ROOT / "build" / "autobahn"
EXPECTED: Final = Path(__file__).with_name("expected.json")

PEERS: Final = {
    "asyncio": ("autobahn.on_asyncio",),
    "trio": ("autobahn.on_trio",),
    "sync": ("autobahn.on_sync",),
    "anyio": ("autobahn.on_anyio", "asyncio"),
    "anyio+trio": ("autobahn.on_anyio", "trio"),
}
"""The module of each, and what it is told first."""

ROLES: Final = ("server", "client")

SUITE: Final = "autobahntestsuite==25.10.1"
IMAGE: Final = "crossbario/autobahn-testsuite:25.10.1"

QUICK: Final = [
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"),
    # Each kind of content and of parameters, once with few bytes and once in fragments.
    *(f"12.{content}.{size}" for content in range(1, 6) for size in (1, 4)),
    *(f"13.{parameters}.{size}" for parameters in range(1, 8) for size in (1, 11)),
]
"""What ends within a minute."""

PATIENCE: Final = {True: 10 * 60, False: 2 * 60 * 60}
"""Seconds that a role of a peer may take, quick or whole."""


class Missing(Exception):
    """There is nothing that could run the suite."""


class Job(NamedTuple):
    """One role of one peer."""

    peer: str
    role: str

    @property
    def directory(self) -> Path:
        """Where its specification, logs and reports are."""
        return BUILD / "reports" / f"{self.peer}-{self.role}"

    def command(self, *arguments: str) -> list[str]:
        """What runs the peer."""
        module, *first = PEERS[self.peer]
        return [sys.executable, "-m", module, self.role, *arguments, *first]


class Outcome(NamedTuple):
    """What the suite says of a case."""

    behaviour: str
    closing: str


# --------------------------------------------------------------------------- the suite


def find_suite() -> list[str]:
    """The command that runs the suite, made first if it has to be.

    :raises Missing: if this machine has nothing that can.
    """
    if wstest := shutil.which("wstest"):
        return [wstest]
    if python := find_python2():
        return [str(make_environment(python))]
    if shutil.which("docker") and _succeeds("docker", "info"):
        container = ["docker", "run", "--rm", "--network", "host", "--init"]
        owner = ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{BUILD}:{BUILD}"]
        return [*container, *owner, IMAGE, "wstest"]
    raise Missing(
        "The Autobahn test suite is written for Python 2.7. It needs one of: wstest on PATH; "
        "Python 2.7 as python2.7 on PATH or in pyenv; a running Docker. None of them is here."
    )


def find_python2() -> Path | None:
    """A Python 2.7 that works: a shim of pyenv is there even if what it stands for is not."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = shutil.which("python2.7")
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob("versions/2.7*/bin/python2.7"))
    return next((each for each in candidates if _succeeds(str(each), "-c", "")), None)


def make_environment(python: Path) -> Path:
    """A virtual environment with the suite, made once; its ``wstest``."""
    environment = BUILD / "python2"
    wstest = environment / "bin" / "wstest"
    if not wstest.exists():
        print(f"Installing {SUITE} for {python} ...", flush=True)
        maker = BUILD / "virtualenv"
        # The last versions of virtualenv that can make one for Python 2.7.
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", "--clear", maker],
            [maker / "bin" / "python", "-m", "pip", "install", "-q", "virtualenv<20.22"],
            [maker / "bin" / "python", "-m", "virtualenv", "-q", "-p", python, environment],
            [environment / "bin" / "python", "-m", "pip", "install", "-q", SUITE],
        ]
        for command in commands:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                raise Missing(f"{SUITE} cannot be installed for {python}:\n{made.stderr.strip()}")
    return wstest


def _succeeds(*command: str) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, timeout=30, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


# --------------------------------------------------------------------------- one role of one peer


def run_job(suite: list[str], job: Job, *, quick: bool) -> dict[str, Outcome]:
    """Run all cases; what the suite says of each."""
    shutil.rmtree(job.directory, ignore_errors=True)
    job.directory.mkdir(parents=True)
    run = run_server if job.role == "server" else run_client
    run(suite, job, ["*"] if not quick else QUICK, PATIENCE[quick])
    index = job.directory / "index.json"
    if not index.exists():
        raise RuntimeError(f"{job}: no report; see the logs in {job.directory}")
    ((_, cases),) = json.loads(index.read_text()).items()
    return {case: Outcome(said["behavior"], said["behaviorClose"]) for case, said in cases.items()}


def run_server(suite: list[str], job: Job, cases: list[str], patience: float) -> None:
    with running(job.command(), job, "peer", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        spec = write_spec(job, cases, servers=[{"agent": job.peer, "url": url}])
        with running([*suite, "-m", "fuzzingclient", "-s", str(spec)], job, "suite") as fuzzing:
            fuzzing.wait(patience)


def run_client(suite: list[str], job: Job, cases: list[str], patience: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    spec = write_spec(job, cases, url=url)
    command = [*suite, "-m", "fuzzingserver", "--webport=0", "-s", str(spec)]
    with running(command, job, "suite") as fuzzing:
        wait_until_it_listens(port, fuzzing)
        with running(job.command(url, job.peer.replace("+", "-")), job, "peer") as client:
            if client.wait(patience):
                raise RuntimeError(f"{job}: the client failed; see {job.directory}/peer.log")


def write_spec(job: Job, cases: list[str], **what: object) -> Path:
    spec = {"outdir": str(job.directory), "cases": cases, "exclude-cases": [], **what}
    path = job.directory / "spec.json"
    path.write_text(json.dumps({**spec, "exclude-agent-cases": {}}, indent=1))
    return path


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as trial:
            if not trial.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    raise RuntimeError("the suite does not listen")


@contextmanager
def running(
    command: list[str], job: Job, name: str, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a log, ended with the block."""
    with (job.directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stdout or log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
            if process.stdout:
                process.stdout.close()


# --------------------------------------------------------------------------- all of them


def run_all(suite: list[str], jobs: list[Job], *, quick: bool) -> dict[Job, dict[str, Outcome]]:
    """Run the jobs, one at a time on each core: the suite's clock goes on while it waits."""
    results: dict[Job, dict[str, Outcome]] = {}
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work() -> None:
        while not waiting.empty():
            job = waiting.get()
            started = time.monotonic()
            try:
                results[job] = run_job(suite, job, quick=quick)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{job.peer} {job.role}: {error}", flush=True)
            else:
                seconds = time.monotonic() - started
                print(f"{describe(job, results[job])}  {seconds:5.0f} s", flush=True)

    workers = [threading.Thread(target=work) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def describe(job: Job, outcomes: dict[str, Outcome]) -> str:
    counts = Counter(outcome.behaviour for outcome in outcomes.values())
    closed_wrongly = sum(outcome.closing not in _CLOSED_WELL for outcome in outcomes.values())
    columns = [f"{counts.pop(name, 0):5} {name}" for name in _COLUMNS]
    columns += [f"{count:5} {name}" for name, count in counts.items()]
    return f"{job.peer:11}{job.role:7}" + "".join(columns) + f"{closed_wrongly:5} closed wrongly"


_COLUMNS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")
_CLOSED_WELL = ("OK", "INFORMATIONAL")


def differences(
    expected: dict[str, str], outcomes: dict[str, Outcome], *, quick: bool
) -> Iterator[str]:
    """A line for each case that did not do what is expected of it."""
    for case in expected if not quick else outcomes:
        outcome = outcomes.get(case)
        if outcome is None:
            yield f"{case}: not run"
        elif outcome.behaviour != expected.get(case):
            yield f"{case}: {outcome.behaviour}, expected {expected.get(case)}"
        elif outcome.closing not in _CLOSED_WELL:
            yield f"{case}: {outcome.behaviour}, but closed wrongly: {outcome.closing}"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m autobahn.run")
    arguments.add_argument("--quick", action="store_true", help="the cases of a minute a side")
    arguments.add_argument(
        "--where-possible", action="store_true", help="succeed where the suite cannot run"
    )
    arguments.add_argument("peers", nargs="*", metavar="peer", help=", ".join(PEERS))
    options = arguments.parse_args()
    peers = options.peers or [*PEERS]
    if unknown := set(peers) - set(PEERS):
        arguments.error(f"there is no {', '.join(unknown)}; there are {', '.join(PEERS)}")
    try:
        suite = find_suite()
    except Missing as error:
        print(error)
        return 0 if options.where_possible else 1
    jobs = [Job(peer, role) for peer in peers for role in ROLES]
    results = run_all(suite, jobs, quick=options.quick)
    expected = json.loads(EXPECTED.read_text())
    failures = [f"{job.peer} {job.role}: did not end" for job in jobs if job not in results]
    for job, outcomes in results.items():
        failures += [
            f"{job.peer} {job.role}: {difference}"
            for difference in differences(expected, outcomes, quick=options.quick)
        ]
    print(*failures, f"Reports: {BUILD / 'reports'}/*/index.html", sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
