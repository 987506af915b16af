"""Temperature, bandwidth, starts one after the other, and memory for many drives."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.erase.buffers import ROOM_BYTES
from rasura_agent.erase.events import Event, Noted, Paused, Phase, Progress
from rasura_agent.erase.pacing import Budget, MachinePace, Pace, Pacer, Thermostat, transfer_room
from rasura_agent.erase.policy import PolicyError, load_policy, parse_policy
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.temperature import HwmonThermometer
from simulators.block import simulated_drive
from simulators.world import ManualClock

MB = 1_000_000


@dataclass
class WarmDrives:
    """A thermometer whose readings a test scripts; the last one stays."""

    readings: list[float | None]
    looks: int = 0

    def celsius(self, _drive: Drive) -> float | None:
        self.looks += 1
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


@dataclass
class Bench:
    """One drive and its pacer."""

    pace: Pace = field(default_factory=Pace)
    readings: list[float | None] = field(default_factory=lambda: [None])
    drive: Drive = field(default_factory=lambda: simulated_drive(1 << 30))
    stopped_after_s: float = float("inf")

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[Event] = []
        self.machine = MachinePace(self.pace, self.clock, WarmDrives(self.readings))
        self.pacer = Pacer(
            self.machine,
            self.drive,
            lambda: self.clock.monotonic() >= self.stopped_after_s,
            self.told.append,
        )

    def move(self, done: int, step: int = 1, phase: Phase = Phase.WRITE, start: int = 0) -> float:
        """How long the pacer holds the drive back."""
        before = self.clock.monotonic()
        total = self.drive.capacity_bytes
        self.pacer.after(Progress(self.drive.path, phase, step, 2, done, total, before, start))
        return self.clock.monotonic() - before


def test_without_a_limit_nothing_waits() -> None:
    bench = Bench()
    assert sum(bench.move(count * MB) for count in range(1, 100)) == 0


def test_a_drive_keeps_to_its_bandwidth() -> None:
    bench = Bench(Pace(drive_bytes_s=10 * MB))
    waited = [bench.move(count * MB) for count in range(1, 101)]
    assert sum(waited) == pytest.approx(10.0)
    assert max(waited) == pytest.approx(0.1)
    assert bench.move(MB, step=2) == pytest.approx(0.1)


def test_what_an_earlier_boot_wrote_costs_nothing() -> None:
    bench = Bench(Pace(drive_bytes_s=10 * MB))
    assert bench.move(901 * MB, start=900 * MB) == pytest.approx(0.1)


def test_a_drive_that_erases_itself_is_not_held_back() -> None:
    bench = Bench(Pace(drive_bytes_s=1), [99.0])
    assert bench.move(900 * MB, phase=Phase.COMMAND) == 0


@given(
    rate=st.integers(1, 10**10),
    takes=st.lists(st.tuples(st.integers(1, 1 << 22), st.floats(0, 5)), min_size=1, max_size=50),
)
def test_a_budget_is_never_overdrawn_nor_saved_up(rate: int, takes: list[tuple[int, float]]) -> None:
    budget, now, moved = Budget(rate), 0.0, 0
    for count, idle in takes:
        now += idle
        owed = budget.owed_s(count, now)
        assert owed >= count / rate * (1 - 1e-6)  # what was not used before is gone
        now += owed
        moved += count
        assert moved <= rate * now * (1 + 1e-6) + 1


def test_drives_that_share_a_machine_share_it_fairly() -> None:
    """Each of 64 waits for its own turn; whoever asks again stands behind the others."""
    budget = Budget(64 * MB)
    ready = dict.fromkeys(range(64), 0.0)
    moved = dict.fromkeys(range(64), 0)
    for _ in range(64 * 50):
        drive = min(ready, key=lambda one: (ready[one], one))
        moved[drive] += MB
        ready[drive] += budget.owed_s(MB, ready[drive])
    assert max(moved.values()) - min(moved.values()) <= MB


@given(above=st.integers(40, 80), gap=st.integers(0, 20), readings=st.lists(st.floats(0, 100)))
def test_a_thermostat_has_hysteresis(above: int, gap: int, readings: list[float]) -> None:
    thermostat = Thermostat(above, above - gap)
    rested = False
    for celsius in readings:
        rests = thermostat.rests(celsius)
        if celsius > above:
            assert rests
        elif celsius < above - gap:
            assert not rests
        else:
            assert rests == (rested and celsius >= above - gap)
        rested = rests
    assert not thermostat.rests(None)


def test_a_warm_drive_rests_until_it_is_cool() -> None:
    bench = Bench(readings=[59.0, 61.0, 58.0, 56.0, 54.0])
    assert bench.move(MB) == 0
    bench.clock.sleep(10)
    assert bench.move(2 * MB) == pytest.approx(10, abs=1)
    assert [event for event in bench.told if isinstance(event, Paused)] == [
        Paused(bench.drive.path, 61.0, 55),
        Paused(bench.drive.path, 54.0, 55, over=True),
    ]


def test_ssds_may_be_warmer_and_policies_say_otherwise() -> None:
    ssd = simulated_drive(1 << 30, rotational=False)
    assert Bench(readings=[70.0], drive=ssd).move(MB) == 0
    cautious = Pace(pause_above_celsius=45, go_on_below_celsius=40)
    assert Bench(cautious, [46.0, 43.0, 39.0], ssd).move(MB) > 0


def test_an_unknown_temperature_stops_nothing_and_is_said() -> None:
    bench = Bench(readings=[None])
    bench.pacer.start()
    assert [event.sentence for event in bench.told if isinstance(event, Noted)] == [
        "its temperature is not known, so that it is not watched"
    ]
    assert bench.move(MB) == 0
    virtual = Bench(drive=simulated_drive(1 << 30, transport=Transport.FILE))
    virtual.pacer.start()
    assert virtual.told == []


def test_a_sensor_that_is_lost_while_it_rests_ends_the_rest() -> None:
    bench = Bench(readings=[65.0, 64.0, None])
    assert bench.move(MB) < 20


def test_a_stuck_sensor_holds_a_drive_for_an_hour_only() -> None:
    bench = Bench(readings=[65.0])
    assert 3600 <= bench.move(MB) < 3700
    assert "stuck" in next(event.sentence for event in bench.told if isinstance(event, Noted))
    bench.clock.sleep(10)
    assert bench.move(2 * MB) == 0


@pytest.mark.parametrize("pace", [Pace(), Pace(drive_bytes_s=1)], ids=["too warm", "slow"])
def test_a_stop_is_noticed_while_it_waits(pace: Pace) -> None:
    bench = Bench(pace, [65.0], stopped_after_s=20)
    assert bench.move(500 * MB) < 26


def test_disks_start_one_after_the_other() -> None:
    bench = Bench(Pace(start_stagger_s=2))
    ssd = simulated_drive(1 << 30, rotational=False)
    assert [bench.machine.start_in_s(bench.drive) for _ in range(4)] == [0, 2, 4, 6]
    assert bench.machine.start_in_s(ssd) == 0
    bench.clock.sleep(100)
    assert bench.machine.start_in_s(bench.drive) == 0


@given(drives=st.integers(1, 200))
def test_room_shrinks_so_that_memory_is_bounded(drives: int) -> None:
    room = transfer_room(drives)
    assert room % 4096 == 0
    assert 256 << 10 <= room <= ROOM_BYTES
    if drives <= 640:
        assert room * drives <= 160 << 20
    assert transfer_room(1) == ROOM_BYTES


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("pause_above_celsius = 60", "go together"),
        ("pause_above_celsius = 50\ngo_on_below_celsius = 50", "lower temperature"),
        ("pause_above_celsius = 50\ngo_on_below_celsius = -1", "lower temperature"),
        ("drive_mb_s = -1", "at least 0"),
        ("drive_mb_s = 1.5", "a whole number"),
        ("start_stagger_s = true", "a whole number"),
        ("speed = 3", "unknown key"),
    ],
)
def test_policies_that_make_no_sense(lines: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        parse_policy(f'name = "x"\n[erase]\nmethod = "Clear"\n[pace]\n{lines}\n'.encode())


def test_what_a_policy_says_of_pace() -> None:
    text = (
        'name = "x"\n[erase]\nmethod = "Clear"\n[pace]\npause_above_celsius = 50\ngo_on_below_celsius = 45\n'
        "drive_mb_s = 100\nmachine_mb_s = 400\nstart_stagger_s = 0\n"
    )
    assert parse_policy(text.encode()).pace == Pace(50, 45, 100 * MB, 400 * MB, 0)
    assert load_policy("clear-zero").pace == Pace()


@dataclass
class Files:
    """Files by path; folders follow from them."""

    files: dict[str, bytes]

    def read_bytes(self, path: str) -> bytes:
        if path not in self.files:
            raise OSError(errno.ENOENT, "No such file or directory")
        return self.files[path]

    def list_dir(self, path: str) -> list[str]:
        below = [one.removeprefix(path + "/") for one in self.files if one.startswith(path + "/")]
        if not below:
            raise OSError(errno.ENOENT, "No such file or directory")
        return sorted({one.split("/")[0] for one in below})

    def real_path(self, path: str) -> str:
        return path


def sensor(folder: str, degrees: bytes = b"41000\n", name: bytes = b"drivetemp\n") -> dict[str, bytes]:
    return {f"{folder}/name": name, f"{folder}/temp1_input": degrees}


DEVICE = "/sys/dev/block/8:0/device"


@pytest.mark.parametrize(
    ("files", "celsius"),
    [
        (sensor(f"{DEVICE}/hwmon/hwmon3"), 41.0),
        (sensor(f"{DEVICE}/hwmon3", name=b"nvme"), 41.0),
        (sensor(f"{DEVICE}/nvme0/hwmon3", name=b"nvme"), 41.0),
        (sensor(f"{DEVICE}/hwmon/hwmon3", name=b"acpitz"), None),
        (sensor(f"{DEVICE}/hwmon/hwmon3", b"-128000"), None),
        (sensor(f"{DEVICE}/hwmon/hwmon3", b"255000"), None),
        (sensor(f"{DEVICE}/hwmon/hwmon3", b""), None),
        ({}, None),
    ],
)
def test_thermometers_of_the_kernel(files: dict[str, bytes], celsius: float | None) -> None:
    thermometer = HwmonThermometer(Files(files))
    drive = simulated_drive(1 << 30)
    assert thermometer.celsius(drive) == celsius
    assert thermometer.celsius(drive) == celsius
    assert thermometer.celsius(simulated_drive(1 << 30, device_number=None)) is None


def test_a_sensor_that_goes_away() -> None:
    files = Files(sensor(f"{DEVICE}/hwmon/hwmon3"))
    thermometer = HwmonThermometer(files)
    assert thermometer.celsius(simulated_drive(1 << 30)) == 41.0
    files.files.clear()
    assert thermometer.celsius(simulated_drive(1 << 30)) is None
