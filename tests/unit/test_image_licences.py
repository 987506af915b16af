"""The archive of licences: complete, each text once, the same bytes from the same input."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from rasura_image.errors import BuildError
from rasura_image.licences import DOCUMENTS, licence_archive
from rasura_image.packages import Package
from rasura_image.tree import Entry

DOC, COMMON = "usr/share/doc", "usr/share/common-licenses"
LOCK = "rfc3161-client==1.0 \\\n    --hash=sha256:00\nclick==8.1.0 \\\n    --hash=sha256:01\n"


def package(name: str) -> Package:
    return Package(name, "1-2", "amd64", f"{name}-source (1)", "ab" * 32, f"{name}.deb", frozenset({"root"}))


HDPARM, FIRMWARE = package("hdparm"), package("firmware-misc")
DOCUMENTED = (
    Entry.file(f"{COMMON}/GPL-3", b"the GPL, 3"),
    Entry.link(f"{COMMON}/GPL", "GPL-3"),
    Entry.file(f"{DOC}/hdparm/copyright", b"hdparm's"),
    Entry.file(f"{DOC}/hdparm/changelog.gz", b"no licence"),
    Entry.file(f"{DOC}/firmware-misc/copyright", b"all firmware's"),
)
WHEELS = (
    Entry.file("click-8.1.0.dist-info/licenses/LICENSE.txt", b"click's"),
    Entry.file("click-8.1.0.dist-info/METADATA", b"no licence"),
    Entry.file("click/licenses/LICENSE", b"no licence of the wheel"),
    Entry.file("rfc3161_client-1.0.dist-info/COPYING", b"the client's"),
    Entry.file("rfc3161_client-1.0.dist-info/licenses/vendored/LICENSE.APACHE", b"what is in it"),
    Entry.folder("rfc3161_client-1.0.dist-info/licenses"),
)


def files(
    packages: Iterable[Package] = (HDPARM, FIRMWARE),
    documents: Iterable[Entry] = DOCUMENTED,
    wheels: Iterable[Entry] = WHEELS,
) -> dict[str, str]:
    archive = licence_archive("1.2", b"EUPL", packages, documents, LOCK, wheels)
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        assert read.testzip() is None
        return {name: read.read(name).decode() for name in read.namelist()}


def index(found: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """The files of each part, by kind and name."""
    lines = [line.split() for line in found["INDEX.txt"].split("\n\n")[-1].splitlines()]
    parts: dict[tuple[str, str], list[str]] = {}
    for kind, name, _version, file, *_source in lines:
        parts.setdefault((kind, name), []).append(file)
    return parts


def test_every_part_has_a_line_and_a_text() -> None:
    found = files()
    told = {key: [found[file] for file in named] for key, named in index(found).items()}
    assert told == {
        ("rasura", "rasura"): ["EUPL"],
        ("text", "/usr/share/common-licenses/GPL"): ["the GPL, 3"],
        ("text", "/usr/share/common-licenses/GPL-3"): ["the GPL, 3"],
        ("debian", "hdparm"): ["hdparm's"],
        ("debian", "firmware-misc"): ["all firmware's"],
        ("python", "click"): ["click's"],
        ("python", "rfc3161-client"): ["the client's", "what is in it"],
    }
    assert "hdparm-source (1)" in found["INDEX.txt"]
    assert set(found) == {"INDEX.txt", *(file for named in index(found).values() for file in named)}


def test_a_text_is_there_once() -> None:
    others = [package(f"firmware-{name}") for name in "abc"]
    same = [Entry.file(f"{DOC}/{one.name}/copyright", b"all firmware's") for one in others]
    found = files([HDPARM, FIRMWARE, *others], [*DOCUMENTED, *same])
    texts = list(found.values())
    assert len(set(texts)) == len(texts)
    assert index(found)["debian", "firmware-misc"] == index(found)["debian", "firmware-c"]


@pytest.mark.parametrize(
    "links",
    [
        [Entry.link(f"{DOC}/kmod", "hdparm")],
        [Entry.link(f"{DOC}/kmod", "../doc/./hdparm")],
        [Entry.link(f"{DOC}/kmod", "/usr/share/doc/hdparm")],
        [Entry.folder(f"{DOC}/kmod"), Entry.link(f"{DOC}/kmod/copyright", "../hdparm/copyright")],
        [Entry.link(f"{DOC}/kmod", "other"), Entry.link(f"{DOC}/other", "hdparm")],
    ],
    ids=["folder", "dots", "absolute", "file", "twice"],
)
def test_a_package_may_share_the_folder_of_another(links: list[Entry]) -> None:
    found = files([HDPARM, FIRMWARE, package("kmod")], [*DOCUMENTED, *links])
    assert index(found)["debian", "kmod"] == index(found)["debian", "hdparm"]


@pytest.mark.parametrize(
    "instead",
    [
        [],
        [Entry.file(f"{DOC}/kmod/copyright", b" \n")],
        [Entry.folder(f"{DOC}/kmod/copyright")],
        [Entry.file(f"{DOC}/kmod/README", b"no copyright file")],
        [Entry.link(f"{DOC}/kmod", "nowhere")],
        [Entry.link(f"{DOC}/kmod", "kmod")],
        [Entry.link(f"{DOC}/kmod", "../../../../../../etc")],
        [Entry.link(f"{DOC}/kmod", "a"), Entry.link(f"{DOC}/a", "kmod")],
    ],
    ids=["nothing", "empty", "folder", "other", "dangling", "itself", "outside", "circle"],
)
def test_a_package_without_a_copyright_file_stops_the_build(instead: list[Entry]) -> None:
    with pytest.raises(BuildError, match=r"no copyright file came with a2, kmod$") as raised:
        files([package("kmod"), HDPARM, package("a2")], [*DOCUMENTED, *instead])
    assert "image/packages.toml" in str(raised.value.hint)


@pytest.mark.parametrize(
    "wheels", [WHEELS[1:], [*WHEELS[1:], replace(WHEELS[0], content=b"\n")]], ids=["none", "empty"]
)
def test_a_wheel_without_a_licence_stops_the_build(wheels: list[Entry]) -> None:
    with pytest.raises(BuildError, match=r"no licence came with the wheel of click$") as raised:
        files(wheels=wheels)
    assert "requirements.lock" in str(raised.value.hint)


def test_copyright_files_that_refer_to_nothing_stop_the_build() -> None:
    with pytest.raises(BuildError, match="nothing is in /usr/share/common-licenses"):
        files(documents=DOCUMENTED[1:])


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_bytes(b"hdparm's")
    again = (*DOCUMENTED[::-1], Entry.file(f"{DOC}/hdparm/copyright", tmp_path / "copyright"))
    assert licence_archive("1", b"EUPL", (HDPARM, FIRMWARE), DOCUMENTED, LOCK, WHEELS) == licence_archive(
        "1", b"EUPL", (FIRMWARE, HDPARM), again, LOCK, WHEELS[::-1]
    )


def test_what_is_looked_for_in_packages() -> None:
    for path in ("doc/kmod", "doc/hdparm/copyright", "common-licenses", "common-licenses/GPL"):
        assert DOCUMENTS.match(f"usr/share/{path}")
    for path in ("doc", "doc-base/x", "common-licenses.d", "man/man1/a.1"):
        assert not DOCUMENTS.match(f"usr/share/{path}")
