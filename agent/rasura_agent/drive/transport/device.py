"""Which line a drive's own commands go through, by how it is attached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from rasura.errors import RasuraError
from rasura_agent.drive.port import DrivePort
from rasura_agent.drive.transport.block import open_for_questions
from rasura_agent.drive.transport.mmc_ioctl import MmcIoctlTransport
from rasura_agent.drive.transport.nvme_ioctl import NvmeIoctlTransport
from rasura_agent.drive.transport.sg_io import SgIoTransport
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = ["AskingLine", "DeviceLine", "asking_line", "device_line"]

_SG_IO = frozenset(
    {
        Transport.ATA,
        Transport.SATA,
        Transport.SCSI,
        Transport.SAS,
        Transport.FC,
        Transport.ISCSI,
        Transport.USB,
    }
)
_MMC_AREAS = ("boot0", "boot1", "gp0", "gp1", "gp2", "gp3")
"""Hardware partitions of an eMMC, as Linux appends them to its name."""


class DeviceLine(msgspec.Struct, frozen=True):
    """A line for the drive's own commands.

    ``nsid`` is the namespace behind it, for NVMe. ``cid`` and ``areas`` (ports by the kernel's suffix)
    are an eMMC's. The drive's own descriptor stays the caller's; :meth:`close` lets go of the others.
    """

    port: DrivePort
    nsid: int | None = None
    cid: str | None = None
    areas: Mapping[str, DrivePort] = msgspec.field(default_factory=dict)
    descriptors: tuple[int, ...] = ()

    def close(self) -> None:
        """Close what was opened beside the drive itself."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def device_line(drive: Drive, descriptor: int) -> DeviceLine | str:
    """The line over an open block device; a string says why there is none."""
    if drive.transport in _SG_IO:
        return DeviceLine(SgIoTransport(descriptor))
    if drive.transport is Transport.NVME:
        return _nvme(descriptor)
    if drive.transport is Transport.MMC:
        return _mmc(drive, descriptor)
    return Sentence("drives that are attached like this are only overwritten")


AskingLine = Callable[[Drive], AbstractContextManager[DeviceLine | str]]
"""Opens the line to a drive for questions only, for as long as the context lasts."""


@contextmanager
def asking_line(drive: Drive) -> Iterator[DeviceLine | str]:
    """The line to a drive of this machine, to ask it what it can do; a string says why there is none."""
    try:
        descriptor = open_for_questions(drive.path)
    except RasuraError as error:
        yield str(error)
        return
    try:
        device = device_line(drive, descriptor)
        try:
            yield device
        finally:
            if isinstance(device, DeviceLine):
                device.close()
    finally:
        os.close(descriptor)


def _nvme(descriptor: int) -> DeviceLine | str:
    port = NvmeIoctlTransport(descriptor)
    try:
        nsid = port.namespace_id()
    except OSError as error:
        return Sentence("the kernel does not tell its namespace: {reason}", reason=error.strerror)
    return DeviceLine(port, nsid) if nsid else Sentence("the kernel does not tell its namespace")


def _mmc(drive: Drive, descriptor: int) -> DeviceLine | str:
    if drive.device_number is None:
        return Sentence("the kernel does not list it")
    major, minor = drive.device_number
    folder = Path(f"/sys/dev/block/{major}:{minor}/device")
    try:
        kind, cid = (folder / "type").read_text().strip(), (folder / "cid").read_text().strip()
    except OSError as error:
        return Sentence("the kernel does not tell its registers: {reason}", reason=error.strerror)
    if kind != "MMC":
        return Sentence("a memory card has no erase commands of its own that could be believed")
    areas: dict[str, DrivePort] = {}
    descriptors = []
    for suffix in _MMC_AREAS:
        path = f"{drive.path}{suffix}"
        if Path(path).exists():
            try:
                descriptors.append(open_for_questions(path))
            except RasuraError:
                continue
            areas[suffix] = MmcIoctlTransport(descriptors[-1])
    return DeviceLine(MmcIoctlTransport(descriptor), cid=cid, areas=areas, descriptors=tuple(descriptors))
