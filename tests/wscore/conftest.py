"""The only place for fixtures of the core's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.wscore.carried import MakeScene, Scene

from wscore import Config


@pytest.fixture
def stage() -> Iterator[MakeScene]:
    """Makes scenes, and sees that nobody stays behind."""
    scenes: list[Scene] = []

    def make(config: Config | None = None, **options: Any) -> Scene:
        scenes.append(Scene(config, **options))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.end()
