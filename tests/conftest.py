"""Settings of the whole suite: properties are judged by what they find, never by how long they take."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "entropy",
    deadline=None,
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),  # what landed once lands again; new examples are for the developers' machines
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("entropy")
