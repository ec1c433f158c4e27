"""The only place for rounds: who does what, and when.

Everybody does a workload before anybody does the next, and all of it once before anything is done
again: what the machine does meanwhile happens to all.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

from bench.contenders import Contender
from bench.crowd import Stalled
from bench.measure import Failed, Party, Server
from bench.results import STALLS, Outcome, Results
from bench.workloads import Workload


def installed(everybody: Iterable[Contender]) -> Iterator[Contender]:
    """Those who can take part here; a line about each of the others."""
    for contender in everybody:
        if missing := contender.missing:
            print(f"{contender.name}: left out, for want of {', '.join(missing)}; try make bench")
        else:
            yield contender


def find_codec() -> str:
    """What our codec is written in, unless the pure one is asked for."""
    with Server(Contender("ws-asyncio", "asyncio")) as server:
        return server.codec


def compare(
    results: Results,
    everybody: Sequence[Contender],
    workloads: Mapping[str, Workload],
    *,
    rounds: int,
    patience: float,
    seconds: float = math.inf,
) -> None:
    """Measure; what stalls or fails is not tried again.

    :param seconds: no round is begun that would end later.
    """
    begun = time.monotonic()
    for number in range(rounds):
        passed = time.monotonic() - begun
        if number and passed * (number + 1) / number > seconds:
            print(f"{number} rounds are what there is time for.")
            break
        for name, workload in workloads.items():
            print(f"round {number + 1}: {name}", flush=True)
            for who, outcome in _once(results, everybody, name, workload, patience):
                results.add(who, name, outcome)


def _once(
    results: Results,
    everybody: Sequence[Contender],
    name: str,
    workload: Workload,
    patience: float,
) -> Iterator[tuple[str, Outcome]]:
    """A workload, done once by everybody, each with processes that have done nothing before."""
    with ExitStack() as stack:
        parties = {
            each: stack.enter_context(Party(each, workload, patience))
            for each in everybody
            if not results.problem(each.name, name)
        }
        # While one is measured, no other shall still be starting.
        for party in parties.values():
            with suppress(Stalled, Failed):
                party.wait()
        for each in everybody:
            yield each.name, attempt(parties[each]) if each in parties else None


def attempt(party: Party) -> Outcome:
    """Measure once, whatever happens."""
    try:
        return party.measure() if party.can else None
    except Stalled:
        problem = STALLS
    except Failed as error:
        problem = f"fails: {error}"
    print(f"  {party.contender.name} {problem}", flush=True)
    return problem


def prepare() -> None:
    """Allow as many connections as this machine does.

    :raises SystemExit: nothing can be measured here.
    """
    if sys.platform != "linux":
        sys.exit("What other processes take is read as Linux shows it: run it there.")
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
