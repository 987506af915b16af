"""Our NVMe commands, through our transport, to a simulated controller that knows nothing of them."""

import ctypes
import struct

import pytest

from rasura_agent.drive.nvme.format import SecureEraseSettings, format_keeping
from rasura_agent.drive.nvme.identify import (
    decode_identify_controller,
    identify_controller,
    identify_namespace,
    list_active_namespaces,
    list_namespace_descriptors,
)
from rasura_agent.drive.nvme.identify_namespace import (
    decode_identify_namespace,
    decode_namespace_descriptors,
    decode_namespace_list,
)
from rasura_agent.drive.nvme.logs import decode_smart_log, smart_status
from rasura_agent.drive.nvme.sanitize import (
    SanitizeAction,
    exit_failure_mode,
    exit_media_verification,
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_overwrite,
)
from rasura_agent.drive.nvme.sanitize_log import (
    SanitizeLog,
    SanitizeState,
    decode_sanitize_log,
    sanitize_status,
)
from rasura_agent.drive.port import Disposition, NvmeCommand
from rasura_agent.drive.tcg.discovery import nvme_discovery
from rasura_agent.drive.transport.nvme_ioctl import NvmeIoctlTransport
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_types import NvmeOptions
from simulators.world import ManualClock, Medium

LAYOUT = struct.Struct("<BBHIIIQQIIIIIIIIII")
SECRET = b"somebody's data, to be gone"


class Drive:
    """A simulated subsystem behind the pass-through structure of the kernel."""

    def __init__(self, options: NvmeOptions | None = None) -> None:
        medium = Medium(512, 64)
        medium.write(5, SECRET.ljust(512, b"\0"))
        self.subsystem = SimulatedNvmeSubsystem(ManualClock(), [medium], options)
        self.port = NvmeIoctlTransport(3, self._ioctl, self.subsystem.clock.monotonic)

    def _ioctl(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        assert isinstance(argument, bytearray)
        opcode, _, _, nsid, _, _, _, address, _, length, *dwords, _, _ = LAYOUT.unpack(argument)
        outbound = opcode & 0b11 == 0b01
        sent = ctypes.string_at(address, length) if outbound and length else b""
        status, result, data = self.subsystem.admin(0, opcode, nsid, *dwords, sent, 0 if outbound else length)
        ctypes.memmove(address, data, len(data))
        argument[-4:] = result.to_bytes(4, "little")
        return status

    def read(self, command: NvmeCommand) -> bytes:
        completion = self.port.execute(command)
        assert completion.disposition is Disposition.DONE, completion.detail
        return completion.data

    @property
    def log(self) -> SanitizeLog:
        return decode_sanitize_log(self.read(sanitize_status()))

    def wait(self, seconds: float) -> None:
        self.subsystem.wait_until(self.subsystem.clock.monotonic() + seconds)


def test_identify() -> None:
    drive = Drive()
    controller = decode_identify_controller(drive.read(identify_controller()))
    assert (controller.model, controller.serial, controller.firmware) == (
        "RASURA SIMULATED NVME",
        "SIM0001",
        "1.0",
    )
    assert controller.sanicap.raw == drive.subsystem.options.sanicap
    (nsid,) = decode_namespace_list(drive.read(list_active_namespaces()))
    namespace = decode_identify_namespace(drive.read(identify_namespace(nsid)))
    assert namespace is not None
    assert (namespace.nsze, namespace.sector_bytes, len(namespace.lba_formats)) == (64, 512, 2)
    names = decode_namespace_descriptors(drive.read(list_namespace_descriptors(nsid)))
    assert (names.eui64, names.nguid) == (namespace.eui64, namespace.nguid)
    decode_smart_log(drive.read(smart_status()))


@pytest.mark.parametrize(
    "ses", [SecureEraseSettings.USER_DATA_ERASE, SecureEraseSettings.CRYPTOGRAPHIC_ERASE]
)
def test_format(ses: SecureEraseSettings) -> None:
    drive = Drive()
    namespace = decode_identify_namespace(drive.read(identify_namespace(1)))
    assert namespace is not None
    assert drive.subsystem.holds(SECRET)
    completion = drive.port.execute(format_keeping(1, namespace, ses=ses, timeout_s=60))
    assert completion.disposition is Disposition.DONE
    assert not drive.subsystem.holds(SECRET)
    assert decode_identify_namespace(drive.read(identify_namespace(1))) is not None


SANITIZES = {
    SanitizeAction.BLOCK_ERASE: sanitize_block_erase(ause=False),
    SanitizeAction.CRYPTO_ERASE: sanitize_crypto_erase(ause=False),
    SanitizeAction.OVERWRITE: sanitize_overwrite(passes=16, pattern=0xA5A5A5A5, invert=True, ause=False),
}


@pytest.mark.parametrize("action", SANITIZES)
def test_sanitize_from_start_to_end(action: SanitizeAction) -> None:
    drive, command = Drive(), SANITIZES[action]
    assert drive.log.state is SanitizeState.NEVER
    estimate = drive.log.estimate_s(action, passes=16)
    assert estimate
    assert drive.port.execute(command).disposition is Disposition.DONE
    drive.wait(estimate / 2)
    log = drive.log
    assert (log.state, log.is_of(command)) == (SanitizeState.IN_PROGRESS, True)
    assert log.progress is not None
    assert 0.4 < log.progress / 65536 < 0.6
    # While it runs, a second one is not accepted, and that is no reason to try something else.
    assert drive.port.execute(command).disposition is Disposition.UNKNOWN
    drive.wait(estimate / 2 + 1)
    assert drive.log.state is SanitizeState.SUCCEEDED
    assert drive.log.global_data_erased
    assert not drive.subsystem.holds(SECRET)


@pytest.mark.parametrize("ause", [False, True])
def test_a_failed_sanitize(ause: bool) -> None:
    drive = Drive()
    drive.subsystem.faults.sanitize_fails_at = 0.5
    drive.port.execute(sanitize_block_erase(ause=ause))
    drive.wait(1000)
    assert drive.log.state is (SanitizeState.FAILED_UNRESTRICTED if ause else SanitizeState.FAILED_RESTRICTED)
    assert not drive.log.succeeded
    left = drive.port.execute(exit_failure_mode())
    assert (left.disposition is Disposition.DONE) == ause
    assert not drive.log.succeeded


def test_media_verification() -> None:
    drive = Drive(NvmeOptions(sanicap=0x4000_000F))
    drive.port.execute(sanitize_block_erase(ause=False, emvs=True))
    drive.wait(1000)
    log = drive.log
    assert (log.state, log.succeeded, log.progress) == (SanitizeState.MEDIA_VERIFICATION, False, None)
    assert drive.port.execute(exit_media_verification()).disposition is Disposition.DONE
    assert drive.log.state is SanitizeState.POST_VERIFICATION_DEALLOCATION
    drive.wait(1000)
    assert drive.log.state is SanitizeState.SUCCEEDED


def test_a_controller_without_sanitize_refuses_it() -> None:
    drive = Drive(NvmeOptions(sanicap=0))
    assert drive.port.execute(sanitize_crypto_erase(ause=False)).disposition is Disposition.REFUSED


def test_a_drive_without_tcg_has_no_discovery() -> None:
    completion = Drive().port.execute(nvme_discovery())
    assert completion.disposition in {Disposition.DONE, Disposition.REFUSED}
