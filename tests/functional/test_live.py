"""The live station as a person meets it: a terminal of 80 columns, files for drives, a registry."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import shutil
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from functional.conftest import BIN, MARK, Workshop, certificates_in
from rasura.site_kit import seal_site_key
from simulators.web import refused_port

SUPERVISOR = Path(__file__).parents[2] / "image/rootfs/usr/lib/rasura/console"
PASSPHRASE = "correct horse"
SECOND = "0.1"
"""How long a second of waiting lasts here."""
ARMED = "rasura.arm=erase-all-drives rasura.countdown=10"


@dataclass
class Terminal:
    """Another end of a pseudo-terminal with a process of ours at it."""

    pid: int
    descriptor: int
    shown: str = ""
    read: int = field(default=0)

    def expect(self, text: str, seconds: float = 15) -> None:
        """Wait until ``text`` appears after what was expected before."""
        deadline = time.monotonic() + seconds
        while text not in self.shown[self.read :]:
            assert time.monotonic() < deadline, f"{text!r} did not appear in:\n{self.shown[self.read :]}"
            assert self._more(), f"{text!r} did not appear before the end of:\n{self.shown[self.read :]}"
        self.read = self.shown.index(text, self.read) + len(text)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def answer(self, prompt: str, text: str) -> None:
        self.expect(prompt)
        self.type(f"{text}\n")

    def ended(self, seconds: float = 15) -> int:
        deadline = time.monotonic() + seconds
        while self._more():
            assert time.monotonic() < deadline, f"it did not end:\n{self.shown[self.read :]}"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        assert "Traceback" not in self.shown, self.shown
        return os.waitstatus_to_exitcode(status)

    def _more(self) -> bool:
        if not select.select([self.descriptor], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # the other end is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)


class Bench:
    """A made-up root with a stick, drives, and a system that only writes down how it would end."""

    def __init__(self, workshop: Workshop, undo: ExitStack) -> None:
        self.workshop, self._undo = workshop, undo
        self.root = workshop.folder / "root"
        self.data = self.root / "run/rasura/data"
        self.ends = workshop.folder / "ends"
        self.systemctl = self.script("systemctl", f'echo "$@" >> "{self.ends}"')
        self.drives: list[Path] = []
        self.cmdline = self.root / "proc/cmdline"
        self.cmdline.parent.mkdir(parents=True)

    def script(self, name: str, body: str) -> Path:
        path = self.workshop.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def plug(self, *, site: bool = True) -> Path:
        self.data.mkdir(parents=True, exist_ok=True)
        if site:
            shutil.copytree(self.workshop.registry_site, self.data / "site")
        return self.data / "site"

    def drive(self, name: str) -> Path:
        self.drives.append(self.workshop.drive(name))
        return self.drives[-1]

    def start(self, cmdline: str, *command: Path) -> Terminal:
        self.cmdline.write_text(f"BOOT_IMAGE=/vmlinuz quiet {cmdline}\n")
        words = [*map(str, command)] or [str(BIN / "rasura-agent"), "live"]
        words += ["--root", str(self.root), "--systemctl", str(self.systemctl), "--second", SECOND]
        words += [word for drive in self.drives for word in ("--virtual-drive", str(drive))]
        environment = {
            **os.environ,
            "RASURA_SYSTEMCTL": str(self.systemctl),
            "TMPDIR": str(self.workshop.folder),
        }
        environment["RASURA_AGENT"] = str(BIN / "rasura-agent")
        environment["RASURA_LOG"] = str(self.root / "run/rasura/log/agent.log")
        pid, descriptor = pty.fork()
        if pid == 0:
            os.execve(words[0], words, environment)
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        terminal = Terminal(pid, descriptor)
        self._undo.callback(terminal.close)
        return terminal

    @property
    def ended_by(self) -> list[str]:
        return self.ends.read_text().split() if self.ends.exists() else []

    def erased(self, drive: Path) -> bool:
        content = drive.read_bytes()
        assert MARK not in content or content == (MARK * (len(content) // len(MARK) + 1))[: len(content)]
        return MARK not in content

    def certificates(self, part: str) -> list[Path]:
        """The certificates of drives on the stick; the machine report is there besides."""
        return certificates_in(self.data / "certificates" / part)


@pytest.fixture
def bench(workshop: Workshop) -> Iterator[Bench]:
    with ExitStack() as undo:
        yield Bench(workshop, undo)


def test_led_by_a_person(bench: Bench) -> None:
    bench.plug()
    first, second = bench.drive("a.img"), bench.drive("b.img")
    live = bench.start(
        f"rasura.registry={bench.workshop.registry} rasura.lot=LOT-9 rasura.operator=trainee-7"
    )
    live.expect("rasura-boot: build=- firmware=")
    live.expect("2 drives would be erased, 0 left alone.")
    live.answer("> ", "3")
    live.expect("nothing was erased")
    live.answer("> ", "nonsense")
    live.expect("nonsense is no answer here")
    live.answer("> ", "0")
    live.answer("> ", "d")
    live.expect("NIST SP 800-88r2 Clear")
    live.answer("[Enter] go on", "")
    assert not bench.erased(first)
    live.answer("> ", "2")
    live.expect("on the stick, logged")
    live.expect("on the stick, logged")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
    assert bench.erased(first)
    assert bench.erased(second)
    sent = bench.certificates("sent")
    assert len(sent) == 2
    everything = sorted((bench.data / "certificates/sent").glob("*.json"))
    assert len(everything) == 3
    verified = bench.workshop.run("rasura", "verify", *everything, "--trust", bench.workshop.trust)
    assert verified.code == 0, verified.out
    assert "all 2 certificates that the report names are there and fit" in verified.out
    claims = bench.workshop.run("rasura", "show", "--json", sent[0]).json[0]["predicate"]
    assert claims["source"]["lot"] == "LOT-9"
    assert max(map(len, live.shown.replace("\r", "\n").splitlines())) < 120, (
        "only the line for machines is longer"
    )
    assert "ERASED" in (bench.data / "logs/agent.log").read_text()


def test_another_policy_and_another_language(bench: Bench) -> None:
    bench.plug()
    (bench.data / "policies").mkdir()
    (bench.data / "policies/workshop.toml").write_text(
        'name = "workshop"\n[erase]\nmethod = "Clear"\npattern = "zero"\n'
    )
    drive = bench.drive("a.img")
    live = bench.start("rasura.lang=fr rasura.policy=clear-random")
    live.expect("1 disque serait effacé, 0 laissés.")
    live.answer("> ", "o")
    live.expect("4  workshop")
    live.answer("Numéro de la règle", "4")
    live.expect("workshop (Clear)")
    live.expect("Clear par écrasement (zéros)")
    live.answer("> ", "f")
    live.expect("ALL THEIR DATA WILL BE LOST")
    live.answer("> ", "f")
    live.expect("TOUTES LEURS DONNÉES SERONT PERDUES")
    live.answer("> ", "1")
    live.expect("EFFACÉ (ERASED)")
    live.expect("sur la clé, PAS ENCORE INSCRIT AU REGISTRE")
    live.answer("[Entrée] continuer", "")
    live.answer("> ", "r")
    assert live.ended() == 0
    assert bench.ended_by == ["reboot"]
    assert drive.read_bytes() == bytes(drive.stat().st_size)


def test_armed_to_the_end(bench: Bench) -> None:
    bench.plug()
    drive = bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.end=poweroff rasura.policy=clear-zero")
    live.expect("THIS MACHINE ERASES ALL ITS DRIVES BY ITSELF")
    live.expect("Starts in 10 s. ANY KEY STOPS IT.")
    assert not bench.erased(drive)
    live.expect("on the stick")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
    assert bench.erased(drive)
    assert len(bench.certificates("pending")) == 1


@pytest.mark.parametrize("key", ["\n", "\x03"])
def test_any_key_stops_the_countdown(bench: Bench, key: str) -> None:
    bench.plug()
    drive = bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.end=poweroff")
    live.expect("Starts in 9 s")
    live.type(key)
    live.expect("stopped by a key: nothing was erased")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert not bench.erased(drive)


def test_armed_without_drives_is_no_error(bench: Bench) -> None:
    bench.plug()
    drive = bench.drive("a.img")
    serial = bench.workshop.run("rasura-agent", "drives", "--virtual-drive", drive, "--json").json["drives"][
        0
    ]["serial"]
    (bench.data / "policies").mkdir()
    protecting = f'name = "p"\n[erase]\nmethod = "Clear"\n[protect]\nserials = ["{serial}"]\n'
    (bench.data / "policies/p.toml").write_text(protecting)
    live = bench.start(f"{ARMED} rasura.end=reboot rasura.policy=p")
    live.expect("0 drives can be erased: nothing will be done")
    assert live.ended() == 0
    assert bench.ended_by == ["reboot"]
    assert not bench.erased(drive)


def test_armed_waits_for_a_stick_to_sign_with(bench: Bench) -> None:
    drive = bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.end=poweroff")
    live.expect("there is no site folder on a stick")
    live.expect("Any key stops it")
    bench.plug()
    live.expect("Starts in 1 s", 30)
    assert live.ended() == 0
    assert bench.erased(drive)


def test_once_a_boot(bench: Bench) -> None:
    """Whoever restarts the agent after a crash is there, and decides afresh."""
    bench.plug()
    bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.end=poweroff")
    live.expect("Starts in 10 s")
    os.kill(live.pid, 9)
    again = bench.start(f"{ARMED} rasura.end=poweroff")
    again.answer("> ", "p")
    assert again.ended() == 0
    assert "Starts in" not in again.shown


@pytest.mark.parametrize(("lang", "said"), [("en", "NOTHING IS ERASED"), ("fr", "RIEN N’EST EFFACÉ")])  # noqa: RUF001
def test_parameters_that_are_not_understood(bench: Bench, lang: str, said: str) -> None:
    bench.plug()
    drive = bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.polcy=purge rasura.lang={lang}")
    live.expect(said)
    live.expect("rasura.polcy")
    live.expect("rasura.policy")
    live.answer("> ", "1")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
    assert not bench.erased(drive)


def test_a_certificate_in_memory_only_keeps_the_machine_on(bench: Bench) -> None:
    """Neither stick nor registry: said in large letters, and only a word in full ends it."""
    bench.plug()
    drive = bench.drive("a.img")
    live = bench.start(f"rasura.registry={refused_port()}")
    live.expect("1 drive would be erased")
    live.expect("> ")
    away = bench.data.with_name("pulled")
    bench.data.rename(away)
    live.type("1\n")
    live.expect("NOT WRITTEN TO DISK, NOT LOGGED YET")
    live.expect("2 CERTIFICATES IN THE MEMORY OF THIS MACHINE ONLY")
    live.expect("2 CERTIFICATS DANS LA SEULE MÉMOIRE DE CETTE MACHINE")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    live.answer("type LOSE:", "lose")
    live.expect("the machine stays on")
    assert bench.ended_by == []
    assert len(certificates_in(bench.root / "run/rasura/certificates/pending")) == 1
    live.expect("> ")
    away.rename(bench.data)
    live.type("s\n")
    live.answer("> ", "l")
    deadline = time.monotonic() + 10
    while not bench.certificates("pending"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
    assert bench.erased(drive)


def test_the_word_loses_them(bench: Bench) -> None:
    bench.plug()
    bench.drive("a.img")
    live = bench.start("")
    live.expect("> ")
    shutil.rmtree(bench.data)
    live.type("1\n")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    live.answer("type LOSE:", "LOSE")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]


def test_armed_does_not_end_before_it_is_handed_over(bench: Bench) -> None:
    bench.plug()
    drive = bench.drive("a.img")
    live = bench.start(f"{ARMED} rasura.end=poweroff rasura.policy=clear-zero")
    live.expect("Starts in 8 s")
    away = bench.data.with_name("pulled")
    bench.data.rename(away)
    live.expect("2 CERTIFICATES IN THE MEMORY OF THIS MACHINE ONLY")
    time.sleep(1.5)
    assert bench.ended_by == []
    away.rename(bench.data)
    assert live.ended(30) == 0
    assert bench.ended_by == ["poweroff"]
    assert bench.erased(drive)
    assert len(bench.certificates("pending")) == 1


def test_a_key_under_a_passphrase(bench: Bench) -> None:
    seal_site_key(bench.plug(), lambda: PASSPHRASE)
    drive = bench.drive("a.img")
    live = bench.start("")
    live.expect("the site's key is locked")
    live.answer("> ", "1")
    live.expect("nothing can be erased now")
    live.answer("> ", "k")
    live.answer("Passphrase of the site's key:", "wrong horse")
    live.answer("> ", "k")
    live.answer("Passphrase of the site's key:", PASSPHRASE)
    live.expect("Workshop")
    live.answer("> ", "1")
    live.expect("ERASED")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.erased(drive)
    assert PASSPHRASE not in live.shown


def test_enrolled_by_a_code_on_the_screen(bench: Bench) -> None:
    """A machine without a stick: the registry's operator types the code, and it may sign."""
    drive = bench.drive("a.img")
    live = bench.start(f"rasura.registry={bench.workshop.registry} rasura.site=Workshop")
    live.expect("type the code ")
    live.expect("into the")
    code = re.findall(r"type the code\s+([0-9A-Z]{4}-[0-9A-Z]{4})", live.shown)[-1]
    folder = bench.workshop.registry_site.parents[1]
    assert bench.workshop.run("rasura-registry", "approve", folder, code, "--site", "Workshop").code == 0
    live.expect("1 drive would be erased")
    live.answer("> ", "1")
    live.expect("NOT WRITTEN TO DISK, logged")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0, "the registry has it: nothing is lost"
    assert bench.ended_by == ["poweroff"]
    assert bench.erased(drive)


def test_a_damaged_image_erases_nothing(bench: Bench) -> None:
    bench.plug()
    build = bench.root / "usr/lib/rasura/build.json"
    build.parent.mkdir(parents=True)
    build.write_text('{"schema":1,"version":"1","commit":"c","buildHash":"sha256:00","parts":{}}')
    drive = bench.drive("a.img")
    live = bench.start("rasura.boot=medium")
    live.expect("build=sha256:00 ")
    live.answer("> ", "1")
    live.expect("DAMAGED")
    live.answer("> ", "l")
    live.expect("do not erase with it")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert not bench.erased(drive)


def test_ctrl_c_stops_the_drives_and_nothing_else(bench: Bench) -> None:
    bench.plug()
    bench.drives.append(bench.workshop.drive("large.img", 512 << 20))
    live = bench.start("")
    live.expect("> ")
    live.type("\x03")
    live.type("1\n")
    live.expect("write 1/2")
    live.type("\x03")
    live.expect("stopped by the operator")
    live.expect("on the stick")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0


def test_the_build_is_named_on_the_certificate(bench: Bench) -> None:
    bench.plug()
    bench.drive("a.img")
    parts = {}
    (bench.root / "dev").mkdir()
    for number, name in enumerate(("base.squashfs", "agent.squashfs")):
        (bench.root / f"dev/loop{number}").write_bytes(name.encode())
        parts[name] = hashlib.sha256(name.encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    build = bench.root / "usr/lib/rasura/build.json"
    build.parent.mkdir(parents=True)
    build.write_text(
        json.dumps({"version": "1", "commit": "c", "buildHash": f"sha256:{digest}", "parts": parts})
    )
    live = bench.start("rasura.boot=network")
    live.expect("intact, sha256:")
    live.answer("> ", "1")
    live.answer("[Enter] go on", "")
    live.answer("> ", "p")
    assert live.ended() == 0
    (path,) = bench.certificates("pending")
    claims = bench.workshop.run("rasura", "show", "--json", path).json[0]["predicate"]
    assert claims["tool"]["build"] == f"sha256:{digest}"


def test_the_supervisor_speaks_for_an_agent_that_crashed(bench: Bench) -> None:
    bench.plug()
    bench.drive("a.img")
    live = bench.start("", SUPERVISOR)
    live.expect("> ")
    agent = int(Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text().split()[0])
    os.kill(agent, 11)
    live.expect("it was ended by signal 11")
    live.expect("NOT ERASED")
    live.expect("NE SONT PAS EFFACÉS")
    live.expect("session.py")  # where it was, at the end of the log
    live.answer("> ", "")
    live.expect("1 drive would be erased")
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]


def test_the_supervisor_powers_off_when_told_to(bench: Bench) -> None:
    bench.script("crash", "exit 70")
    live = bench.start("", SUPERVISOR)
    live.expect("> ")
    agent = int(Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text().split()[0])
    os.kill(agent, 9)
    live.expect("it was ended by signal 9")
    live.answer("> ", "p")
    live.expect("will be lost")
    assert bench.ended_by == []
    live.answer("> ", "p")
    assert live.ended() == 0
    assert bench.ended_by == ["poweroff"]
