"""What the device can do by other programs, and what other erasers make of it: dd, fio, shred, nwipe."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Callable

import msgspec

from rasura.errors import RasuraError

__all__ = ["PEERS", "Speed", "Tool", "cipher_s_per_gb", "limit_tools", "peers_of"]

_BLOCKS = {"256k": 256 << 10, "1M": 1 << 20, "4M": 4 << 20}
_PATIENCE_S = 900.0


class Speed(msgspec.Struct, frozen=True):
    """``mb_s`` is 10^6 bytes a second over all drives; ``cpu_s_per_gb`` seconds for 10^9 bytes."""

    mb_s: float
    cpu_s_per_gb: float


class Tool(msgspec.Struct, frozen=True):
    """A program with a block size, and how to have it move ``size`` bytes of each of some devices at once."""

    name: str
    run: Callable[[list[str], int], Speed]

    @property
    def program(self) -> str:
        """What is run, whatever the block size."""
        return self.name.partition(" ")[0]


def limit_tools(*, write: bool) -> list[Tool]:
    """Every way of asking for the device's limit: dd and fio, past the page cache, in several block sizes."""
    tools = [Tool(f"dd {block}", _dd(block, write=write)) for block in _BLOCKS]
    if shutil.which("fio"):
        tools += [Tool(f"fio {block}", _fio(block, write=write)) for block in _BLOCKS]
    return tools


PEERS = {
    "zero": {
        "shred": ["shred", "--iterations=0", "--zero"],
        "nwipe": ["nwipe", "--method=zero", "--verify=off"],
    },
    "random": {
        "shred": ["shred", "--iterations=1"],
        "nwipe": ["nwipe", "--method=random", "--verify=off"],
    },
    "zero+verify": {"nwipe": ["nwipe", "--method=zero", "--verify=last"]},
    "random+verify": {"nwipe": ["nwipe", "--method=random", "--verify=last"]},
}
"""Other erasers, by pass; measured with everything they do, on one drive."""

_NWIPE = ["--autonuke", "--nogui", "--nowait", "--noblank", "--rounds=1", "--logfile=/dev/null"]


def peers_of(name: str) -> list[Tool]:
    """The installed peers that do the pass ``name``."""
    found = []
    for program, command in PEERS.get(name, {}).items():
        if shutil.which(program):
            options = _NWIPE if program == "nwipe" else []
            found.append(Tool(program, _erase([*command, *options])))
    return found


def cipher_s_per_gb() -> float | None:
    """CPU seconds that AES-256-CTR costs for 10^9 bytes by ``openssl speed``; ``None`` without openssl."""
    if not shutil.which("openssl"):
        return None
    words = ["openssl", "speed", "-mr", "-seconds", "1", "-bytes", str(1 << 20), "-evp", "aes-256-ctr"]
    for line in _output(words).splitlines():
        if line.startswith("+F:"):
            return 1e9 / float(line.rsplit(":", 1)[1])
    return None


def _dd(block: str, *, write: bool) -> Callable[[list[str], int], Speed]:
    def run(devices: list[str], size: int) -> Speed:
        count = f"count={size // _BLOCKS[block]}"
        if write:
            words = ["dd", "if=/dev/zero", "oflag=direct", "conv=fsync", f"bs={block}", count]
            commands = [[*words, f"of={device}"] for device in devices]
        else:
            words = ["dd", "of=/dev/null", "iflag=direct", f"bs={block}", count]
            commands = [[*words, f"if={device}"] for device in devices]
        return _timed(commands, size // _BLOCKS[block] * _BLOCKS[block])

    return run


def _fio(block: str, *, write: bool) -> Callable[[list[str], int], Speed]:
    way = "write" if write else "read"

    def run(devices: list[str], size: int) -> Speed:
        words = ["fio", "--output-format=json", "--direct=1", "--ioengine=libaio", "--iodepth=4"]
        words += ["--thread", "--group_reporting", "--zero_buffers", "--end_fsync=1"]
        for number, device in enumerate(devices):
            words += [f"--name=d{number}", f"--filename={device}", f"--rw={way}", f"--bs={block}"]
            words += [f"--size={size}"]
        before = _children_cpu()
        text = _output(words)
        cpu = _children_cpu() - before
        try:
            found = json.loads(text[text.index("{") :])["jobs"][0][way]
            seconds = found["runtime"] / 1000
            done = found["io_bytes"]
        except (ValueError, KeyError, IndexError):
            raise RasuraError("fio answers nothing that could be read") from None
        # With several jobs the run time is the sum of theirs in old versions: bandwidth is by the wall.
        total = found["bw_bytes"] if len(devices) > 1 else done / max(seconds, 1e-3)
        return Speed(total / 1e6, cpu * 1e9 / done)

    return run


def _erase(command: list[str]) -> Callable[[list[str], int], Speed]:
    return lambda devices, size: _timed([[*command, device] for device in devices], size)


def _timed(commands: list[list[str]], size: int) -> Speed:
    """Run commands at once, each of which moves ``size`` bytes."""
    before, cpu = time.monotonic(), _children_cpu()
    running = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for command in commands
    ]
    failed = None
    try:
        for process, command in zip(running, commands, strict=True):
            output, _ = process.communicate(timeout=_PATIENCE_S)
            if process.returncode:
                failed = f"{command[0]} failed: {output.decode(errors='replace').strip()[-200:]}"
    finally:
        for process in running:
            process.kill()  # what has ended is left alone
            process.wait()
    if failed is not None:
        raise RasuraError(failed)
    seconds, done = time.monotonic() - before, size * len(commands)
    return Speed(done / seconds / 1e6, (_children_cpu() - cpu) * 1e9 / done)


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    if done.returncode:
        raise RasuraError(f"{command[0]} failed: {done.stderr.strip()[-200:]}")
    return done.stdout


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
