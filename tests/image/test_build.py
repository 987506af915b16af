"""The image as files: complete, small enough, described, and the same when it is built again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from image.places import IMAGE, ISO, NETBOOT, ROOT, missing
from rasura_agent.live.iso9660 import read_file
from rasura_image.build import Builder
from rasura_image.licences import ARCHIVE
from rasura_image.payload import BuildFacts

pytestmark = [pytest.mark.image, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

MEGABYTE = 1_000_000


def test_the_checksums_name_every_file() -> None:
    sums = dict(reversed(line.split("  ", 1)) for line in (IMAGE / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(IMAGE)) for path in IMAGE.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert sums.keys() == {name for name in files if not name.endswith(".minisig")}
    for name, digest in sums.items():
        assert hashlib.sha256((IMAGE / name).read_bytes()).hexdigest() == digest


def test_it_is_small_enough() -> None:
    assert ISO.stat().st_size < 150 * MEGABYTE


def test_the_build_hash_follows_from_the_parts() -> None:
    document = json.loads((IMAGE / "build.json").read_text())
    facts = BuildFacts(document["version"], document["commit"], document["parts"])
    assert facts.build_hash == document["buildHash"]
    vmlinuz = hashlib.sha256((NETBOOT / "rasura/vmlinuz").read_bytes()).hexdigest()
    assert document["parts"]["vmlinuz"] == vmlinuz
    # The initrd begins with the first stage, padded, and holds the layers.
    bill = json.loads((IMAGE / "sbom.json").read_text())
    assert {"name": "rasura:buildHash", "value": facts.build_hash} in bill["metadata"]["component"][
        "properties"
    ]


def test_everything_in_the_bill_of_materials_has_its_licence() -> None:
    with zipfile.ZipFile(NETBOOT / ARCHIVE) as archive:
        texts = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    lines = [line.split() for line in texts["INDEX.txt"].split("\n\n")[-1].splitlines()]
    licensed = {
        (kind, name, version)
        for kind, name, version, file, *_ in lines
        if re.search("licen[cs]|redistribut|permission", texts[file], re.IGNORECASE)
    }
    components = json.loads((IMAGE / "sbom.json").read_text())["components"]
    kinds = {"pkg:deb": "debian", "pkg:pypi": "python"}
    named = {(kinds[one["purl"].split("/", 1)[0]], one["name"], one["version"]) for one in components}
    assert len(named) == len(components) > 150
    assert not named - licensed
    assert ("rasura", "rasura", json.loads((IMAGE / "build.json").read_text())["version"]) in licensed
    with ISO.open("rb") as stream:
        on_iso = read_file(lambda at, size: os.pread(stream.fileno(), size, at), ARCHIVE)
    assert on_iso == (NETBOOT / ARCHIVE).read_bytes()


def test_no_secret_is_in_what_is_served() -> None:
    for path in NETBOOT.rglob("*"):
        if path.is_file() and path.name not in {"initrd", "vmlinuz"}:
            assert b"PRIVATE KEY" not in path.read_bytes(), path


@pytest.mark.timeout(900)
def test_built_again_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same packages, in another folder, with nothing else kept."""
    cache = tmp_path / "cache"
    cache.mkdir()
    kept = ROOT / "build/cache"
    shutil.copytree(kept / "packages", cache / "packages", copy_function=os.link)
    shutil.copy(kept / "packages.json", cache / "packages.json")
    again = Builder(ROOT, cache, lambda _: None).build(tmp_path / "image")
    assert json.loads((IMAGE / "build.json").read_text()) == json.loads(again.facts.encode())
    assert (IMAGE / "SHA256SUMS").read_text() == (again.folder / "SHA256SUMS").read_text()
