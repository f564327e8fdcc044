"""External data that tests use where it is present: ``ENTROPY_SHARED``, or a folder ``shared`` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["shared"]


def shared(path: str) -> Path:
    """``path`` in the external data.  Skips the test, saying why, where it is missing."""
    root = Path(os.environ.get("ENTROPY_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    found = root / path
    if not found.exists():
        pytest.skip(f"external data missing: {found} (set ENTROPY_SHARED)")
    return found
