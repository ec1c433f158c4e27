"""The only place for what came out: samples by contender, workload and round, kept as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from typing import Final, Self, TypeAlias

from bench.contenders import Contender
from bench.measure import ROOT, Sample

DIRECTORY: Final = ROOT / "bench" / "results"

STALLS: Final = "stalls"

Outcome: TypeAlias = Sample | str | None
"""A sample; what went wrong; None: not a thing that the library can do, or not tried again."""

MEASURES: Final[dict[str, Callable[[Sample], float]]] = {
    "cpu": lambda sample: sample["client"] + sample["server"],
    "rate": lambda sample: 1e6 / sample["wall"],
    "cpu rate": lambda sample: 1e6 / (sample["client"] + sample["server"]),
}
"""What is made of a sample; all else is in it."""


@dataclass
class Results:
    """What came out of a run.

    :ivar about: the command, the machine and the versions, for people.
    :ivar samples: by contender, workload and round.
    """

    about: dict[str, str]
    samples: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)

    def add(self, contender: str, workload: str, outcome: Outcome) -> None:
        """Add what came out of another round."""
        if isinstance(outcome, dict):
            outcome = {name: round(value, 3) for name, value in outcome.items()}
        self.samples.setdefault(contender, {}).setdefault(workload, []).append(outcome)

    def problem(self, contender: str, workload: str) -> str | None:
        """What went wrong, if anything did in any round."""
        outcomes = self.samples.get(contender, {}).get(workload, [])
        return next((outcome for outcome in outcomes if isinstance(outcome, str)), None)

    def values(self, contender: str, workload: str, measure: str) -> list[float]:
        """A measure in each round; NaN in those without."""
        read = MEASURES.get(measure, itemgetter(measure))
        return [
            read(outcome) if isinstance(outcome, dict) else math.nan
            for outcome in self.samples.get(contender, {}).get(workload, [])
        ]

    def median(self, contender: str, workload: str, measure: str) -> float:
        """The median of all rounds; NaN without any."""
        return median(self.values(contender, workload, measure))

    def ratio(self, contender: str, against: str, workload: str, measure: str) -> float:
        """How many times as much another one takes: the median of the rounds' ratios."""
        ours = self.values(contender, workload, measure)
        theirs = self.values(against, workload, measure)
        return median([their / our for our, their in zip(ours, theirs, strict=False) if our])

    @property
    def rounds(self) -> int:
        """How many there were."""
        return max(
            (len(outcomes) for of_one in self.samples.values() for outcomes in of_one.values()),
            default=0,
        )

    def save(self, path: Path) -> None:
        """Write to a file, a line for each workload of each contender."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        # Only lists of rounds are this deep.
        path.write_text(text.replace("\n    ", "").replace("\n   ]", "]") + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read from a file."""
        return cls(**json.loads(path.read_text()))


def median(values: list[float]) -> float:
    """Of those that are numbers; NaN if none is."""
    numbers = [value for value in values if not math.isnan(value)]
    return statistics.median(numbers) if numbers else math.nan


def about(command: str, everybody: list[Contender], codec: str) -> dict[str, str]:
    """What one has to know of a run to make sense of it."""
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "codec": codec,
        "versions": ", ".join(_versions(everybody)),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _versions(everybody: list[Contender]) -> list[str]:
    names = {part for each in everybody for part in each.runtime.split("+")}
    names |= {each.library for each in everybody}
    found = []
    for name in sorted(names):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            # Not a package: raw sockets, threads, asyncio.
            continue
    return found
