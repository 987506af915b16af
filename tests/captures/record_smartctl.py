"""Record what smartctl says of the simulated drives, into the folder smartctl/ beside this file.

    PYTHONPATH=tests python tests/captures/record_smartctl.py

It is the real smartctl; the drives are those of simulators/smart_drives.py.
"""

from __future__ import annotations

import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from rasura_agent.health.smart import Target, read_health
from simulators.smart_drives import bench
from simulators.smartctl_line import SmartctlOverSimulators, obstacle, recorded
from simulators.world import ManualClock

HERE = Path(__file__).with_name("smartctl")
_PLATFORM = re.compile(rb"x86_64-linux-[^\"\]]+")


def main() -> int:
    """Record every drive; 2 if there is no smartctl."""
    why_not = obstacle()
    if why_not is not None:
        sys.stderr.write(f"error: {why_not}\n")
        return 2
    drives = bench(ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    with tempfile.TemporaryDirectory() as folder:
        commands = SmartctlOverSimulators(Path(folder), drives)
        for path in drives:
            read_health(Target(path), commands)
        # Which kernel it ran under is nobody's business.
        recorded(
            HERE,
            {
                argv: replace(ran, stdout=_PLATFORM.sub(b"x86_64-linux", ran.stdout))
                for argv, ran in commands.ran.items()
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
