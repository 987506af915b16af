// A laptop's battery and mains adapter for a machine under QEMU, which has none of its own.
// battery.aml is this file compiled: iasl -f -p battery battery.dsl (acpica-tools; -f, as it misjudges _BIX).
DefinitionBlock ("", "SSDT", 2, "RASURA", "BATTERY", 1)
{
    Scope (\_SB)
    {
        Device (ADP0)
        {
            Name (_HID, "ACPI0003")
            Name (_PCL, Package (0x01) { _SB })
            Method (_PSR) { Return (One) }
            Method (_STA) { Return (0x0F) }
        }
        Device (BAT0)
        {
            Name (_HID, EisaId ("PNP0C0A"))
            Name (_UID, Zero)
            Name (_PCL, Package (0x01) { _SB })
            Method (_STA) { Return (0x1F) }
            // Milliwatt-hours: 57000 by design, 48450 today (15 % worn), 312 cycles (ACPI 6.4 clause 10.2.2.2).
            Method (_BIX)
            {
                Return (Package ()
                {
                    Zero, Zero, 57000, 48450, One, 11400, 4845, 2422, 312, 95000,
                    0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 485, 485,
                    "RAS-4C57", "00512", "LION", "RASURA LAB"
                })
            }
            Method (_BST) { Return (Package () { Zero, Zero, 41182, 12010 }) }
        }
    }
}
