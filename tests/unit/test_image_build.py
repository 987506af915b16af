"""What the image is made of: archives, keep-lists, pins and the bill of materials."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import UsageError
from rasura_image import build
from rasura_image.agent_layer import locked_wheels, needed_distributions
from rasura_image.build import Builder
from rasura_image.cpio import write_cpio
from rasura_image.errors import BuildError, HostError
from rasura_image.keep import FileRules, ModuleRules, Patterns, parse_dependencies, parse_keep
from rasura_image.packages import Package, PackageCache, load_wanted, parse_stanzas
from rasura_image.payload import BuildFacts
from rasura_image.sbom import bill_of_materials
from rasura_image.settings import parse_settings
from rasura_image.tools import require, run
from rasura_image.tree import Entry, entries_of, filtered, names, picked, with_folders, write_tar

ROOT = Path(__file__).parents[2]
EPOCH = 1_700_000_000
NAMES = st.text(st.sampled_from("abcé-._"), min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)


def read_cpio(data: bytes) -> dict[str, tuple[int, bytes]]:
    """(mode, content) by name: a reader after the kernel's buffer-format.rst, apart from the writer."""
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at += (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found[name] = (fields[1], data[at : at + size])
        assert fields[2:4] == [0, 0], "everything belongs to root"
        at += (size + 3) // 4 * 4


@given(
    st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=6)
)
def test_a_cpio_gives_back_what_went_in(files: dict[str, bytes]) -> None:
    # A path that is a folder of another one cannot be a file.
    whole = {
        path: data for path, data in files.items() if not any(one.startswith(f"{path}/") for one in files)
    }
    stream = io.BytesIO()
    write_cpio(stream, [Entry.file(path, data) for path, data in whole.items()], EPOCH)
    read = read_cpio(stream.getvalue())
    assert {name: content for name, (mode, content) in read.items() if mode >> 12 == 0o10} == whole
    folders = {str(parent) for path in whole for parent in Path(path).parents} - {"."}
    assert {name for name, (mode, _) in read.items() if mode >> 12 == 0o4} == folders


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed (apt-get install cpio)")
def test_cpio_itself_reads_it(tmp_path: Path) -> None:
    with (tmp_path / "a.cpio").open("wb") as stream:
        entries = [Entry.file("bin/x", b"#!", 0o755), Entry.link("bin/y", "x"), Entry.folder("proc")]
        write_cpio(stream, entries, EPOCH, console=True)
    with (tmp_path / "a.cpio").open("rb") as stream:
        told = subprocess.run(
            ["cpio", "-itv"], stdin=stream, capture_output=True, text=True, check=True
        ).stdout
    lines = sorted(
        line.split()[0] + " " + line.split("  ")[-1].split(" ", 4)[-1][-12:] for line in told.splitlines()
    )
    assert sum(line.startswith("c") for line in lines) == 2, told
    assert sum(line.startswith("d") for line in lines) == 2, told
    assert sum(line.startswith("l") for line in lines) == 1, told
    assert sum(line.startswith("-rwxr-xr-x") for line in lines) == 1, told


def test_patterns_match_what_is_below() -> None:
    patterns = Patterns(["usr/share/man", "var/log/*", "a/[!c]*"])
    assert patterns.match("usr/share/man/fr/x.1")
    assert patterns.match("var/log/apt/history")
    assert patterns.match("a/b")
    assert not patterns.match("var/log")
    assert not patterns.match("usr/share/manual")
    assert not patterns.match("a/copyright")
    assert not Patterns([]).match("anything")


DEPENDENCIES = parse_dependencies(
    "kernel/fs/overlayfs/overlay.ko: kernel/lib/b.ko kernel/lib/a.ko\n"
    "kernel/lib/a.ko:\n"
    "kernel/lib/b.ko: kernel/lib/a.ko\n"
    "kernel/drivers/net/wireless/w.ko: kernel/lib/b.ko kernel/lib/a.ko\n"
)


def test_what_a_module_needs_comes_along() -> None:
    rules = ModuleRules(("fs/overlayfs/*", "drivers/net/*"), ("drivers/net/wireless/*",), ("overlay",))
    chosen = rules.choose(DEPENDENCIES)
    assert chosen == {"kernel/fs/overlayfs/overlay.ko", "kernel/lib/a.ko", "kernel/lib/b.ko"}
    assert rules.first_stage(DEPENDENCIES) == (
        "kernel/lib/a.ko",
        "kernel/lib/b.ko",
        "kernel/fs/overlayfs/overlay.ko",
    )


def test_a_module_that_the_boot_needs_and_that_is_not_there_stops_the_build() -> None:
    with pytest.raises(BuildError, match="no module 'squashfs'"):
        ModuleRules((), (), ("squashfs",)).first_stage(DEPENDENCIES)


@pytest.mark.parametrize(
    ("keep", "drop", "told"),
    [
        (
            ("fs/*", "drivers/vmd/*", "lib/a", "net/*"),
            (),
            "modules.keep: nothing matches drivers/vmd/*, net/*",
        ),
        (("fs/*",), ("fs/overlayfs", "crypto/*"), "modules.drop: nothing matches crypto/*"),
        # It is there and nobody keeps it.
        (("fs/*",), ("drivers/net/wireless/*",), "modules.drop: nothing matches drivers/net/wireless/*"),
        ((), ("lib/*",), "modules.drop: nothing matches lib/*"),
    ],
    ids=["keep", "drop", "not kept", "nothing kept"],
)
def test_a_pattern_of_modules_that_does_nothing_stops_the_build(
    keep: tuple[str, ...], drop: tuple[str, ...], told: str
) -> None:
    with pytest.raises(BuildError) as raised:
        ModuleRules(keep, drop, ()).choose(DEPENDENCIES)
    assert str(raised.value) == f"image/keep.toml, {told}"
    assert raised.value.hint is not None


def test_files_that_never_come_along_need_not_be_there() -> None:
    rules = FileRules(("usr/share/man", "etc/cron*"), ("usr/sbin/iscsi*",))
    paths = ["usr/share/man/x.1", "etc/cron.d", "usr/bin/x"]
    left_out = rules.left_out(paths)
    assert [path for path in paths if left_out.match(path)] == paths[:2]
    assert left_out.match("usr/sbin/iscsid")
    with pytest.raises(BuildError, match=r"files\.drop: nothing matches etc/cron\*$"):
        rules.left_out([*paths[:1], "usr/sbin/iscsid"])


def test_the_lists_of_the_project_can_be_read() -> None:
    keep = parse_keep((ROOT / "image/keep.toml").read_text())
    assert {"loop", "squashfs", "overlay"} <= set(keep.modules.initrd)
    assert "python3" in load_wanted(ROOT / "image/packages.toml").root
    with pytest.raises(BuildError, match=r"keep\.toml"):
        parse_keep("[modules]\nkeep = 1")


def test_stanzas() -> None:
    first, second = parse_stanzas("Package: a\nDescription: one\n more\n\nPackage: b\nVersion: 1:2\n")
    assert first["Description"] == "one\n more"
    assert second["Version"] == "1:2"


def test_the_agent_takes_its_own_needs_and_no_others() -> None:
    needed = needed_distributions()
    assert {
        "click",
        "cryptography",
        "cffi",
        "pycparser",
        "msgspec",
        "urllib3",
        "psutil",
        "pyudev",
        "jc",
        "pysmart",
    } <= needed
    assert not needed & {"fastapi", "uvicorn", "pytest", "babel", "rasura"}
    assert not needed & {"pygments", "ruamel-yaml", "xmltodict"}, "jc's command line is not taken along"
    lock = locked_wheels((ROOT / "requirements.lock").read_text(), needed)
    assert lock.count("==") == len(needed)
    assert lock.count("--hash=sha256:") >= len(needed)
    with pytest.raises(BuildError, match="does not pin nothing-such"):
        locked_wheels("click==8.0 \\\n    --hash=sha256:00\n", frozenset({"click", "nothing-such"}))


FACTS = BuildFacts("1.2.3", "c0ffee", {"vmlinuz": "aa", "base.squashfs": "bb"})


def test_the_build_hash_names_all_parts() -> None:
    document = json.loads(FACTS.encode())
    assert document["buildHash"] == FACTS.build_hash
    assert BuildFacts("9", "other", dict(reversed(FACTS.parts.items()))).build_hash == FACTS.build_hash
    assert BuildFacts("1.2.3", "c0ffee", {**FACTS.parts, "vmlinuz": "ab"}).build_hash != FACTS.build_hash


PACKAGES = (
    Package(
        "hdparm", "9.65+ds-1", "amd64", "hdparm (9.65+ds-1)", "ab" * 32, "hdparm.deb", frozenset({"root"})
    ),
    Package(
        "udev", "257.1~deb13u1", "amd64", "systemd (257)", "cd" * 32, "udev.deb", frozenset({"root", "tools"})
    ),
)


def test_the_bill_of_materials_is_valid_and_reproducible() -> None:
    lock = (
        "click==8.1.0 \\\n    --hash=sha256:00\n"
        "rfc3161-client==1.0 ; os_name == 'posix' \\\n    --hash=sha256:01\n"
    )
    text = bill_of_materials(FACTS, PACKAGES, lock, EPOCH)
    assert text == bill_of_materials(FACTS, PACKAGES[::-1], lock, EPOCH)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert {component["name"] for component in bom["components"]} == {
        "hdparm",
        "udev",
        "click",
        "rfc3161-client",
    }
    debian = next(one for one in bom["components"] if one["name"] == "hdparm")
    assert debian["purl"] == "pkg:deb/debian/hdparm@9.65%2Bds-1?arch=amd64&distro=trixie"
    assert debian["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_a_tar_holds_root_and_one_time_only(tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    with tarfile.open(base, "w") as archive:
        for name, kind in (
            ("./", tarfile.DIRTYPE),
            ("./dev/null", tarfile.CHRTYPE),
            ("./etc/motd", tarfile.REGTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mtime = kind, EPOCH + 999
            archive.addfile(info)
        info = tarfile.TarInfo("./usr/share/man/x.1")
        archive.addfile(info)
    for target in (tmp_path / "one.tar", tmp_path / "two.tar"):
        added = [Entry.file("etc/motd", b"hello"), Entry.link("usr/bin/x", "y")]
        write_tar(target, filtered(base, Patterns(["usr/share/man"])), added, EPOCH)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        members = {member.name: member for member in archive}
        assert {name.strip("./") for name in members} == {
            "",
            "etc",
            "etc/motd",
            "usr",
            "usr/bin",
            "usr/bin/x",
        }
        assert all(member.mtime <= EPOCH and member.uid == 0 for member in members.values())
        stream = archive.extractfile("etc/motd")
        assert stream is not None
        assert stream.read() == b"hello"


def test_of_a_tar_files_and_links_are_picked(tmp_path: Path) -> None:
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w") as archive:
        for name, kind, target in (
            ("./doc", tarfile.DIRTYPE, ""),
            ("./doc/a", tarfile.REGTYPE, ""),
            ("./doc/b", tarfile.SYMTYPE, "a"),
            ("./doc/c", tarfile.LNKTYPE, "./doc/a"),
            ("./etc/x", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"hello"))
    assert list(picked(source, Patterns(["doc"]))) == [
        Entry.file("doc/a", b"hello"),
        Entry.link("doc/b", "a"),
        Entry.file("doc/c", b"hello"),
    ]
    assert names(source) == ("doc", "doc/a", "doc/b", "doc/c", "etc/x")


def test_of_modes_only_the_executable_bit_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").write_text("")
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "b").chmod(0o711)
    assert [(one.path, one.mode) for one in entries_of(tmp_path, "etc")] == [
        ("etc/a", 0o644),
        ("etc/b", 0o755),
    ]
    assert [one.path for one in with_folders([Entry.file("x/y/z", b"")])] == ["x", "x/y", "x/y/z"]


def test_a_package_that_changed_in_the_cache_is_noticed(tmp_path: Path) -> None:
    """Without an archive to ask, a damaged cache must not become an image."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/hdparm.deb").write_bytes(b"not what the hash says")
    (tmp_path / "packages/Packages").write_text("")
    wanted = load_wanted(ROOT / "image/packages.toml")
    lock = {
        "wanted": {"root": wanted.root, "payload": wanted.payload, "tools": wanted.tools},
        "released": EPOCH,
        "packages": [
            {
                "name": "hdparm",
                "version": "1",
                "architecture": "amd64",
                "source": "hdparm (1)",
                "sha256": "ab" * 32,
                "file": "hdparm.deb",
                "uses": ["root"],
            }
        ],
    }
    (tmp_path / "packages.json").write_text(json.dumps(lock))
    with pytest.raises((BuildError, HostError)):
        PackageCache.open(tmp_path, wanted, update=False, mirror="file:///nonexistent")


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(HostError, match="no-such-program") as raised:
        require({"no-such-program": "its-package", "sh": "dash"})
    assert raised.value.hint == "apt-get install its-package"


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(BuildError, match="the reason"):
        run(["sh", "-c", "echo the reason >&2; exit 3"])
    with pytest.raises(BuildError) as raised:
        run(["sh", "-c", "printf 'one\\n\\n  two\\n' >&2; exit 3"])
    assert str(raised.value) == "sh failed (3): one; two", "on one line, as sentences are shown"


def test_the_settings_of_the_documentation_are_understood() -> None:
    text = (ROOT / "image/NETBOOT.md").read_text().split("```toml\n", 1)[1].split("```", 1)[0]
    assert parse_settings(text).station.policy == "purge"


@pytest.fixture
def building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """A builder that must not come to build."""

    def nothing(_programs: object) -> None:
        raise AssertionError("it began to build")

    monkeypatch.setattr(build, "require", nothing)
    return Builder(ROOT, tmp_path / "cache", lambda _step: None)


def _earlier(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_only_an_empty_folder_or_an_earlier_build_is_replaced(building: Builder, tmp_path: Path) -> None:
    photos, empty = _earlier(tmp_path / "photos", "a.jpg", "build.json"), _earlier(tmp_path / "empty")
    image, file = _earlier(tmp_path / "image", "build.json", "SHA256SUMS", "rasura.iso"), tmp_path / "file"
    file.write_text("")
    for target, reason in (
        (photos, "neither empty nor an image"),
        (file, "is no folder"),
        (tmp_path / "cache/image", "must not lie in each other"),
        (tmp_path, "must not lie in each other"),
        (Path("/proc/x/image"), "cannot write to /proc/x"),
        (file / "image", "cannot look into|cannot write to|is no folder"),
    ):
        with pytest.raises(UsageError, match=reason):
            building.build(target)
    assert {path.name for path in photos.iterdir()} == {"a.jpg", "build.json"}
    for target in (empty, image, tmp_path / "new", tmp_path / "a/b/new"):
        with pytest.raises(AssertionError, match="began"):
            building.build(target)
    assert len(list(image.iterdir())) == 3
    assert not list(tmp_path.glob(".*"))


def test_a_cache_that_cannot_be_is_one_sentence(building: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (Path("/proc/nope"), Path("/proc"), tmp_path / "file"):
        with pytest.raises(UsageError, match=f"cannot write to {cache}") as raised:
            Builder(ROOT, cache, lambda _step: None).build(tmp_path / "image")
        assert raised.value.hint == "name another --cache"


def test_what_lies_beside_an_image_stays(tmp_path: Path) -> None:
    new, target, old = tmp_path / "new", tmp_path / "image", tmp_path / "image.old"
    for folder, content in ((new, "new"), (target, "before"), (old, "somebody's")):
        folder.mkdir()
        (folder / "file").write_text(content)
    build._replace(new, target)
    assert (target / "file").read_text() == "new"
    assert (old / "file").read_text() == "somebody's"
    assert {path.name for path in tmp_path.iterdir()} == {"image", "image.old"}


class TestSystem:
    """How the live system is set up, as far as its files tell."""

    folder = ROOT / "image/rootfs"

    def test_nobody_logs_in_and_nothing_restarts_by_itself(self) -> None:
        units = self.folder / "etc/systemd/system"
        for name in (
            "getty@.service",
            "serial-getty@.service",
            "ctrl-alt-del.target",
            "fstrim.timer",
            "debug-shell.service",
        ):
            assert str((units / name).readlink()) == "/dev/null"
        manager = (self.folder / "etc/systemd/system.conf.d/rasura.conf").read_text()
        assert "CrashAction=freeze" in manager
        assert "CtrlAltDelBurstAction=none" in manager
        assert "kernel.panic = 0" in (self.folder / "etc/sysctl.d/50-rasura.conf").read_text()

    def test_a_shell_and_the_tests_hook_need_their_words_on_the_command_line(self) -> None:
        units = self.folder / "etc/systemd/system"
        assert "ConditionKernelCommandLine=rasura.shell=1\n" in (units / "rasura-shell.service").read_text()
        hook = (units / "rasura-test.service").read_text()
        assert "ConditionKernelCommandLine=rasura.test=fw_cfg\n" in hook
        assert "ConditionVirtualization=vm\n" in hook

    def test_every_link_of_a_wanted_unit_leads_somewhere(self) -> None:
        own = [path for path in (self.folder / "etc/systemd/system").glob("*.wants/*") if path.is_symlink()]
        assert own
        for path in own:
            target = str(path.readlink())
            assert target.startswith("/usr/lib/systemd/system/") or (path.parent / target).is_file(), path

    def test_packages_toml_names_no_server_that_would_listen(self) -> None:
        names = tomllib.loads((ROOT / "image/packages.toml").read_text())["root"]
        assert not [name for name in names if "ssh" in name or name.endswith("-server")]
