"""Compares everybody in everything: ``python -m bench [--quick]``, as ``make bench`` does."""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import Final

from bench import report
from bench.contenders import contenders
from bench.measure import ROOT
from bench.results import DIRECTORY, Results, about
from bench.roles import PURE
from bench.rounds import compare, find_codec, installed, prepare
from bench.workloads import WORKLOADS

QUICK: Final = ROOT / "build" / "bench" / "quick.json"
WHOLE: Final = DIRECTORY / "comparison.json"

COMMANDS: Final = {True: "make bench-quick", False: "make bench"}

QUICK_SECONDS: Final = 178.0

PATIENCE: Final = {True: 10.0, False: 30.0}
"""Seconds after which a workload has stalled, quick or whole: ten times what the slowest takes."""


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench")
    arguments.add_argument("--quick", action="store_true", help="a part of it, in three minutes")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--scale", type=float, help="how many times the usual messages")
    arguments.add_argument("--report", action="store_true", help="show the last whole run again")
    arguments.add_argument("--only", default="", metavar="REGEX", help="of these contenders")
    arguments.add_argument("--workloads", default="", metavar="REGEX", help="these workloads")
    options = arguments.parse_args()
    path = QUICK if options.quick or options.only or options.workloads else WHOLE
    if options.report:
        results = Results.load(path)
    else:
        prepare()
        codec = find_codec()
        everybody = [
            each
            for each in installed(contenders(compiled=codec != PURE))
            if re.search(options.only, each.name)
        ]
        scale = options.scale or (0.15 if options.quick else 1)
        workloads = {
            workload.name: workload.scaled(scale)
            for workload in WORKLOADS
            if (workload.quick or not options.quick)
            and re.search(options.workloads, workload.name)
        }
        results = Results(about(COMMANDS[options.quick], everybody, codec))
        compare(
            results,
            everybody,
            workloads,
            rounds=options.rounds,
            patience=PATIENCE[options.quick],
            seconds=QUICK_SECONDS if options.quick else math.inf,
        )
        results.save(path)
    print(report.as_text(results))
    if path == WHOLE:
        report.write_docs(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
