"""Whatever is stacked on whatever: nothing under a mount is taken for free, and nothing else is refused."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura_agent.guard import Protection, examine
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.usage import gather_usage
from simulators.machine import Machine


@dataclass
class Grown:
    """A machine grown at random, and what lies under each of its devices, noted while growing."""

    machine: Machine
    under: dict[str, set[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)


@st.composite
def grown_machines(draw: st.DrawFn) -> Grown:
    # The kernel's exclusive open would hide a stack that was not traced: here it always says "free".
    grown = Grown(Machine(claims=False))
    machine = grown.machine
    machine.mount("/", "rootfs", fstype="tmpfs")
    for index in range(draw(st.integers(1, 4))):
        name = f"sd{'abcd'[index]}"
        machine.disk(name, f"/devices/pci0/ata{index}/host{index}/target/0:0:{index}:0/block/{name}")
        grown.under[name] = {name}
    for step in range(draw(st.integers(0, 8))):
        _grow(draw, grown, step)
    for step in range(draw(st.integers(0, 3))):
        _use(draw, grown, step)
    return grown


def _grow(draw: st.DrawFn, grown: Grown, step: int) -> None:
    machine, names = grown.machine, sorted(grown.under)
    below = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    under = set().union(*(grown.under[name] for name in below))
    kind = draw(st.sampled_from(["partition", "dm", "md", "loop", "file", "bcache"]))
    grown.log.append(f"{kind} {step} on {below}")
    if kind == "partition":
        disk = below[0]
        if machine.devices[disk].parent is None:
            grown.under[machine.partition(disk, step + 1)] = grown.under[disk]
        return
    if kind == "loop":
        below, under = below[:1], grown.under[below[0]]
        by_ioctl = draw(st.booleans())
        name = machine.loop(f"loop{step}", f"/dev/{below[0]}", device=below[0] if by_ioctl else None)
    elif kind == "file":
        below, under = below[:1], grown.under[below[0]]
        number = machine.mount(f"/mnt/{step}", device=below[0])
        by_ioctl = draw(st.booleans())
        path = "/hidden.img" if by_ioctl else f"/mnt/{step}/a file.img"
        name = machine.loop(f"loop{step}", path, file_id=(number, 5) if by_ioctl else None)
    else:
        uuid = draw(st.sampled_from(["LVM-x", "CRYPT-LUKS2-x", "mpath-x", ""])) if kind == "dm" else None
        name = machine.stack(f"dm-{step}" if kind == "dm" else f"{kind}{step}", *below, dm_uuid=uuid)
    grown.under[name] = under
    grown.used |= under


def _use(draw: st.DrawFn, grown: Grown, step: int) -> None:
    machine, device = grown.machine, draw(st.sampled_from(sorted(grown.under)))
    kind = draw(st.sampled_from(["mount", "root", "swap", "swap file", "btrfs", "overlay"]))
    grown.log.append(f"{kind} on {device}")
    if kind == "swap":
        machine.swap(f"/dev/{device}", device=device)
    elif kind == "btrfs":
        machine.mount(f"/use/{step}", f"/dev/{device}", fstype="btrfs")
        machine.btrfs(f"fs-{step}", device)
    else:
        machine.mount("/" if kind == "root" else f"/use/{step}", device=device)
    if kind == "swap file":
        machine.swap(f"/use/{step}/swap")
    elif kind == "overlay":
        machine.mount("/", "overlay", fstype="overlay", options=f"rw,lowerdir=/use/{step}/lower:/use/{step}")
    grown.used |= grown.under[device]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grown_machines())
def test_exactly_the_drives_under_something_in_use_are_refused(grown):
    machine = grown.machine
    drives = enumerate_drives(machine, machine).drives
    found = gather_usage(drives, machine, machine)
    refused = {d.path[5:] for d in drives if examine(d, found[d.path], Protection())}
    assert refused == grown.used, "\n".join(grown.log)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grown_machines(), st.data())
def test_a_source_that_cannot_be_read_never_frees_a_drive(grown, data):
    machine = grown.machine
    paths = ["/proc/self/mountinfo", "/proc/swaps", "/proc/cmdline", "/sys/class/block", "/sys/fs/btrfs"]
    paths += [
        f"{device.place}/{name}"
        for device in machine.devices.values()
        for name in ("slaves", "holders", "dev")
    ]
    machine.errors = {
        path: PermissionError(13, "Permission denied") for path in data.draw(st.lists(st.sampled_from(paths)))
    }
    drives = enumerate_drives(machine, machine).drives
    found = gather_usage(drives, machine, machine)
    for drive in drives:
        if drive.path[5:] in grown.used:
            assert examine(drive, found[drive.path], Protection()), "\n".join([*grown.log, *machine.errors])
