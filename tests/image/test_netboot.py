"""The image over the network, from pxe-serve: BIOS, UEFI by PXE and HTTP, and beside another DHCP server."""

from __future__ import annotations

from pathlib import Path

import pytest

from image import lan
from image.places import STATED_MIB, missing
from image.test_boot import boot_facts, check_boot
from lab.attached import Nic
from lab.machine import BOOT_S, Firmware, Machine, Media

why_not = missing() or lan.missing()
pytestmark = [
    pytest.mark.image,
    pytest.mark.root,
    pytest.mark.skipif(why_not is not None, reason=str(why_not)),
    pytest.mark.timeout(3 * BOOT_S),
]

SETTINGS = """
[station]
lang = "fr"
lot = "LOT-2026-002"

[menu]
default = "serial"
timeout = 1
"""
HTTP_BOOT = {"opt/org.tianocore/IPv4PXESupport": "n", "opt/org.tianocore/IPv6PXESupport": "n"}
PXE_ONLY = {"opt/org.tianocore/IPv6PXESupport": "n"}


@pytest.mark.parametrize(
    ("firmware", "fw_cfg", "mode"),
    [
        pytest.param(Firmware.BIOS, {}, "full", id="bios-ipxe"),
        pytest.param(Firmware.UEFI, PXE_ONLY, "full", id="uefi-pxe"),
        pytest.param(Firmware.UEFI, HTTP_BOOT, "full", id="uefi-http"),
        pytest.param(Firmware.SECURE_BOOT, PXE_ONLY, "full", id="secure-boot-pxe"),
        pytest.param(Firmware.SECURE_BOOT, HTTP_BOOT, "full", id="secure-boot-http"),
        pytest.param(Firmware.BIOS, {}, "proxy", id="proxy-bios-ipxe"),
        pytest.param(Firmware.SECURE_BOOT, PXE_ONLY, "proxy", id="proxy-secure-boot-pxe"),
    ],
)
def test_from_the_network(tmp_path: Path, firmware: Firmware, fw_cfg: dict[str, str], mode: str) -> None:
    with lan.lan() as network:
        if mode == "proxy":
            with lan.dhcp_of_the_site(network, tmp_path):
                _boots(network, tmp_path, firmware, fw_cfg, mode)
        else:
            _boots(network, tmp_path, firmware, fw_cfg, mode)


def _boots(network: lan.Lan, folder: Path, firmware: Firmware, fw_cfg: dict[str, str], mode: str) -> None:
    # By UEFI the firmware's own stack boots: QEMU's ROM would put iPXE, which is not signed, before it.
    model = "virtio-net-pci" if firmware is Firmware.BIOS else "virtio-net-pci,romfile="
    nic = Nic("tap,ifname=port0,script=no,downscript=no", model=model, bootindex=0)
    with (
        lan.pxe_serve(network, folder, SETTINGS, "--mode", mode),
        Machine(
            folder,
            Media(),
            firmware=firmware,
            attached={"nic": nic},
            memory_mib=STATED_MIB,
            fw_cfg=fw_cfg,
            within=network.within,
        ) as machine,
    ):
        facts = boot_facts(machine)
        # French by the settings, and an address from the network that it was booted from.
        machine.console.expect("Aucun disque trouvé", BOOT_S)
        assert "192.168.77." in machine.console.text
    check_boot(facts, firmware, "network")
