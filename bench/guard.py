"""The only place for the regression guard: instructions of an echo, which no busy machine changes.

``python -m bench.guard [--update] [--where-possible]``, as ``make bench-guard`` does. It counts
with valgrind's callgrind, or else with ``perf stat``. An echo costs the difference of two runs of
different lengths, so that starting costs nothing. Expected numbers are committed, for each
version of Python, form of the codec and tool.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from bench.guarded import ROLES
from bench.measure import ROOT
from bench.roles import PURE, codec
from bench.workloads import KIB, SIZES

EXPECTED: Final = Path(__file__).with_name("guard.json")

TOLERANCE: Final = 0.05

WARM_UP: Final = 70
"""Messages of the shorter run: so many that masks have had every byte."""

MESSAGES: Final = {16: 400, KIB: 400, 64 * KIB: 40}
"""How many messages more the longer run has, by their size."""

PATIENCE: Final = 600.0

UPDATE: Final = "make bench-guard OPTIONS=--update"


class Missing(Exception):
    """There is nothing that could count."""


class Tool(NamedTuple):
    """What counts instructions."""

    name: str
    command: list[str]
    pattern: str

    def instructions(self, arguments: list[str], environment: dict[str, str]) -> int:
        """The instructions of a program.

        :raises Missing: it cannot count here.
        """
        run = subprocess.run(
            [*self.command, sys.executable, "-m", "bench.guarded", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        found = re.search(self.pattern, run.stderr, re.MULTILINE)
        if run.returncode or not found:
            raise Missing(f"{self.name} fails: {run.stderr.strip()[-500:]}")
        return int(found[1].replace(",", ""))


TOOLS: Final = [
    Tool(
        "callgrind",
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"],
        r"Collected : (\d+)",
    ),
    Tool("perf", ["perf", "stat", "-x,", "-e", "instructions:u"], r"^(\d+),"),
]


def find_tool() -> Tool:
    """What can count on this machine.

    :raises Missing: nothing.
    """
    for tool in TOOLS:
        # perf is often there, and not allowed to count, or without counters in a virtual machine.
        if shutil.which(tool.command[0]) and _works(tool):
            return tool
    raise Missing(
        "Nothing here counts instructions. Install valgrind (on Debian and Ubuntu: "
        "apt-get install valgrind), or allow perf to count (perf_event_paranoid)."
    )


def _works(tool: Tool) -> bool:
    trial = subprocess.run(
        [*tool.command, "true"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return re.search(tool.pattern, trial.stderr, re.MULTILINE) is not None


class Case(NamedTuple):
    """What is counted."""

    role: str
    size: int

    @property
    def name(self) -> str:
        """What the committed numbers call it."""
        return f"{self.role}, {SIZES[self.size]}"

    def cost(self, tool: Tool, environment: dict[str, str]) -> int:
        """Instructions of one message."""
        more = MESSAGES[self.size]
        short, long = (
            tool.instructions([self.role, str(self.size), str(count)], environment)
            for count in (WARM_UP, WARM_UP + more)
        )
        return round((long - short) / more)


CASES: Final = [Case(role, size) for role in ROLES for size in MESSAGES]


def measure(tool: Tool, environment: dict[str, str]) -> dict[str, int]:
    """What each case costs."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        costs = pool.map(lambda case: case.cost(tool, environment), CASES)
        return {case.name: cost for case, cost in zip(CASES, costs, strict=True)}


def forms() -> dict[str, dict[str, str]]:
    """The environment for each form of the codec."""
    return {PURE: {"WSCORE_PURE": "1"}, **({} if codec() == PURE else {codec(): {}})}


def compare(found: dict[str, int], expected: dict[str, int]) -> bool:
    """Print a line for each case; whether none costs too much."""
    worse = False
    for name, cost in found.items():
        change = cost / expected[name] - 1
        if change > TOLERANCE:
            worse, verdict = True, "TOO MUCH"
        elif change < -TOLERANCE:
            verdict = f"less: keep that with {UPDATE}"
        else:
            verdict = "as expected"
        print(f"  {name:16}{cost:12,} instructions a message, {change:+6.1%}  {verdict}")
    return not worse


def guard(tool: Tool, *, update: bool) -> bool:
    """Count and compare; whether nothing costs too much."""
    committed = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2])
    fine = True
    for form, environment in forms().items():
        key = f"CPython {version}, codec in {form}, {tool.name}"
        print(key, flush=True)
        found = measure(tool, environment)
        expected = committed.get(key)
        if update or expected is None:
            for name, cost in found.items():
                print(f"  {name:16}{cost:12,} instructions a message")
            if update:
                committed[key] = {**found, "compiler": platform.python_compiler()}
            else:
                print(f"  Nothing is expected of this yet: {UPDATE} adds it to {EXPECTED.name}.")
        elif not compare(found, expected):
            fine = False
            if expected["compiler"] != platform.python_compiler():
                print(f"  This Python was not made by {expected['compiler']}: that may be why.")
    if update:
        EXPECTED.write_text(json.dumps(dict(sorted(committed.items())), indent=1) + "\n")
    return fine


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.guard")
    arguments.add_argument("--update", action="store_true", help="expect what is found now")
    arguments.add_argument(
        "--where-possible", action="store_true", help="succeed where nothing can count"
    )
    options = arguments.parse_args()
    try:
        return 0 if guard(find_tool(), update=options.update) else 1
    except Missing as error:
        print(error)
        return 0 if options.where_possible else 1


if __name__ == "__main__":
    sys.exit(main())
