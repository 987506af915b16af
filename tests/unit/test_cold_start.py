"""What one check does not load: how long a cold ``rasura verify`` takes, held without a clock.

What it takes is what it imports. `./scripts/bench-verify` has the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VECTOR = Path(__file__).parents[2] / "certs/vectors/overwrite"

UNUSED = (
    # the libraries of other commands, and of bundles with a timestamp
    *("fastapi", "pypdfium2", "rfc3161_client", "segno", "typst", "urllib3", "uvicorn"),
    # of the standard library, what takes longest
    *("asyncio", "concurrent.futures", "http.client", "multiprocessing", "ssl", "subprocess", "tempfile"),
    *("logging", "unittest", "xml.etree.ElementTree"),
    # other commands of ours, and what only many documents need
    *("rasura.client", "rasura.language", "rasura.many", "rasura.pdf", "rasura.series", "rasura.show"),
)
MODULES = 44
"""Of ours; each takes a third of a millisecond at least, however little is in it."""

_CODE = """
import gc, json, sys
sys.argv = ["rasura", *json.loads(sys.argv[1])]
from rasura.__main__ import main
try:
    main()
finally:
    ours = [one for name, one in sys.modules.items() if name.split(".")[0] == "rasura"]
    kinds = {kind for one in ours for kind in vars(one).values() if isinstance(kind, type)}
    slow = [kind.__qualname__ for kind in kinds
            if kind.__module__.startswith("rasura.") and hasattr(kind, "__dataclass_fields__")]
    print(json.dumps({"modules": sorted(sys.modules), "slow": slow, "frozen": gc.get_freeze_count(),
                      "searching": gc.isenabled()}))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """After one check in a process of its own."""
    words = ["verify", str(VECTOR / "bundle.json"), "--trust", str(VECTOR / "trust.toml")]
    done = subprocess.run(
        [sys.executable, "-c", _CODE, json.dumps(words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "GENUINE: ERASED" in done.stdout
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_it_loads_nothing_that_it_does_not_need(loaded: dict[str, Any]) -> None:
    assert set(UNUSED).isdisjoint(loaded["modules"])


def test_it_loads_few_modules_of_ours(loaded: dict[str, Any]) -> None:
    ours = [name for name in loaded["modules"] if name.split(".")[0] == "rasura"]
    assert len(ours) <= MODULES, ours


def test_it_makes_no_dataclass(loaded: dict[str, Any]) -> None:
    """Each takes a millisecond to define; msgspec's frozen structs take thirty times less."""
    assert loaded["slow"] == []


def test_it_searches_no_cycles_among_modules(loaded: dict[str, Any]) -> None:
    assert loaded["frozen"] > 10_000
    assert loaded["searching"]
