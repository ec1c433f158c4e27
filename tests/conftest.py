"""The only place for what every test shares: how long Hypothesis searches, and fixtures.

``HYPOTHESIS_PROFILE`` names the profile; without it ``CI`` decides between ``ci`` and ``dev``.
"""

from __future__ import annotations

import gc
import os
import ssl

import pytest
import trustme
from hypothesis import HealthCheck, settings
from tests.adapters import certificates

# No deadlines: the time of one example says more about the machine's load than about the code.
settings.register_profile("dev", deadline=None, max_examples=100)
# The same examples in every run, so that a red run is about the change that it tests.
settings.register_profile("ci", deadline=None, max_examples=300, derandomize=True, print_blob=True)
# Coverage is about lines, not about luck, and measuring it takes several times as long.
settings.register_profile("cover", deadline=None, max_examples=50, derandomize=True)
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


@pytest.fixture(scope="session", autouse=True)
def _only_what_tests_make_is_garbage() -> None:
    """What was imported stays, and need not be looked through after every test."""
    gc.freeze()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs what the tests trust."""
    return certificates.authority()


@pytest.fixture(scope="session")
def server_tls() -> ssl.SSLContext:
    """A server's context, with a certificate for ``localhost``."""
    return certificates.server_tls()


@pytest.fixture(scope="session")
def client_tls() -> ssl.SSLContext:
    """A client's context, which trusts :func:`authority` and nobody else."""
    return certificates.client_tls()
