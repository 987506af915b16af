"""Which line a drive's own commands go through, by how it is attached."""

from __future__ import annotations

from dataclasses import dataclass

from rasura_agent.drive.port import DrivePort
from rasura_agent.drive.transport.nvme_ioctl import NvmeIoctlTransport
from rasura_agent.drive.transport.sg_io import SgIoTransport
from rasura_agent.inventory.model import Drive, Transport

__all__ = ["DeviceLine", "device_line"]

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


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """A line for the drive's own commands; ``nsid`` is the namespace behind it, for NVMe."""

    port: DrivePort
    nsid: int | None = None


def device_line(drive: Drive, descriptor: int) -> DeviceLine | str:
    """The line over an open block device, which stays the caller's; a string says why there is none."""
    if drive.transport in _SG_IO:
        return DeviceLine(SgIoTransport(descriptor))
    if drive.transport is not Transport.NVME:
        return "drives that are attached like this are only overwritten"
    port = NvmeIoctlTransport(descriptor)
    try:
        nsid = port.namespace_id()
    except OSError as error:
        return f"the kernel does not tell its namespace: {error.strerror}"
    return DeviceLine(port, nsid) if nsid else "the kernel does not tell its namespace"
