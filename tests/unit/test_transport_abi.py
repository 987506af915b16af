"""Every ioctl number, structure size and offset, against the kernel headers as a C compiler sees them."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from rasura_agent.drive.tcg.psid import OPAL_KEY_BYTES
from rasura_agent.drive.transport import block_ioctl, kernel_queue, mmc_ioctl, nvme_ioctl

_CC = shutil.which("gcc") or shutil.which("cc")
_HEADERS = Path("/usr/include/linux")

pytestmark = pytest.mark.skipif(
    _CC is None or not (_HEADERS / "nvme_ioctl.h").exists() or not (_HEADERS / "sed-opal.h").exists(),
    reason="a C compiler and the kernel headers, the oracle, are not installed",
)

_NVME = ("opcode", "nsid", "metadata", "addr", "data_len", "cdw10", "cdw15", "timeout_ms", "result")
_MMC = (
    "write_flag",
    "is_acmd",
    "opcode",
    "arg",
    "response",
    "flags",
    "blksz",
    "blocks",
    "cmd_timeout_ms",
    "data_ptr",
)
_OPAL = ("lr", "key_len", "key")
_IOCB = tuple(name for name, *_ in kernel_queue.IoControlBlock._fields_)
_IO_EVENT = tuple(name for name, *_ in kernel_queue.IoEvent._fields_)
_SYSCALLS = ("__NR_io_setup", "__NR_io_destroy", "__NR_io_getevents", "__NR_io_submit")
_BLKPG = ("op", "datalen", "data")
_BLKPG_PARTITION = ("start", "length", "pno")

_EXPRESSIONS = {
    **{
        name: name
        for name in (
            "NVME_IOCTL_ID",
            "NVME_IOCTL_ADMIN_CMD",
            "MMC_IOC_CMD",
            "MMC_IOC_MULTI_CMD",
            "MMC_IOC_MAX_BYTES",
            "MMC_IOC_MAX_CMDS",
            "BLKROGET",
            "BLKSSZGET",
            "BLKPBSZGET",
            "BLKGETSIZE64",
            "BLKGETDISKSEQ",
            "BLKDISCARD",
            "BLKSECDISCARD",
            "BLKZEROOUT",
            "BLKPG",
            "BLKPG_ADD_PARTITION",
            "IOC_OPAL_PSID_REVERT_TPR",
        )
    },
    **{name: name for name in ("IOCB_CMD_PREAD", "IOCB_CMD_PWRITE", *_SYSCALLS)},
    "iocb": "sizeof(struct iocb)",
    "io_event": "sizeof(struct io_event)",
    **{f"iocb.{f}": f"offsetof(struct iocb, {f})" for f in _IOCB},
    **{f"io_event.{f}": f"offsetof(struct io_event, {f})" for f in _IO_EVENT},
    "nvme": "sizeof(struct nvme_passthru_cmd)",
    "mmc": "sizeof(struct mmc_ioc_cmd)",
    "mmc multi": "sizeof(struct mmc_ioc_multi_cmd)",
    "opal": "sizeof(struct opal_key)",
    "blkpg": "sizeof(struct blkpg_ioctl_arg)",
    "blkpg partition": "sizeof(struct blkpg_partition)",
    **{f"blkpg.{f}": f"offsetof(struct blkpg_ioctl_arg, {f})" for f in _BLKPG},
    **{f"blkpg partition.{f}": f"offsetof(struct blkpg_partition, {f})" for f in _BLKPG_PARTITION},
    **{f"nvme.{f}": f"offsetof(struct nvme_passthru_cmd, {f})" for f in _NVME},
    **{f"mmc.{f}": f"offsetof(struct mmc_ioc_cmd, {f})" for f in _MMC},
    **{f"opal.{f}": f"offsetof(struct opal_key, {f})" for f in _OPAL},
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    folder = tmp_path_factory.mktemp("abi")
    prints = "\n".join(f'printf("%lu\\n", (unsigned long)({e}));' for e in _EXPRESSIONS.values())
    (folder / "abi.c").write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <sys/ioctl.h>\n#include <linux/fs.h>\n"
        "#include <linux/blkpg.h>\n#include <linux/aio_abi.h>\n#include <sys/syscall.h>\n"
        "#include <linux/nvme_ioctl.h>\n#include <linux/mmc/ioctl.h>\n#include <linux/sed-opal.h>\n"
        f"int main(void) {{ {prints} return 0; }}\n"
    )
    assert _CC is not None
    subprocess.run([_CC, "-o", folder / "abi", folder / "abi.c"], check=True, timeout=60)
    run = subprocess.run([folder / "abi"], check=True, capture_output=True, text=True, timeout=10)
    return dict(zip(_EXPRESSIONS, map(int, run.stdout.split()), strict=True))


@pytest.mark.parametrize("module", [block_ioctl, mmc_ioctl, nvme_ioctl])
def test_numbers(module: object, kernel: dict[str, int]) -> None:
    ours = {name: value for name, value in vars(module).items() if name in _EXPRESSIONS}
    assert ours
    assert ours == {name: kernel[name] for name in ours}


def test_no_number_is_left_unchecked(kernel: dict[str, int]) -> None:
    ours = {
        name
        for module in (block_ioctl, mmc_ioctl, nvme_ioctl)
        for name, value in vars(module).items()
        if isinstance(value, int) and name.startswith(("NVME_", "MMC_", "BLK", "IOC_"))
    }
    assert ours
    assert ours <= set(kernel)


@pytest.mark.parametrize("name", ["iocb", "io_event"])
def test_structures_of_the_queue(name: str, kernel: dict[str, int]) -> None:
    ours = kernel_queue.IoControlBlock if name == "iocb" else kernel_queue.IoEvent
    assert ctypes.sizeof(ours) == kernel[name]
    fields = [field for field, *_ in ours._fields_]
    assert {field: getattr(ours, field).offset for field in fields} == {
        field: kernel[f"{name}.{field}"] for field in fields
    }


def test_numbers_of_the_queue(kernel: dict[str, int]) -> None:
    assert (
        kernel["IOCB_CMD_PREAD"],
        kernel["IOCB_CMD_PWRITE"],
    ) == (kernel_queue._PREAD, kernel_queue._PWRITE)
    ours = kernel_queue._SYSCALLS[platform.machine()]
    assert ours == tuple(kernel[name] for name in _SYSCALLS)


def _offsets_of(pack: object, size: int, markers: dict[str, bytes]) -> dict[str, int]:
    assert isinstance(pack, bytes)
    assert len(pack) == size
    return {name: pack.index(marker) for name, marker in markers.items()}


def test_partition_structures(kernel: dict[str, int]) -> None:
    told: list[bytes] = []

    def ioctl(fd: int, request: int, argument: bytearray | int, /) -> int:
        assert isinstance(argument, bytearray)
        assert (fd, request) == (4, kernel["BLKPG"])
        at = kernel["blkpg.data"]
        address = int.from_bytes(argument[at : at + 8], "little")
        told.extend((bytes(argument), ctypes.string_at(address, kernel["blkpg partition"])))
        return 0

    block_ioctl.add_partition(4, 3, 0x0102030405060708, 0x1112131415161718, ioctl)
    argument, partition = told

    def field(data: bytes, name: str, size: int) -> int:
        return int.from_bytes(data[kernel[name] : kernel[name] + size], "little")

    assert len(argument) == kernel["blkpg"]
    assert field(argument, "blkpg.op", 4) == kernel["BLKPG_ADD_PARTITION"]
    assert field(argument, "blkpg.datalen", 4) == kernel["blkpg partition"]
    assert field(partition, "blkpg partition.start", 8) == 0x0102030405060708
    assert field(partition, "blkpg partition.length", 8) == 0x1112131415161718
    assert field(partition, "blkpg partition.pno", 4) == 3


def test_nvme_structure(kernel: dict[str, int]) -> None:
    words = [
        0x01,
        0,
        0,
        0x02020202,
        0,
        0,
        0x03 * 0x0101010101010101,
        0x04 * 0x0101010101010101,
        0,
        0x05050505,
    ]
    words += [0x06060606, 0, 0, 0, 0, 0x07070707, 0x08080808, 0x09090909]
    raw = nvme_ioctl.PASSTHRU.pack(*words)
    values = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09)
    found = _offsets_of(raw, kernel["nvme"], {n: bytes([v]) for n, v in zip(_NVME, values, strict=True)})
    assert found == {name: kernel[f"nvme.{name}"] for name in _NVME}


def test_mmc_structure(kernel: dict[str, int]) -> None:
    words = [0x01010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505, 0, 0, 0, 0x06060606, 0x07070707]
    words += [0x08080808, 0, 0, 0, 0x09090909, 0, 0x0A * 0x0101010101010101]
    raw = mmc_ioctl.IOC_CMD.pack(*words)
    found = _offsets_of(raw, kernel["mmc"], {n: bytes([v]) for v, n in enumerate(_MMC, 1)})
    assert found == {name: kernel[f"mmc.{name}"] for name in _MMC}
    assert kernel["mmc multi"] == 8


def test_opal_key_structure(kernel: dict[str, int]) -> None:
    assert kernel["opal"] == OPAL_KEY_BYTES
    assert [kernel[f"opal.{f}"] for f in _OPAL] == [0, 1, 8]
