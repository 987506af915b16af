"""What is asked of the system, and the journal in two places."""

from __future__ import annotations

from pathlib import Path

import pytest

from rasura_agent.erase.firmware.line import Intent
from rasura_agent.journal import FileJournal
from rasura_agent.live.boot_parameters import End
from rasura_agent.live.host import HostError, end_machine, network_ports
from rasura_agent.live.journals import LiveJournal
from rasura_agent.live.log import log_to_stick, start_log

INTENT = Intent("a" * 64, "ata-security-erase")


def test_the_end_is_asked_for(tmp_path: Path) -> None:
    script = tmp_path / "systemctl"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    script.chmod(0o755)
    end_machine(str(script), End.REBOOT)
    assert (tmp_path / "asked").read_text() == "reboot\n"


@pytest.mark.parametrize("command", ["/does/not/exist", "false"])
def test_a_system_that_does_not_obey(command: str) -> None:
    with pytest.raises(HostError, match="power button"):
        end_machine(command, End.POWEROFF)


def test_only_ports_with_hardware_count(tmp_path: Path) -> None:
    assert network_ports(tmp_path) == ()


def test_an_intent_of_memory_is_found_and_settled_once_there_is_a_stick(tmp_path: Path) -> None:
    stick: list[Path | None] = [None]
    journal = LiveJournal(tmp_path / "memory", lambda: stick[0])
    journal.intend(INTENT)
    stick[0] = tmp_path / "stick"
    assert journal.open_intents(INTENT.drive_identity) == (INTENT,)
    journal.intend(INTENT)
    assert FileJournal(tmp_path / "stick").open_intents(INTENT.drive_identity) == (INTENT,)
    assert journal.open_intents(INTENT.drive_identity) == (INTENT,)
    journal.settle(INTENT)
    assert journal.open_intents(INTENT.drive_identity) == ()
    stick[0] = None
    assert journal.open_intents(INTENT.drive_identity) == ()


def test_the_log_follows_the_stick(tmp_path: Path) -> None:
    logger = start_log(tmp_path)
    try:
        stick = tmp_path / "stick"
        stick.mkdir()
        logger.info("first")
        log_to_stick(logger, stick)
        logger.info("second")
        log_to_stick(logger, None)
        logger.info("third")
        log_to_stick(logger, tmp_path / "gone")
        memory = (tmp_path / "run/rasura/log/agent.log").read_text()
        assert [word in memory for word in ("first", "second", "third")] == [True] * 3
        kept = (stick / "logs/agent.log").read_text()
        assert [word in kept for word in ("first", "second", "third")] == [False, True, False]
    finally:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
