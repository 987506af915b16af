"""EDID blocks of real displays: every one is decoded, or refused for a reason that is known.

The names of the files tell maker and model. A serial number is the display's own text where it has one;
GLPI's agent composes Acer's of text and number, and gives the text as the alternative one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rasura_agent.inventory.displays import describe_display
from rasura_agent.inventory.firmware_text import Reading

pytestmark = pytest.mark.corpus

Known = tuple[str | None, str | None, tuple[int, int] | None, float | None]
"""Model, serial number, native resolution, inches."""
KNOWN: dict[str, Known] = {
    "EV2785": ("EV2785", "68056070", (3840, 2160), 27.0),
    "lcd.dell-U2415": ("DELL U2415", "7MT019AI34EU", (1920, 1200), 24.1),
    "acer-k242hql": ("Acer K242HQL", "T2JEE0144223", (1920, 1080), 23.5),
    "lcd.iiyama-pl2409hd": ("PL2409HD", "11004M0C00313", (1920, 1080), 23.5),
    "lcd.philips-288p6-hdmi": ("Philips 288P6", "6456", (3840, 2160), 27.9),
    "lcd.samsung-s22c450": ("S22C450", "H4MF200047", (1680, 1050), 21.9),
    # The panel of a laptop has no name: its part number stands for it.
    "lcd.lenovo-w500": ("LTN154U2-L05", None, (1920, 1200), 15.4),
    "lcd.fujitsu-a171": ("A17-1", "YEEP525344", (1280, 1024), 17.1),
    # A projector has no size, and a tube no native resolution.
    "acer-x128h": ("Acer X128H", "JQ8110015900", (1024, 768), None),
    "crt.dell-d1626ht": ("DELL D1626HT", "55347B06Z418", None, 19.1),
    # Its checksum is wrong: nothing of it is believed.
    "crt.E55": (None, None, None, None),
}
MAKERS = {"acer": "ACR", "dell": "DEL", "philips": "PHL", "iiyama": "IVM", "samsung": "SAM", "lenovo": "LEN"}
OTHER_MAKERS = {"lcd.acer-asp1680": "QDS", "lcd.dell-inspiron-6400": "LPL"}
"""Laptops name the maker of their panel."""


def blocks() -> list[str]:
    folder = os.environ.get("RASURA_CORPUS")
    return sorted(path.name for path in (Path(folder) / "edid").iterdir()) if folder else ["unset"]


@pytest.fixture(scope="module")
def edid() -> Path:
    corpus = os.environ.get("RASURA_CORPUS")
    if not corpus:
        pytest.skip("RASURA_CORPUS is unset: it names the folder of published captures of real machines")
    return Path(corpus) / "edid"


@pytest.mark.parametrize("name", blocks())
def test_every_block_is_decoded(edid, name):
    reading = Reading()
    shown = describe_display("DP-1", (edid / name).read_bytes(), reading)
    if name == "crt.E55":
        assert any("checksum is wrong" in note for note in reading.notes)
        return
    assert reading.notes == ()
    assert shown.manufacturer_id is not None
    assert shown.year is not None
    assert 1990 < shown.year < 2030
    assert shown.diagonal_inches is None or 10 < shown.diagonal_inches < 60
    assert shown.native_width is None or shown.native_height is not None
    maker = next((code for word, code in MAKERS.items() if word in name.lower()), None)
    assert maker is None or shown.manufacturer_id == OTHER_MAKERS.get(name, maker)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_a_display(edid, name):
    shown = describe_display("DP-1", (edid / name).read_bytes(), Reading())
    native = None if shown.native_width is None else (shown.native_width, shown.native_height)
    assert (shown.model, shown.serial, native, shown.diagonal_inches) == KNOWN[name]
