"""Randomness (RFC 6455 sections 5.3 and 10.3)."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from wscore import _entropy
from wscore._entropy import entropy


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes asked of a system whose every four bytes are new; the pool is empty."""
    numbers = itertools.count()
    sizes: list[int] = []

    def urandom(size: int) -> bytes:
        sizes.append(size)
        words = (next(numbers).to_bytes(4, "big") for _ in range(0, size, 4))
        return b"".join(words)[:size]

    monkeypatch.setattr(os, "urandom", urandom)
    _entropy._keys.clear()
    yield sizes
    # What this system drew is not random.
    _entropy._keys.clear()


@pytest.mark.parametrize("size", [0, 1, 4, 8, 16, 10_000])
def test_as_many_bytes_come_as_are_asked_for(size: int) -> None:
    assert len(entropy(size)) == size


def test_other_sizes_than_a_mask_come_from_the_system_each_time(drawn: list[int]) -> None:
    assert entropy(16) != entropy(16)
    assert drawn == [16, 16]


def test_a_thousand_masks_cost_one_call_of_the_system(drawn: list[int]) -> None:
    masks = {entropy(4) for _ in range(1024)}
    assert len(masks) == 1024
    assert drawn == [4096]
    entropy(4)
    assert drawn == [4096, 4096]


def test_no_two_threads_get_the_same_mask(drawn: list[int]) -> None:
    with ThreadPoolExecutor(4) as threads:
        masks = list(threads.map(entropy, [4] * 20_000))
    assert len(set(masks)) == 20_000
    assert drawn


def test_a_forked_child_does_not_mask_with_its_parents_keys() -> None:
    """RFC 6455 section 10.3: whoever knows one process's masks must not know another's."""
    script = """
import os
from wscore._entropy import entropy
entropy(4)
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, entropy(4) + entropy(4))
    os._exit(0)
os.wait()
assert os.read(read, 8) != entropy(4) + entropy(4)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
