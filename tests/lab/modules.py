"""Kernel modules for the tests that no shipped image has, from the very package its kernel came from.

They are Debian's own, signed ones: they load under Secure Boot too.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

_WANTED = (
    "fs/configfs/configfs",
    "drivers/uio/uio",
    "drivers/target/target_core_mod",
    "drivers/target/target_core_user",
    "drivers/target/loopback/tcm_loop",
    "drivers/nvme/common/nvme-keyring",
    "drivers/nvme/common/nvme-auth",
    "drivers/nvme/host/nvme-core",
    "drivers/nvme/host/nvme-fabrics",
    "drivers/nvme/host/nvme-tcp",
    "drivers/md/dm-flakey",
)
"""In the order in which they have to be loaded; what the image has itself is loaded by then."""


class NoModulesError(Exception):
    """The package of the image's kernel is not in the cache."""


def lab_modules(packages: Path, folder: Path) -> tuple[Path, ...]:
    """The modules, unpacked into ``folder`` from the kernel package in the folder ``packages``."""
    found = sorted(packages.glob("linux-image-[0-9]*_amd64.deb"))
    if not found:
        raise NoModulesError(f"no kernel package in {packages}")
    # The signed kernel of one version; the meta-package has no number in its name.
    package = found[-1]
    target = folder / package.stem
    paths = tuple(target / f"{Path(one).name}.ko.xz" for one in _WANTED)
    if not all(path.exists() for path in paths):
        target.mkdir(parents=True, exist_ok=True)
        _unpack(package, target)
    return paths


def _unpack(package: Path, target: Path) -> None:
    wanted = {f"kernel/{one}.ko.xz" for one in _WANTED}
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for member in tar:
            place = member.name.partition("/kernel/")[2]
            source = tar.extractfile(member) if f"kernel/{place}" in wanted else None
            if source is not None:
                (target / Path(place).name).write_bytes(source.read())
                wanted.discard(f"kernel/{place}")
    if wanted:
        raise NoModulesError(f"{package.name} has no {', '.join(sorted(wanted))}")
