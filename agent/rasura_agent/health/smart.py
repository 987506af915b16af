"""Asking drives for their health: smartctl run twice for each, all drives at the same time.

Whatever smartctl does (hang, be missing, print garbage, fail with data) is a stated result of that
one drive, never an exception.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from rasura_agent.health.agree import agree
from rasura_agent.health.document import Document, parse_document
from rasura_agent.health.model import Health, HealthEvidence, HealthReading
from rasura_agent.health.smartctl import Answer, ExitStatus, ask
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.ports import Commands

__all__ = ["LIMIT_S", "Target", "at_once", "controller_of", "read_all", "read_health", "target_of"]

_Asked = TypeVar("_Asked")

LIMIT_S = 60.0
"""For one run. A disk that sleeps takes up to 30 s to spin up before it answers."""

_NAMESPACE = re.compile(r"(/dev/nvme\d+)(c\d+)?n\d+")
_UNASKED = {
    Transport.FILE: "this is no physical drive",
    Transport.LOOP: "this is no physical drive",
    Transport.VIRTIO: "this is no physical drive",
    Transport.MMC: "smartctl cannot ask SD cards and eMMC",
    Transport.ISCSI: "what is behind iSCSI does not tell the health of its drives",
}


class Target(msgspec.Struct, frozen=True):
    """How smartctl is to reach a drive: ``path``, and its ``-d`` type where it cannot find it out itself.

    ``serial`` is that of the drive which is meant; ``unasked`` says why it is not asked at all.
    """

    path: str
    kind: str | None = None
    serial: str | None = None
    unasked: str | None = None
    is_bridged: bool = False
    """A USB bridge stands before it, which may have a serial of its own."""


def target_of(drive: Drive) -> Target:
    """How to ask a drive of the inventory."""
    bridged = drive.transport is Transport.USB
    unasked = _UNASKED.get(drive.transport) if drive.transport is not None else None
    return Target(controller_of(drive.path), None, drive.serial, unasked, bridged)


def controller_of(path: str) -> str:
    """An NVMe drive is asked through its controller.

    Some drives refuse the self-test log through a namespace, and log that for ever (smartmontools
    issue 217).
    """
    match = _NAMESPACE.fullmatch(path)
    return match[1] if match else path


def read_all(
    targets: Sequence[Target], commands: Commands, limit_s: float = LIMIT_S
) -> tuple[HealthReading, ...]:
    """Ask all drives at once: it takes as long as the slowest; in the order of ``targets``."""
    return at_once(lambda target: read_health(target, commands, limit_s), targets)


def at_once(read: Callable[[_Asked], HealthReading], asked: Sequence[_Asked]) -> tuple[HealthReading, ...]:
    """``read`` each, all at the same time; in their order."""
    if not asked:
        return ()
    with ThreadPoolExecutor(len(asked), thread_name_prefix="health") as pool:
        return tuple(pool.map(read, asked))


def read_health(target: Target, commands: Commands, limit_s: float = LIMIT_S) -> HealthReading:
    """Ask one drive. Never raises."""
    if target.unasked is not None:
        return HealthReading(target.path, None, target.unasked)
    command, answer = _ask(target, commands, limit_s)
    if _bridge_unknown(answer) and target.kind is None:
        # What most bridges understand all the same (smartctl(8), -d sat).
        command, answer = _ask(Target(target.path, "sat"), commands, limit_s)
    if answer.problem is not None:
        return HealthReading(target.path, None, answer.problem)
    document = parse_document(answer.output)
    if isinstance(document, str):
        return HealthReading(target.path, None, f"{document} (exit status {answer.status.value})")
    evidence = HealthEvidence(
        command=("smartctl", *command),
        exit_status=answer.status.value,
        document=answer.output,
        sha256=hashlib.sha256(answer.output).hexdigest(),
        tool=f"smartctl {document.version or 'of unknown version'}",
    )
    notes = [f"smartctl: {message}" for message in document.messages]
    health = document.health
    if health is None or not document.has_figures:
        return HealthReading(target.path, None, _nothing(document, answer.status), tuple(notes), evidence)
    if answer.status & ExitStatus.COMMAND_FAILED:
        notes.append("some of smartctl's commands failed, or a checksum of the drive is wrong")
    wrong = _another(target, health)
    if wrong is not None and not target.is_bridged:
        return HealthReading(target.path, None, wrong, tuple(notes), evidence)
    notes += [wrong] if wrong is not None else []
    health, more = _with_text(target.path, document.kind, health, commands, limit_s)
    return HealthReading(target.path, health, None, (*notes, *more), evidence, document.kind)


def _ask(target: Target, commands: Commands, limit_s: float) -> tuple[tuple[str, ...], Answer]:
    kind = ("-d", target.kind) if target.kind is not None else ()
    command = ("--json=c", *kind, "-x", target.path)
    return command, ask(commands, command, limit_s)


def _bridge_unknown(answer: Answer) -> bool:
    return bool(answer.status & ExitStatus.COMMAND_LINE) and b"Unknown USB bridge" in answer.output


def _nothing(document: Document, status: ExitStatus) -> str:
    if status.is_without_data:
        return "smartctl cannot ask this drive"
    if document.smart_available is False:
        return "the drive has no SMART"
    if document.smart_enabled is False:
        return "the drive's SMART is switched off"
    return "the drive told nothing of its health"


def _another(target: Target, health: Health) -> str | None:
    """A name such as sda may have gone to another drive meanwhile."""
    if target.serial is None or health.serial is None:
        return None
    ours, theirs = (_letters(text) for text in (target.serial, health.serial))
    if ours == theirs or ours.startswith(theirs) or theirs.startswith(ours):
        return None
    return f"smartctl asked the drive with serial {health.serial}, not {target.serial}"


def _letters(serial: str) -> str:
    return "".join(serial.split()).upper()


def _with_text(
    path: str, kind: str | None, health: Health, commands: Commands, limit_s: float
) -> tuple[Health, tuple[str, ...]]:
    answer = ask(commands, (*(("-d", kind) if kind is not None else ()), "--all", path), limit_s)
    if answer.problem is not None:
        return health, (f"only the JSON document was read: {answer.problem}",)
    from rasura_agent.health.text import read_text  # noqa: PLC0415  pySMART: no screen waits for it

    text = read_text(answer.output, path, health.protocol)
    if isinstance(text, str):
        return health, (f"only the JSON document was read: {text}",)
    return agree(text, health)
