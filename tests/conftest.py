"""The only place for what every test shares: how long Hypothesis searches.

``HYPOTHESIS_PROFILE`` names the profile; without it ``CI`` decides between ``ci`` and ``dev``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadlines: the time of one example says more about the machine's load than about the code.
settings.register_profile("dev", deadline=None, max_examples=100)
# The same examples in every run, so that a red run is about the change that it tests.
settings.register_profile("ci", deadline=None, max_examples=300, derandomize=True, print_blob=True)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=20_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)
