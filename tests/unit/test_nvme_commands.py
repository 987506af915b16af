"""NVMe command encoders against dwords worked out by hand from the specification's figures."""

from typing import Any

import pytest

from rasura.errors import UsageError
from rasura_agent.drive.nvme.fields import BROADCAST_NSID
from rasura_agent.drive.nvme.format import (
    FormatScope,
    SecureEraseSettings,
    format_keeping,
    format_nvm,
    format_scope,
    format_timeout_s,
)
from rasura_agent.drive.nvme.identify import (
    FormatNvmAttributes,
    identify_controller,
    identify_namespace,
    list_active_namespaces,
    list_allocated_namespaces,
    list_namespace_controllers,
    list_namespace_descriptors,
)
from rasura_agent.drive.nvme.identify_namespace import decode_identify_namespace
from rasura_agent.drive.nvme.logs import LogPage, get_log_page, smart_status
from rasura_agent.drive.nvme.sanitize import (
    exit_failure_mode,
    exit_media_verification,
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_overwrite,
)
from rasura_agent.drive.nvme.sanitize_log import sanitize_status
from rasura_agent.drive.nvme.security import security_receive, security_send
from rasura_agent.drive.port import NvmeCommand

NONE, USER, CRYPTO = SecureEraseSettings


def _dwords(command: NvmeCommand) -> tuple[int, int, int, int]:
    return command.opcode, command.nsid, command.cdw10, command.cdw11


@pytest.mark.parametrize(
    ("command", "dwords"),
    [
        (identify_controller(), (0x06, 0, 0x01, 0)),
        (identify_namespace(7), (0x06, 7, 0x00, 0)),
        (list_active_namespaces(), (0x06, 0, 0x02, 0)),
        (list_active_namespaces(1024), (0x06, 1024, 0x02, 0)),
        (list_namespace_descriptors(1), (0x06, 1, 0x03, 0)),
        (list_allocated_namespaces(), (0x06, 0, 0x10, 0)),
        (list_namespace_controllers(2), (0x06, 2, 0x12, 0)),
        # 512 bytes are 128 dwords, and NUMD counts from zero: 7Fh.
        (smart_status(), (0x02, BROADCAST_NSID, 0x007F0002, 0)),
        (sanitize_status(), (0x02, BROADCAST_NSID, 0x007F0081, 0)),
        (get_log_page(LogPage.ERROR_INFORMATION, 4 << 16), (0x02, BROADCAST_NSID, 0xFFFF0001, 0)),
        (get_log_page(LogPage.ERROR_INFORMATION, (4 << 16) + 4), (0x02, BROADCAST_NSID, 0x00000001, 1)),
        (security_receive(0x01, 0x0001, 512), (0x82, 0, 0x01000100, 512)),
        (security_send(0x02, 0x0004, b"\1" * 512), (0x81, 0, 0x02000400, 512)),
    ],
)
def test_reading_commands(command: NvmeCommand, dwords: tuple[int, int, int, int]) -> None:
    assert _dwords(command) == dwords


def test_log_page_offset_is_split_in_two_dwords() -> None:
    command = get_log_page(LogPage.SMART, 8, offset=0x1_0000_0004)
    assert (command.cdw12, command.cdw13, command.data_in_bytes) == (4, 1, 8)


@pytest.mark.parametrize(
    ("command", "cdw10", "cdw11"),
    [
        (sanitize_block_erase(ause=False), 0b010, 0),
        (sanitize_block_erase(ause=True), 0b1010, 0),
        (sanitize_block_erase(ause=False, emvs=True), 0b100_0000_0010, 0),
        (sanitize_crypto_erase(ause=False), 0b100, 0),
        (sanitize_crypto_erase(ause=True, nodas=True), 0b10_0000_1100, 0),
        (sanitize_overwrite(passes=1, pattern=0, invert=False, ause=False), 0x13, 0),
        (sanitize_overwrite(passes=15, pattern=1, invert=False, ause=False), 0xF3, 1),
        (sanitize_overwrite(passes=3, pattern=0xDEADBEEF, invert=True, ause=True), 0x13B, 0xDEADBEEF),
        # OWPASS 0 stands for sixteen.
        (sanitize_overwrite(passes=16, pattern=0, invert=False, ause=False), 0x03, 0),
        (exit_failure_mode(), 0b001, 0),
        (exit_media_verification(), 0b101, 0),
    ],
)
def test_sanitize(command: NvmeCommand, cdw10: int, cdw11: int) -> None:
    # The whole NVM subsystem: no namespace.
    assert _dwords(command) == (0x84, 0, cdw10, cdw11)


@pytest.mark.parametrize("passes", [0, -1, 17, 32])
def test_pass_counts_that_cannot_be_meant_are_refused(passes: int) -> None:
    with pytest.raises(UsageError, match="1 to 16 passes"):
        sanitize_overwrite(passes=passes, pattern=0, invert=False, ause=False)


def test_sanitize_arguments_the_controller_must_refuse() -> None:
    with pytest.raises(UsageError):
        sanitize_overwrite(passes=1, pattern=1 << 32, invert=False, ause=False)
    with pytest.raises(UsageError):
        sanitize_block_erase(ause=False, nodas=True, emvs=True)
    with pytest.raises(UsageError):
        sanitize_crypto_erase(ause=False, nodas=True, emvs=True)


@pytest.mark.parametrize(
    ("arguments", "cdw10"),
    [
        ({"ses": USER, "lbaf": 0, "mset": False, "pi": 0, "pil": False}, 0x200),
        ({"ses": CRYPTO, "lbaf": 0, "mset": False, "pi": 0, "pil": False}, 0x400),
        ({"ses": NONE, "lbaf": 1, "mset": False, "pi": 0, "pil": False}, 0x001),
        ({"ses": USER, "lbaf": 3, "mset": True, "pi": 2, "pil": True}, 0x353),
        ({"ses": USER, "lbaf": 0x2A, "mset": False, "pi": 0, "pil": False}, 0x220A),
        ({"ses": CRYPTO, "lbaf": 63, "mset": True, "pi": 3, "pil": True}, 0b11_010_1_011_1_1111),
    ],
)
def test_format(arguments: dict[str, Any], cdw10: int) -> None:
    assert _dwords(format_nvm(5, **arguments, timeout_s=1)) == (0x80, 5, cdw10, 0)


def test_secure_erase_setting_has_no_default() -> None:
    encode: Any = format_nvm
    with pytest.raises(TypeError, match="ses"):
        encode(1, lbaf=0, mset=False, pi=0, pil=False, timeout_s=1)


@pytest.mark.parametrize(
    ("nsid", "lbaf", "pi"), [(0, 0, 0), (1 << 32, 0, 0), (1, 64, 0), (1, -1, 0), (1, 0, 4)]
)
def test_format_arguments_that_do_not_fit(nsid: int, lbaf: int, pi: int) -> None:
    with pytest.raises(UsageError):
        format_nvm(nsid, ses=USER, lbaf=lbaf, mset=False, pi=pi, pil=False, timeout_s=1)


def test_format_keeps_the_format_in_use() -> None:
    page = bytearray(4096)
    page[0:8] = (1000).to_bytes(8, "little")
    page[25] = 19  # twenty formats, so that FLBAS bits 6:5 count
    page[26] = 0b0_01_1_0010  # format 18, extended metadata
    page[29] = 0b1010  # type 2 protection in the first bytes
    page[128 + 4 * 18 : 132 + 4 * 18] = bytes([8, 0, 12, 0])
    namespace = decode_identify_namespace(bytes(page))
    assert namespace is not None
    command = format_keeping(1, namespace, ses=CRYPTO, timeout_s=9.0)
    assert command.cdw10 == 1 << 12 | 2 << 9 | 1 << 8 | 2 << 5 | 1 << 4 | 2
    assert command.timeout_s == 9.0


@pytest.mark.parametrize("fns", [False, True])
@pytest.mark.parametrize("sens", [False, True])
@pytest.mark.parametrize("ses", list(SecureEraseSettings))
def test_format_scope_follows_figure_188(fns: bool, sens: bool, ses: SecureEraseSettings) -> None:
    fna = FormatNvmAttributes(fns << 0 | sens << 1)
    everything = fns if ses is NONE else sens
    one, broadcast = format_scope(fna, ses=ses, nsid=3), format_scope(fna, ses=ses, nsid=BROADCAST_NSID)
    assert one is (FormatScope.ALL_NAMESPACES if everything else FormatScope.ONE_NAMESPACE)
    assert broadcast is (FormatScope.ALL_NAMESPACES if everything else FormatScope.ATTACHED_NAMESPACES)
    refusing = fna | FormatNvmAttributes.BROADCAST_REFUSED
    assert format_scope(refusing, ses=ses, nsid=BROADCAST_NSID) is None
    assert format_scope(refusing, ses=ses, nsid=3) is one


def test_format_timeout_grows_with_what_is_overwritten() -> None:
    terabyte = 10**12
    assert format_timeout_s(USER, terabyte) > terabyte / (60 * 1024 * 1024)
    assert (
        format_timeout_s(CRYPTO, terabyte) == format_timeout_s(CRYPTO, 0) < format_timeout_s(USER, terabyte)
    )


@pytest.mark.parametrize("nsid", [0, -1, 0xFFFFFFFF, 1 << 32])
def test_a_single_namespace_must_be_named(nsid: int) -> None:
    for encode in (identify_namespace, list_namespace_descriptors, list_namespace_controllers):
        with pytest.raises(UsageError):
            encode(nsid)


@pytest.mark.parametrize("after", [-1, 1 << 32])
def test_list_starts_that_do_not_fit(after: int) -> None:
    with pytest.raises(UsageError):
        list_active_namespaces(after)


@pytest.mark.parametrize(("length", "offset"), [(0, 0), (3, 0), (-4, 0), (4, 2), (4, -4), (4, 1 << 64)])
def test_log_page_parts_that_do_not_fit(length: int, offset: int) -> None:
    with pytest.raises(UsageError):
        get_log_page(LogPage.SMART, length, offset=offset)


@pytest.mark.parametrize(
    ("protocol", "specific", "length"), [(256, 0, 1), (0, 65536, 1), (0, 0, 0), (-1, 0, 1)]
)
def test_security_fields_that_do_not_fit(protocol: int, specific: int, length: int) -> None:
    with pytest.raises(UsageError):
        security_receive(protocol, specific, length)
