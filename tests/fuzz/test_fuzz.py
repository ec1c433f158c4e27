"""The only place where the targets meet the corpus, and what Hypothesis makes of it.

``HYPOTHESIS_PROFILE`` decides for how long; with coverage to guide it: ``with_atheris.py``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.make_corpus import CORPUS, made
from tests.fuzz.targets import TARGETS

INPUTS: dict[str, dict[str, bytes]] = {
    target: {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}
    for target in TARGETS
}


@pytest.mark.parametrize(
    ("target", "name"), [(target, name) for target, inputs in INPUTS.items() for name in inputs]
)
def test_an_input_of_the_corpus_finds_nothing(target: str, name: str) -> None:
    TARGETS[target](INPUTS[target][name])


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_holds_what_its_examples_make(target: str) -> None:
    """Or the files are not what their names say."""
    examples = made(target)
    assert examples.keys() <= INPUTS[target].keys()
    # Which bytes a compressor makes is up to the version of zlib.
    if target != "deflated":
        assert examples.items() <= INPUTS[target].items()


@st.composite
def mutated(draw: st.DrawFn, inputs: list[bytes]) -> bytes:
    """An input of the corpus after some accidents, perhaps in other circumstances."""
    data = bytearray(draw(st.sampled_from(inputs)))
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        match draw(st.sampled_from(["flip", "truncate", "repeat", "leave out", "splice", "put"])):
            case "flip" if start < len(data):
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "truncate":
                del data[end:]
            case "repeat":
                data[end:end] = data[start:end]
            case "leave out":
                del data[start:end]
            case "splice":
                other = draw(st.sampled_from(inputs))
                data[start:] = other[draw(st.integers(0, len(other))) :]
            case _:
                data[start:start] = draw(st.binary(min_size=1, max_size=8))
    circumstances = draw(st.just(b"") | st.binary(min_size=1, max_size=4))
    return circumstances + bytes(data[len(circumstances) :])


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_a_mutated_input_finds_nothing(target: str, data: st.DataObject) -> None:
    inputs = mutated(list(INPUTS[target].values())) | st.binary(max_size=400)
    TARGETS[target](data.draw(inputs, label="input"))
