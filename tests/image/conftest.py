"""What several tests of the image need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image.registry_here import RegistryHere, registry_here


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryHere]:
    """A registry on this host."""
    with registry_here(tmp_path) as here:
        yield here
