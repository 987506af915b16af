"""A drive that tests itself, behind the port to programs: a smartctl that knows its state by a clock.

It answers as smartctl 7.4 does for an ATA drive; what it is asked that it does not know is an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rasura_agent.inventory.ports import CommandError, Ran
from simulators.world import ManualClock


@dataclass
class SelfTestingDrive:
    """``takes_s`` is how long a test runs; ``fails`` whether it finds something; the rest are quirks."""

    clock: ManualClock
    takes_s: float = 120.0
    fails: bool = False
    minutes: int | None = 2
    starts: bool = True
    stops: bool = True
    keeps_log: bool = True
    shows_running: bool = True
    silent_after_s: float | None = None
    """After so long of a test it answers nothing any more."""
    calls: list[tuple[str, ...]] = field(default_factory=list)
    began: float | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Stand in for ``Commands``."""
        del timeout_s
        self.calls.append(tuple(argv))
        self._settle()
        match list(argv):
            case ["smartctl", "--json=c", "-x", "/dev/sda"] | [
                "smartctl",
                "--json=c",
                "-d",
                "sat",
                "-x",
                "/dev/sda",
            ]:
                if self._is_silent:
                    raise CommandError("smartctl did not end within 60 s and was stopped")
                return Ran(0, json.dumps(self._document()).encode())
            case ["smartctl", "-d", "sat", "--all", "/dev/sda"]:
                return Ran(0, b"")
            case ["smartctl", "--json=c", "-d", "sat", "-t", "short" | "long" | "conveyance", "/dev/sda"]:
                return self._start()
            case ["smartctl", "--json=c", "-d", "sat", "-X", "/dev/sda"]:
                if self.began is not None and self.stops:
                    self._log("Aborted by host", None)
                return Ran(0, b"{}")
        raise AssertionError(f"no answer to {argv}")

    @property
    def _is_silent(self) -> bool:
        return (
            self.silent_after_s is not None
            and self.began is not None
            and self.clock.monotonic() - self.began > self.silent_after_s
        )

    def _start(self) -> Ran:
        if not self.starts:
            said = {"smartctl": {"messages": [{"string": "Self-test not supported"}], "exit_status": 4}}
            return Ran(4, json.dumps(said).encode())
        self.began = self.clock.monotonic()
        return Ran(0, b"{}")

    def _settle(self) -> None:
        if self.began is None or self._is_silent or self.clock.monotonic() - self.began < self.takes_s:
            return
        if self.fails:
            self._log("Completed: read failure", False)
        else:
            self._log("Completed without error", True)

    def _log(self, status: str, passed: bool | None) -> None:
        self.began = None
        row: dict[str, Any] = {"type": {"string": "Short offline"}, "status": {"string": status}}
        row["lifetime_hours"] = 100
        if passed is not None:
            row["status"]["passed"] = passed
        self.log = [row, *self.log][:21]

    def _document(self) -> dict[str, Any]:
        running = self.began is not None and self.shows_running
        status: dict[str, Any] = {"value": 0, "string": "completed without error"}
        if self.log and self.log[0]["status"].get("passed") is False:
            status = {"value": 0x70, "string": "completed with a read failure"}
        if running and self.began is not None:
            left = 100 - int(100 * (self.clock.monotonic() - self.began) / self.takes_s)
            status = {"value": 0xF0 | left // 10, "string": "in progress", "remaining_percent": left}
        document: dict[str, Any] = {
            "smartctl": {"version": [7, 4], "exit_status": 0},
            "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
            "serial_number": "S-1",
            "smart_status": {"passed": True},
            "ata_smart_data": {"self_test": {"status": status}},
        }
        if self.minutes is not None:
            document["ata_smart_data"]["self_test"]["polling_minutes"] = {"short": self.minutes}
        if self.keeps_log:
            document["ata_smart_self_test_log"] = {"standard": {"table": self.log}}
        return document


_NVME_CODES = {"short": (1, "Short"), "long": (2, "Extended")}


@dataclass
class SelfTestingNvme:
    """The same of an NVMe drive: asked through its controller, it keeps its log newest first, with gaps.

    smartctl 7.4 tells neither how long a test takes nor, beside the log, how the last one ended.
    """

    clock: ManualClock
    takes_s: float = 120.0
    fails: bool = False
    starts: bool = True
    stops: bool = True
    calls: list[tuple[str, ...]] = field(default_factory=list)
    running: tuple[str, float] | None = None
    """Which test since when."""
    log: list[dict[str, Any]] = field(default_factory=list)

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Stand in for ``Commands``."""
        del timeout_s
        self.calls.append(tuple(argv))
        if self.running is not None and self.clock.monotonic() - self.running[1] >= self.takes_s:
            self._end(*((7, "Completed: failed segments") if self.fails else (0, "Completed without error")))
        match list(argv):
            case ["smartctl", "--json=c", "-x", "/dev/nvme0"] | [
                "smartctl",
                "--json=c",
                "-d",
                "nvme",
                "-x",
                "/dev/nvme0",
            ]:
                return Ran(0, json.dumps(self._document()).encode())
            case ["smartctl", "-d", "nvme", "--all", "/dev/nvme0"]:
                return Ran(0, b"")
            case ["smartctl", "--json=c", "-d", "nvme", "-t", "short" | "long" as kind, "/dev/nvme0"]:
                if not self.starts or self.running is not None:
                    return _refused("NVMe Self-test cmd with type=0x1 failed: Self-test in Progress")
                self.running = (kind, self.clock.monotonic())
                return Ran(0, b"{}")
            case ["smartctl", "--json=c", "-d", "nvme", "-t", "conveyance", "/dev/nvme0"]:
                return _refused("Conveyance self-test not supported by NVMe", 1)
            case ["smartctl", "--json=c", "-d", "nvme", "-X", "/dev/nvme0"]:
                if self.running is not None and self.stops:
                    self._end(1, "Aborted: Self-test command")
                return Ran(0, b"{}")
        raise AssertionError(f"no answer to {argv}")

    def _end(self, result: int, text: str) -> None:
        assert self.running is not None
        code, name = _NVME_CODES[self.running[0]]
        row: dict[str, Any] = {
            "self_test_code": {"value": code, "string": name},
            "self_test_result": {"value": result, "string": text},
            "power_on_hours": 100,
        }
        self.log, self.running = [row, *self.log][:20], None

    def _document(self) -> dict[str, Any]:
        log: dict[str, Any] = {
            "nsid": -1,
            "current_self_test_operation": {"value": 0, "string": "No self-test in progress"},
        }
        if self.running is not None:
            code, name = _NVME_CODES[self.running[0]]
            done = int(100 * (self.clock.monotonic() - self.running[1]) / self.takes_s)
            log["current_self_test_operation"] = {"value": code, "string": f"{name} self-test in progress"}
            log["current_self_test_completion_percent"] = min(done, 100)
        if self.log:
            log["table"] = [self.log[0], None, *self.log[1:]]
        return {
            "smartctl": {"version": [7, 4], "exit_status": 0},
            "device": {"name": "/dev/nvme0", "type": "nvme", "protocol": "NVMe"},
            "serial_number": "S-1",
            "smart_status": {"passed": True},
            "nvme_smart_health_information_log": {"critical_warning": 0, "media_errors": 0},
            "nvme_self_test_log": log,
        }


def _refused(sentence: str, status: int = 4) -> Ran:
    said = {"smartctl": {"messages": [{"string": sentence}], "exit_status": status}}
    return Ran(status, json.dumps(said).encode())
