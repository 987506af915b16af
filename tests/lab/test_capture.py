"""Machines of the workbench captured: what a capture plays back is what the machine said of itself.

With RASURA_CAPTURES=FOLDER the captures are kept there: those in tests/captures/machines were taken so.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from lab.guest_hand import ANSWER_S, Hand, Ran
from lab.machine import BOOT_S, Kernel, Machine
from lab.room import Room
from lab.station import PAYLOAD, WORK_S, fresh_folder, obstacle
from lab.workbench import WORKBENCH
from rasura_agent.capturing import seen_machine
from rasura_agent.export.document import inventory_document
from rasura_agent.machine_commands import take_inventory

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]


class Guest:
    """A machine of the workbench that has booted, and its capture."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self._hand = name, folder, Hand()
        payload = self._hand.payload(folder / "test.tar")
        given = WORKBENCH[name](folder)
        boot = Kernel(PAYLOAD / "vmlinuz", PAYLOAD / "initrd", "console=ttyS0 quiet rasura.test=fw_cfg")
        self.machine = Machine(folder, boot, fw_cfg={"opt/rasura/test": payload}, **given)

    def __enter__(self) -> Guest:
        self.machine.__enter__()
        try:
            self._hand.wait(BOOT_S)
            # The hand is there before the last driver is; a person who asks comes later.
            self._hand.run("udevadm", "settle", f"--timeout={ANSWER_S:.0f}").require()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.machine.__exit__(None, None, None)
        self._hand.close()

    def agent(self, *words: str) -> Ran:
        return self._hand.run("rasura-agent", *words, timeout_s=WORK_S)

    @cached_property
    def inventory(self) -> str:
        """What the machine says of itself, as JSON; asked once."""
        return self.agent("inventory", "--json").require().out

    def capture(self, *words: str) -> Path:
        """Take one, and bring it here."""
        there = f"/run/lab/capture{len(words)}"
        self.agent("capture", *words, there).require()
        self._hand.run("tar", "-C", there, "-cf", f"{there}.tar", ".").require()
        here = self.folder / f"capture{len(words)}"
        with tarfile.open(fileobj=io.BytesIO(self._hand.read(f"{there}.tar"))) as tar:
            tar.extractall(here, filter="data")
        return here


@pytest.fixture(scope="module", params=sorted(WORKBENCH))
def guest(request: pytest.FixtureRequest, room: Room) -> Iterator[Guest]:
    why = obstacle()
    if why is not None:
        pytest.skip(why)
    room.leave()
    folder = fresh_folder(f"capture-{request.param}")
    with Guest(request.param, folder) as one:
        yield one
    if not request.session.testsfailed:
        shutil.rmtree(folder)


def test_a_capture_says_what_the_machine_said(guest: Guest) -> None:
    said = json.loads(guest.inventory)
    here = guest.capture()
    again = json.loads(json.dumps(inventory_document(take_inventory(seen_machine(here)))))
    for one in (said, again):
        # They measure the moment.
        one["machine"]["sensors"] = []
    assert again == said


def test_an_anonymised_capture_is_the_same_machine_under_other_numbers(guest: Guest) -> None:
    here = guest.capture("--anonymise")
    document = inventory_document(take_inventory(seen_machine(here)))
    said = json.loads(guest.inventory)
    assert [one["capacityBytes"] for one in document["drives"]] == [
        one["capacityBytes"] for one in said["drives"]
    ]
    assert [one["model"] for one in document["drives"]] == [one["model"] for one in said["drives"]]
    whole = "".join(path.read_text() for path in here.rglob("*.json"))
    for drive in said["drives"]:
        if drive["serial"]:
            assert drive["serial"] not in whole
    for port in said["machine"]["network"]:
        assert port["mac"] is None or port["mac"] not in whole
    keep = os.environ.get("RASURA_CAPTURES")
    if keep:
        shutil.copytree(here, Path(keep) / guest.name, dirs_exist_ok=True)
