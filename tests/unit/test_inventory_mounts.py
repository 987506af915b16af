"""The kernel's tables of mounts and swap areas, and its command line."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.inventory.mounts import (
    MountEntry,
    SourceError,
    SwapEntry,
    layer_paths,
    mounts_at,
    parse_mountinfo,
    parse_parameters,
    parse_swaps,
)

HEADING = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def test_mountinfo():
    entries = parse_mountinfo(
        b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
        b"36 27 0:31 /home /home rw shared:1 master:2 - btrfs /dev/sda2 rw,subvol=/@home\n"
        rb"40 27 8:17 / /mnt/a\040b\134c rw - vfat /dev/sdb1 rw" + b"\n"
        b"41 27 0:40 / /t rw - tmpfs  rw\n"
    )
    assert entries == (
        MountEntry((254, 0), "/", "ext4", "/dev/vda", ("rw", "discard")),
        MountEntry((0, 31), "/home", "btrfs", "/dev/sda2", ("rw", "subvol=/@home")),
        MountEntry((8, 17), "/mnt/a b\\c", "vfat", "/dev/sdb1", ("rw",)),
        MountEntry((0, 40), "/t", "tmpfs", "", ("rw",)),
    )


@pytest.mark.parametrize(
    "line",
    [
        b"27 1 254:0 / / rw ext4 /dev/vda rw",
        b"27 1 254 / / rw - ext4 x rw",
        b"27",
        b"27 1 8:0 / / rw - ext4",
        b"-",
    ],
)
def test_a_line_of_mountinfo_that_is_not_understood_is_never_skipped(line):
    with pytest.raises(SourceError):
        parse_mountinfo(b"27 1 254:0 / / rw - ext4 /dev/vda rw\n" + line + b"\n")


def test_swaps():
    assert parse_swaps(HEADING) == ()
    lines = b"/dev/sda2 partition 1 0 -2\n" + rb"/mnt/swap\040file file 1 0 -3" + b"\n"
    assert parse_swaps(HEADING + lines) == (SwapEntry("/dev/sda2", False), SwapEntry("/mnt/swap file", True))
    deleted = rb"/mnt/swap\040(deleted) file 1 0 -3"
    assert parse_swaps(HEADING + deleted) == (SwapEntry("/mnt/swap", True),)


@pytest.mark.parametrize("data", [b"", b"/dev/sda2 partition 1 0 -2\n", HEADING + b"/dev/sda2 partition\n"])
def test_swaps_that_are_not_understood(data):
    with pytest.raises(SourceError):
        parse_swaps(data)


def test_parameters():
    line = (
        b'BOOT_IMAGE=/vmlinuz quiet rasura.medium=LABEL="RASURA LIVE" "dyndbg=file a" rasura.medium=UUID=1\n'
    )
    found = parse_parameters(line)
    assert found["rasura.medium"] == "UUID=1", "the last of a name counts"
    assert found["dyndbg"] == "file a"
    assert found["quiet"] == ""
    assert parse_parameters(b'a="b c') == {"a": "b c"}


def test_layers_of_an_overlay():
    entry = parse_mountinfo(
        rb"30 1 0:30 / / rw - overlay o rw,lowerdir=/a:/b\134:c::/d,upperdir=/u\054x,workdir=/w,"
        b"lowerdir+=/e:f\n"
    )[0]
    assert layer_paths(entry) == ("/a", "/b:c", "/d", "/u,x", "/w", "/e:f")


def test_a_path_lies_on_the_longest_mount_point_above_it():
    places = ["/", "/", "/run", "/run/live/medium", "/runner"]
    mounts = [MountEntry((0, i), place, "ext4", "", ()) for i, place in enumerate(places)]
    found = {
        path: [m.number[1] for m in mounts_at(mounts, path)]
        for path in ("/x", "//run/live", "/run/live/medium/f")
    }
    assert found == {"/x": [0, 1], "//run/live": [2], "/run/live/medium/f": [3]}
    assert mounts_at(mounts, "relative") == []


path_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@settings(deadline=None)
@given(path_text, path_text)
def test_any_mount_point_survives_the_kernel_escapes(mountpoint, source):
    def escaped(value: str) -> bytes:
        return re.sub(rb"[ \t\n\\]", lambda m: b"\\%03o" % m[0][0], value.encode())

    line = b"1 1 8:1 / /" + escaped(mountpoint) + b" rw - ext4 " + escaped(source) + b" rw\n"
    [entry] = parse_mountinfo(line)
    assert (entry.mountpoint, entry.source) == ("/" + mountpoint, source)


@settings(deadline=None)
@given(st.binary())
def test_garbage_raises_our_error_only(garbage):
    for parse in (parse_mountinfo, parse_swaps, parse_parameters):
        with contextlib.suppress(SourceError):
            parse(garbage)


@settings(deadline=None)
@given(st.lists(st.text(max_size=20)))
def test_layers_of_any_options(options):
    assert all(layer_paths(MountEntry((0, 1), "/", "overlay", "o", tuple(options))))
