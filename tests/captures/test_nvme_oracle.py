"""Our NVMe codecs against nvme-cli: the commands it sends, and the pages as it reads them.

nvme-cli decodes no files, so its ``ioctl`` is replaced (LD_PRELOAD) by one that writes down the command
and hands out a page of ours. The device it is pointed at is /dev/null: nothing reaches a drive.
"""

import json
import os
import random
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rasura_agent.drive.nvme.fields import BROADCAST_NSID
from rasura_agent.drive.nvme.format import SecureEraseSettings, format_keeping
from rasura_agent.drive.nvme.identify import (
    decode_identify_controller,
    identify_controller,
    identify_namespace,
    list_active_namespaces,
    list_allocated_namespaces,
    list_namespace_controllers,
    list_namespace_descriptors,
)
from rasura_agent.drive.nvme.identify_namespace import (
    decode_controller_list,
    decode_identify_namespace,
    decode_namespace_descriptors,
    decode_namespace_list,
)
from rasura_agent.drive.nvme.logs import LogPage, decode_smart_log, get_log_page, smart_status
from rasura_agent.drive.nvme.sanitize import (
    exit_failure_mode,
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_overwrite,
)
from rasura_agent.drive.nvme.sanitize_log import decode_sanitize_log, sanitize_status
from rasura_agent.drive.nvme.security import security_receive, security_send
from rasura_agent.drive.port import NvmeCommand
from rasura_agent.drive.tcg.discovery import nvme_discovery

_NVME = shutil.which("nvme", path="/usr/sbin:/sbin:/usr/bin:/bin")
_CC = shutil.which("gcc") or shutil.which("cc")

pytestmark = pytest.mark.skipif(
    _NVME is None or _CC is None or not Path("/usr/include/linux/nvme_ioctl.h").exists(),
    reason="nvme-cli, the oracle, or the C compiler to stand in for the kernel under it is not installed",
)

_STAND_IN = r"""
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/ioctl.h>
#include <linux/nvme_ioctl.h>

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    struct nvme_passthru_cmd *command;
    char path[4096];
    FILE *file;

    va_start(arguments, request);
    command = va_arg(arguments, struct nvme_passthru_cmd *);
    va_end(arguments);
    if (request == NVME_IOCTL_ID)
        return 1;
    if (request != NVME_IOCTL_ADMIN_CMD && request != NVME_IOCTL_ADMIN64_CMD)
        return -1;
    snprintf(path, sizeof path, "%s/sent", getenv("ORACLE_FOLDER"));
    if ((file = fopen(path, "ab"))) {
        fwrite(command, 72, 1, file);
        fclose(file);
    }
    snprintf(path, sizeof path, "%s/%02x-%02x", getenv("ORACLE_FOLDER"),
             command->opcode, command->cdw10 & 0xff);
    if ((command->opcode & 3) == 2 && (file = fopen(path, "rb"))) {
        if (fread((void *)(unsigned long)command->addr, 1, command->data_len, file) == 0)
            abort();
        fclose(file);
    }
    return 0;
}
"""


@dataclass
class Oracle:
    """nvme-cli over the stand-in, with the pages a test gives it."""

    folder: Path
    library: Path

    def give(self, opcode: int, selector: int, page: bytes) -> None:
        (self.folder / f"{opcode:02x}-{selector:02x}").write_bytes(page)

    def run(self, name: str, *arguments: str) -> str:
        assert _NVME is not None
        environment = {**os.environ, "LD_PRELOAD": str(self.library), "ORACLE_FOLDER": str(self.folder)}
        run = subprocess.run(
            [_NVME, name, "/dev/null", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def read(self, name: str, *arguments: str) -> Any:
        return json.loads(self.run(name, *arguments, "-o", "json"))

    @property
    def last_sent(self) -> tuple[int, ...]:
        """Opcode, NSID, CDW10 to CDW15 and data length of the last command."""
        words = struct.unpack("<BBHIIIQQIIIIIIIIII", (self.folder / "sent").read_bytes()[-72:])
        return (words[0], words[3], *words[10:16], words[9])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "stand_in.c").write_text(_STAND_IN)
    assert _CC is not None
    command = [_CC, "-shared", "-fPIC", "-o", folder / "stand_in.so", folder / "stand_in.c"]
    subprocess.run(command, check=True, timeout=60)
    return folder / "stand_in.so"


@pytest.fixture
def oracle(tmp_path: Path, library: Path) -> Oracle:
    return Oracle(tmp_path, library)


def _fields(command: NvmeCommand) -> tuple[int, ...]:
    return (
        command.opcode,
        command.nsid,
        command.cdw10,
        command.cdw11,
        command.cdw12,
        command.cdw13,
        command.cdw14,
        command.cdw15,
        len(command.data_out) or command.data_in_bytes,
    )


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("id-ctrl", identify_controller()),
        ("id-ns -n 3", identify_namespace(3)),
        ("list-ns", list_active_namespaces()),
        ("list-ns -n 1025", list_active_namespaces(1024)),
        ("list-ns --all", list_allocated_namespaces()),
        ("ns-descs -n 2", list_namespace_descriptors(2)),
        ("list-ctrl -n 2", list_namespace_controllers(2)),
        ("smart-log", smart_status()),
        ("sanitize-log", sanitize_status()),
        (
            "get-log --log-id=1 --log-len=64 --lpo=128 --namespace-id=0xffffffff",
            get_log_page(LogPage.ERROR_INFORMATION, 64, offset=128),
        ),
        ("sanitize -a 1", exit_failure_mode()),
        ("sanitize -a 2", sanitize_block_erase(ause=False)),
        ("sanitize -a 2 -u", sanitize_block_erase(ause=True)),
        ("sanitize -a 4 -d", sanitize_crypto_erase(ause=False, nodas=True)),
        ("sanitize -a 3 -n 1", sanitize_overwrite(passes=1, pattern=0, invert=False, ause=False)),
        ("sanitize -a 3 -n 0", sanitize_overwrite(passes=16, pattern=0, invert=False, ause=False)),
        (
            "sanitize -a 3 -n 5 -i -u -p 0xdeadbeef",
            sanitize_overwrite(passes=5, pattern=0xDEADBEEF, invert=True, ause=True),
        ),
        ("security-recv -n 0 -p 1 -s 1 -x 2048 -t 2048", nvme_discovery()),
        ("security-recv -n 4 -p 0xea -s 0x1234 -x 512 -t 512", security_receive(0xEA, 0x1234, 512, nsid=4)),
    ],
)
def test_the_command_is_the_one_that_nvme_cli_sends(oracle: Oracle, line: str, command: NvmeCommand) -> None:
    oracle.run(*line.split())
    assert oracle.last_sent == _fields(command)


def test_security_send(oracle: Oracle, tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(512))
    oracle.run("security-send", "-n", "0", "-p", "2", "-s", "0x0004", "-t", "512", "-f", str(payload))
    assert oracle.last_sent == _fields(security_send(2, 4, bytes(512)))


def _unsigned(number: int | str) -> int:
    """nvme-cli prints numbers of 32 bits with a sign."""
    return int(number) % (1 << 32) if int(number) < 0 else int(number)


def _text(source: random.Random, length: int) -> bytes:
    body = "".join(
        source.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/") for _ in range(source.randint(1, length))
    )
    return body.encode().ljust(length)


def _controller_page(source: random.Random) -> bytes:
    page = bytearray(source.randbytes(4096))
    page[4:24], page[24:64], page[64:72] = _text(source, 20), _text(source, 40), _text(source, 8)
    page[263] = 0  # NPSS: nvme-cli walks through as many power states as this says, 32 at most
    page[768:1024] = b"nqn.2014.08.org.nvmexpress:" + _text(source, 60).strip().ljust(229, b"\0")
    return bytes(page)


@pytest.mark.parametrize("seed", range(6))
def test_identify_controller(oracle: Oracle, seed: int) -> None:
    page = _controller_page(random.Random(seed))
    oracle.give(0x06, 0x01, page)
    theirs, ours = oracle.read("id-ctrl"), decode_identify_controller(page)
    assert [theirs[k].strip() for k in ("sn", "mn", "fr")] == [ours.serial, ours.model, ours.firmware]
    for name in ("vid", "ssvid", "cmic", "mdts", "cntlid", "nn", "kas"):
        assert _unsigned(theirs[name]) == getattr(ours, name), name
    assert ours.version is not None
    major, minor, tertiary = ours.version
    assert _unsigned(theirs["ver"]) == major << 16 | minor << 8 | tertiary
    assert (theirs["oacs"], theirs["oncs"], theirs["fna"]) == (ours.oacs, ours.oncs, ours.fna)
    assert (int(theirs["tnvmcap"]), int(theirs["unvmcap"])) == (ours.tnvmcap, ours.unvmcap)
    assert _unsigned(theirs["sanicap"]) == ours.sanicap.raw
    assert (theirs["vwc"] & 1) == ours.volatile_write_cache
    assert (theirs["rpmbs"] & 7) == (ours.rpmbs.units if ours.rpmbs else 0)
    assert theirs["subnqn"] == ours.subnqn


def _namespace_page(source: random.Random) -> bytes:
    page = bytearray(source.randbytes(4096))
    formats = source.randint(1, 64)
    page[25], page[82] = formats - 1, 0
    page[26] = source.randrange(min(formats, 16)) | source.choice((0, 0x10))
    page[29] = source.randrange(4) | source.choice((0, 8))
    for number in range(64):
        page[130 + 4 * number] = source.choice((9, 12))
    return bytes(page)


@pytest.mark.parametrize("seed", range(6))
def test_identify_namespace(oracle: Oracle, seed: int) -> None:
    page = _namespace_page(random.Random(seed))
    oracle.give(0x06, 0x00, page)
    theirs, ours = oracle.read("id-ns", "-n", "1"), decode_identify_namespace(page)
    assert ours is not None
    for name in ("nsze", "ncap", "nuse", "nsfeat", "flbas", "mc", "dpc", "dps", "nmic", "eui64", "nguid"):
        assert theirs[name] == getattr(ours, name), name
    assert int(theirs["nvmcap"]) == ours.nvmcap
    assert (theirs["nsattr"] & 1) == ours.write_protected
    dlfeat = theirs["dlfeat"] & 7
    assert ours.deallocated_reads == (dlfeat if dlfeat <= 2 else None)
    assert [(f["ms"], f["ds"]) for f in theirs["lbafs"]] == [
        (f.metadata_bytes, f.lbads) for f in ours.lba_formats
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_kept_format_is_the_one_nvme_cli_would_ask_for(oracle: Oracle, seed: int) -> None:
    page = _namespace_page(random.Random(seed))
    namespace = decode_identify_namespace(page)
    assert namespace is not None
    oracle.give(0x06, 0x00, page)
    oracle.give(0x06, 0x01, _controller_page(random.Random(seed)))
    oracle.run(
        "format",
        "--namespace-id=1",
        "--ses=1",
        f"--lbaf={namespace.format_index}",
        f"--ms={namespace.metadata_extended:d}",
        f"--pi={namespace.protection_type}",
        f"--pil={namespace.protection_first:d}",
        "--force",
    )
    ours = format_keeping(1, namespace, ses=SecureEraseSettings.USER_DATA_ERASE, timeout_s=1)
    sent = (oracle.folder / "sent").read_bytes()
    formats = [sent[i : i + 72] for i in range(0, len(sent), 72) if sent[i] == 0x80]
    assert [struct.unpack_from("<I", f, 40)[0] for f in formats] == [ours.cdw10]


def test_lists_and_names(oracle: Oracle) -> None:
    namespaces = struct.pack("<3I", 1, 2, 77).ljust(4096, b"\0")
    oracle.give(0x06, 0x02, namespaces)
    theirs = oracle.read("list-ns")
    assert [entry["nsid"] for entry in theirs["nsid_list"]] == list(decode_namespace_list(namespaces))
    controllers = struct.pack("<4H", 3, 0, 1, 65).ljust(4096, b"\0")
    oracle.give(0x06, 0x12, controllers)
    theirs = oracle.read("list-ctrl", "-n", "1")
    assert [entry["ctrl_id"] for entry in theirs["ctrl_list"]] == list(decode_controller_list(controllers))
    names = (
        b"\1\x08\0\0"
        + bytes(range(8))
        + b"\2\x10\0\0"
        + bytes(range(16))
        + b"\3\x10\0\0"
        + bytes(range(16, 32))
    )
    oracle.give(0x06, 0x03, names.ljust(4096, b"\0"))
    theirs, ours = oracle.read("ns-descs", "-n", "1"), decode_namespace_descriptors(names.ljust(4096, b"\0"))
    found = {entry["type"]: entry[entry["type"]] for entry in theirs["ns-descs"]}
    assert found == {"eui64": ours.eui64, "nguid": ours.nguid, "uuid": ours.uuid}


@pytest.mark.parametrize("seed", range(6))
def test_sanitize_log(oracle: Oracle, seed: int) -> None:
    source = random.Random(seed)
    sstat = source.randrange(5) | source.randrange(32) << 3 | source.randrange(2) << 8
    page = struct.pack("<HH", source.randrange(65536), sstat) + source.randbytes(28)
    page = page.ljust(512, b"\0")
    oracle.give(0x02, 0x81, page)
    (theirs,) = oracle.read("sanitize-log").values()
    ours = decode_sanitize_log(page)
    assert _unsigned(theirs["cdw10_info"]) == ours.scdw10
    assert theirs["sstat"]["global_erased"] == ours.global_data_erased
    assert theirs["sstat"]["no_cmplted_passes"] == ours.passes_completed
    assert theirs["sstat"]["status"].startswith(f"({sstat & 7})")
    if ours.progress is not None:
        assert theirs["sprog"] == ours.progress
    for theirs_name, ours_name in {
        "time_over_write": "estimate_overwrite_s",
        "time_block_erase": "estimate_block_erase_s",
        "time_crypto_erase": "estimate_crypto_erase_s",
        "time_over_write_no_dealloc": "estimate_overwrite_no_deallocate_s",
        "time_block_erase_no_dealloc": "estimate_block_erase_no_deallocate_s",
        "time_crypto_erase_no_dealloc": "estimate_crypto_erase_no_deallocate_s",
    }.items():
        assert _unsigned(theirs[theirs_name]) == getattr(ours, ours_name), theirs_name


@pytest.mark.parametrize("seed", range(4))
def test_smart_log(oracle: Oracle, seed: int) -> None:
    page = random.Random(seed).randbytes(512)
    oracle.give(0x02, 0x02, page)
    theirs, ours = oracle.read("smart-log"), decode_smart_log(page)
    for theirs_name, ours_name in {
        "critical_warning": "critical_warning",
        "temperature": "composite_temperature_k",
        "avail_spare": "available_spare",
        "spare_thresh": "available_spare_threshold",
        "percent_used": "percentage_used",
        "data_units_read": "data_units_read",
        "data_units_written": "data_units_written",
        "host_read_commands": "host_read_commands",
        "host_write_commands": "host_write_commands",
        "controller_busy_time": "controller_busy_minutes",
        "power_cycles": "power_cycles",
        "power_on_hours": "power_on_hours",
        "unsafe_shutdowns": "unsafe_shutdowns",
        "media_errors": "media_errors",
        "num_err_log_entries": "error_log_entries",
        "warning_temp_time": "warning_temperature_minutes",
        "critical_comp_time": "critical_temperature_minutes",
    }.items():
        assert _unsigned(theirs[theirs_name]) == getattr(ours, ours_name), theirs_name


def test_the_oracle_is_asked_about_the_broadcast_namespace(oracle: Oracle) -> None:
    # The stand-in itself: a command that was never sent would make every comparison above empty.
    oracle.run("smart-log")
    assert oracle.last_sent[:2] == (0x02, BROADCAST_NSID)
