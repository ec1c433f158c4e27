"""Side by side with the peers, in one run: ``make bench``.

:mod:`bench.contenders` names who takes part, :mod:`bench.workloads` what is measured,
:mod:`bench.goals` what has to come out; ``python -m bench`` measures all of it,
``python -m bench.grow`` how cost grows, ``python -m bench.guard`` what a message costs in
instructions. A contender is two processes, a server and a client: ``bench/contenders/*.py``.
"""
