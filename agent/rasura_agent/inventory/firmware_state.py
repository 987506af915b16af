"""How the firmware booted this system, and the state of its TPM."""

from __future__ import annotations

from rasura_agent.inventory.firmware_text import Reading
from rasura_agent.inventory.machine_model import FirmwareKind, Tpm
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import children, raw, word

__all__ = ["boot_kind", "tpm"]

_EFI = "/sys/firmware/efi"
_SECURE_BOOT = f"{_EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""UEFI 2.10 clause 3.3; efivarfs puts four bytes of attributes before the one byte of value."""
_VARIABLE_BYTES = 5
_TPM = "/sys/class/tpm"
_ACPI = "/sys/firmware/acpi/tables"
_ACPI_TPMS = {"TPM2": "2.0", "TCPA": "1.2"}
"""ACPI tables that announce a TPM (TCG ACPI Specification 1.4)."""


def boot_kind(files: SystemFiles, reading: Reading) -> tuple[FirmwareKind | None, bool | None]:
    """How the system was booted, and whether Secure Boot is on."""
    if children(files, "/sys/firmware") is None:
        reading.note("how the firmware booted (/sys/firmware) cannot be read")
        return None, None
    if children(files, _EFI) is None:
        return FirmwareKind.BIOS, False
    variable = raw(files, _SECURE_BOOT)
    if variable is not None and len(variable) == _VARIABLE_BYTES:
        return FirmwareKind.UEFI, variable[-1] == 1
    if not children(files, f"{_EFI}/efivars"):
        reading.note("the firmware's variables (efivarfs) cannot be read: Secure Boot is not known")
        return FirmwareKind.UEFI, None
    # Firmware without the variable knows no Secure Boot (UEFI 2.10 clause 32.3).
    return FirmwareKind.UEFI, False


def tpm(files: SystemFiles, told_by_dmi: str | None, reading: Reading) -> Tpm:
    """The TPM as the kernel's driver sees it, else as the firmware announces it.

    ``told_by_dmi`` is the version in the SMBIOS table, if there is one.
    """
    chips = children(files, _TPM)
    if chips:
        folder = f"{_TPM}/{chips[0]}"
        version = {"1": "1.2", "2": "2.0"}.get(word(files, f"{folder}/tpm_version_major") or "")
        flags = [word(files, f"{folder}/device/{name}") for name in ("enabled", "active")]
        enabled = None if None in flags else flags == ["1", "1"]
        return Tpm(True, version or told_by_dmi, True if version == "2.0" else enabled, _maker(files, folder))
    tables = children(files, _ACPI)
    announced = told_by_dmi or next((_ACPI_TPMS[one] for one in tables or () if one in _ACPI_TPMS), None)
    if announced is not None:
        reading.note(f"the firmware announces a TPM {announced} that the kernel does not see")
        return Tpm(True, announced)
    if chips is None and tables is None:
        reading.note("whether there is a TPM cannot be read")
        return Tpm()
    return Tpm(False)


def _maker(files: SystemFiles, folder: str) -> str | None:
    """The manufacturer in a TPM 1.2's capabilities, four letters in hex."""
    for line in (word(files, f"{folder}/device/caps") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Manufacturer":
            try:
                letters = bytes.fromhex(value.strip().removeprefix("0x").rjust(8, "0"))
            except ValueError:
                return None
            text = letters.strip(b"\0 ").decode("ascii", "replace")
            return text if text.isalnum() else None
    return None
