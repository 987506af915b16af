"""NVMe codecs: what is encoded decodes to itself, and no bytes at all break a decoder."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.format import SecureEraseSettings, format_keeping, format_nvm
from rasura_agent.drive.nvme.identify import decode_identify_controller
from rasura_agent.drive.nvme.identify_namespace import (
    decode_controller_list,
    decode_identify_namespace,
    decode_namespace_descriptors,
    decode_namespace_list,
)
from rasura_agent.drive.nvme.logs import LogPage, decode_smart_log, get_log_page
from rasura_agent.drive.nvme.sanitize import sanitize_block_erase, sanitize_crypto_erase, sanitize_overwrite
from rasura_agent.drive.nvme.sanitize_log import SanitizeState, decode_sanitize_log
from rasura_agent.drive.port import NvmeCommand

DECODERS: list[tuple[Callable[[bytes], object], int]] = [
    (decode_identify_controller, 4096),
    (decode_identify_namespace, 4096),
    (decode_namespace_list, 4096),
    (decode_controller_list, 4096),
    (decode_namespace_descriptors, 4096),
    (decode_sanitize_log, 512),
    (decode_smart_log, 512),
]


def _pages(length: int) -> st.SearchStrategy[bytes]:
    """Pages of that length with something in them here and there, or of one repeated byte."""
    spots = st.lists(
        st.tuples(st.integers(0, min(length, 600) - 1), st.binary(min_size=1, max_size=24)), max_size=8
    )
    return st.one_of(
        st.binary(max_size=64),
        st.builds(lambda byte: bytes([byte]) * length, st.integers(0, 255)),
        spots.map(lambda parts: _filled(length, parts)),
    )


def _filled(length: int, parts: list[tuple[int, bytes]]) -> bytes:
    page = bytearray(length)
    for offset, data in parts:
        page[offset : offset + len(data)] = data
    return bytes(page[:length])


@pytest.mark.parametrize(("decode", "length"), DECODERS)
@given(data=st.data())
def test_decoders_raise_only_their_own_error(
    decode: Callable[[bytes], object], length: int, data: st.DataObject
) -> None:
    page = data.draw(_pages(length))
    try:
        decode(page)
    except NvmeDecodeError:
        return
    assert len(page) == length


def _bits(value: int, high: int, low: int) -> int:
    return value >> low & (1 << high - low + 1) - 1


@given(passes=st.integers(1, 16), pattern=st.integers(0, 0xFFFFFFFF), flags=st.tuples(*[st.booleans()] * 3))
def test_overwrite_fields_do_not_touch_each_other(
    passes: int, pattern: int, flags: tuple[bool, bool, bool]
) -> None:
    invert, ause, nodas = flags
    command = sanitize_overwrite(passes=passes, pattern=pattern, invert=invert, ause=ause, nodas=nodas)
    cdw10 = command.cdw10
    assert _bits(cdw10, 2, 0) == 3
    assert _bits(cdw10, 3, 3) == ause
    assert (_bits(cdw10, 7, 4) or 16) == passes
    assert _bits(cdw10, 8, 8) == invert
    assert _bits(cdw10, 9, 9) == nodas
    assert cdw10 >> 10 == 0
    assert command.cdw11 == pattern


@given(
    nsid=st.integers(1, 0xFFFFFFFF),
    ses=st.sampled_from(SecureEraseSettings),
    lbaf=st.integers(0, 63),
    mset=st.booleans(),
    pi=st.integers(0, 3),
    pil=st.booleans(),
)
def test_format_fields_do_not_touch_each_other(
    nsid: int, ses: SecureEraseSettings, lbaf: int, mset: bool, pi: int, pil: bool
) -> None:
    cdw10 = format_nvm(nsid, ses=ses, lbaf=lbaf, mset=mset, pi=pi, pil=pil, timeout_s=1).cdw10
    assert _bits(cdw10, 13, 12) << 4 | _bits(cdw10, 3, 0) == lbaf
    assert (_bits(cdw10, 4, 4), _bits(cdw10, 7, 5), _bits(cdw10, 8, 8)) == (mset, pi, pil)
    assert _bits(cdw10, 11, 9) == ses
    assert cdw10 >> 14 == 0


@given(
    formats=st.integers(1, 64),
    index=st.integers(0, 63),
    extended=st.booleans(),
    pi=st.integers(0, 3),
    pil=st.booleans(),
    lbads=st.sampled_from([9, 12]),
)
def test_a_kept_format_is_the_one_of_the_page(
    formats: int, index: int, extended: bool, pi: int, pil: bool, lbads: int
) -> None:
    index %= formats
    flbas = index & 0xF | extended << 4 | (index >> 4) << 5
    page = _filled(4096, [(0, struct.pack("<Q", 8)), (25, bytes([formats - 1, flbas, 0, 0, pi | pil << 3]))])
    page = _filled(4096, [(0, page), (128 + 4 * index, bytes([0, 0, lbads, 0]))])
    namespace = decode_identify_namespace(page)
    assert namespace is not None
    assert namespace.sector_bytes == 1 << lbads
    cdw10 = format_keeping(1, namespace, ses=SecureEraseSettings.USER_DATA_ERASE, timeout_s=1).cdw10
    assert _bits(cdw10, 13, 12) << 4 | _bits(cdw10, 3, 0) == index
    assert (_bits(cdw10, 4, 4), _bits(cdw10, 7, 5), _bits(cdw10, 8, 8)) == (extended, pi, pil)
    assert _bits(cdw10, 11, 9) == 1


@given(st.integers(1, 1 << 24), st.integers(0, 1 << 60))
def test_log_page_lengths_and_offsets(dwords: int, offset: int) -> None:
    command = get_log_page(LogPage.SMART, dwords * 4, offset=offset * 4)
    assert (command.cdw11 & 0xFFFF) << 16 | command.cdw10 >> 16 == dwords - 1
    assert command.cdw13 << 32 | command.cdw12 == offset * 4
    assert command.cdw10 & 0xFFFF == 2


@given(st.lists(st.integers(1, 0xFFFFFFFE), unique=True, max_size=1024))
def test_namespace_lists(nsids: list[int]) -> None:
    page = struct.pack(f"<{len(nsids)}I", *sorted(nsids)).ljust(4096, b"\0")
    assert decode_namespace_list(page) == tuple(sorted(nsids))


SANITIZES = st.sampled_from(
    [
        sanitize_block_erase(ause=False),
        sanitize_crypto_erase(ause=True),
        sanitize_overwrite(passes=16, pattern=0, invert=True, ause=False),
    ]
)


@given(command=SANITIZES, sprog=st.integers(0, 0xFFFF), sstat=st.integers(0, 0xFFFF), ssi=st.integers(0, 255))
def test_a_success_is_never_read_out_of_anything_else(
    command: NvmeCommand, sprog: int, sstat: int, ssi: int
) -> None:
    head = struct.pack("<HHI28xB", sprog, sstat, command.cdw10, ssi)
    log = decode_sanitize_log(head.ljust(512, b"\0"))
    assert log.is_of(command)
    assert log.succeeded == (sstat & 7 in {1, 4} and ssi & 0xF == 0)
    assert (log.progress is not None) == log.running
    assert (log.state is SanitizeState.NEVER) == (sstat & 7 == 0 and ssi & 0xF == 0)
