"""The only place for the policy that ours runs with: defaults, but for what is lifted for all."""

from __future__ import annotations

import math
from typing import Final

from wscore import Config, Deflate

PLAIN: Final = Config(max_message_size=math.inf)
DEFLATED: Final = PLAIN.replace(compression=Deflate())


def config(*, deflate: bool) -> Config:
    return DEFLATED if deflate else PLAIN
