from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from rasura_image.menus import data_partition_cfg, ipxe_script, iso_grub_cfg, netboot_grub_cfg
from rasura_image.settings import Entry, Keymap, Settings, parse_settings

ROOT = Path(__file__).parents[2]
TEXTS = tomllib.loads((ROOT / "image/menus/texts.toml").read_text("utf-8"))
SERVER = "http://192.168.77.1:8080"
SITE = parse_settings(
    """
    [station]
    policy = "purge"
    site = "Atelier Là-bas"
    lang = "fr"
    [autonomous]
    end = "poweroff"
    countdown = 30
    [menu]
    default = "autonomous"
    timeout = 0
    """
)
GRUB_MENUS = {
    "iso": iso_grub_cfg(),
    "data-partition": data_partition_cfg(SITE),
    "netboot": netboot_grub_cfg(SITE, SERVER),
    "netboot-relative": netboot_grub_cfg(Settings(), None),
}
MENUS = {name: text for name, text in GRUB_MENUS.items() if name != "data-partition"}


@pytest.mark.parametrize("menu", GRUB_MENUS.values(), ids=GRUB_MENUS.keys())
def test_grub_can_read_its_menus(menu: str) -> None:
    checker = shutil.which("grub-script-check")
    if checker is None:
        pytest.skip("grub-script-check is not installed (apt-get install grub-common)")
    done = subprocess.run([checker], input=menu.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def entry_of(menu: str, name: str) -> str:
    """The block of one menu entry."""
    start = menu.index(f"--id {name} {{")
    return menu[start : menu.index("\n}\n", start)]


@pytest.mark.parametrize("menu", MENUS.values(), ids=MENUS.keys())
def test_grub_has_every_entry_under_its_key(menu: str) -> None:
    for name, text in TEXTS.items():
        if "key" in text:
            assert f'"$t_{name.replace("-", "_")}" --hotkey {text["key"]} --id {name}' in menu
    for keymap in Keymap:
        assert f"set rasura_chosen_keymap={keymap}\n" in menu


def test_ipxe_has_every_entry_that_it_can_do_under_its_key() -> None:
    script = ipxe_script(Settings(), SERVER)
    assert script.startswith("#!ipxe\n")
    for name, text in TEXTS.items():
        if "key" in text and name != "firmware":
            assert f"item --key {text['key']} {name} ${{t_{name.replace('-', '_')}}}\n" in script
            assert f"\n:{name}\n" in script
    for label in re.findall(r"^item (?:--key . )?(\S+)", script, flags=re.MULTILINE):
        assert f"\n:{label}\n" in script
    for label in re.findall(r"goto ([a-z_]+)$", script, flags=re.MULTILINE):
        assert f"\n:{label}\n" in script


def test_keys_are_single_and_not_those_of_grub() -> None:
    keys = [text["key"] for text in TEXTS.values() if "key" in text]
    assert len(set(keys)) == len(keys)
    assert not {"e", "c"} & set(keys), "edit and command line"


@pytest.mark.parametrize("name", TEXTS)
def test_a_line_fits_into_80_columns_in_both_languages(name: str) -> None:
    text = TEXTS[name]
    # The frame of GRUB's menu, its mark of the chosen line, and the key take 12 columns.
    if "key" in text:
        assert len(f"{text['fr']} / {text['en']}") <= 68
    assert not {'"', "$", "\\"} & set(text["fr"] + text["en"])
    assert " ; " not in text["fr"] + text["en"]


@pytest.mark.parametrize("menu", MENUS.values(), ids=MENUS.keys())
def test_nothing_is_armed_outside_the_autonomous_entry(menu: str) -> None:
    assert menu.count("rasura.arm=") == 1
    assert "'rasura.arm=erase-all-drives' $rasura_autonomous" in entry_of(menu, "autonomous")
    assert menu.count("rasura.shell=") == 1
    assert "rasura.shell=1" in entry_of(menu, "shell")
    assert "panic=" not in menu
    assert "rasura.test" not in menu


def test_ipxe_arms_in_the_autonomous_entry_only() -> None:
    script = ipxe_script(SITE, SERVER)
    (armed,) = [line for line in script.splitlines() if "rasura.arm" in line]
    assert armed.endswith("rasura.arm=erase-all-drives rasura.countdown=30 rasura.end=poweroff")
    assert script.split(armed)[0].endswith(":autonomous\n")
    assert "panic=" not in script


def test_the_default_is_normal_after_ten_seconds_unless_the_settings_say_otherwise() -> None:
    assert "set rasura_default=normal\nset rasura_timeout=10\n" in iso_grub_cfg()
    assert "set rasura_default=autonomous\nset rasura_timeout=0\n" in netboot_grub_cfg(SITE, SERVER)
    assert "set r_default normal\nset r_timeout 10000\n" in ipxe_script(Settings(), SERVER)
    # For iPXE, 0 would mean to wait for ever.
    assert "set r_default autonomous\nset r_timeout 1\n" in ipxe_script(SITE, SERVER)


def test_kernel_and_initrd_come_over_http_from_the_server() -> None:
    menu = netboot_grub_cfg(SITE, SERVER)
    assert 'set rasura_payload="(http,192.168.77.1:8080)/rasura"\n' in menu
    assert 'set rasura_memtest="(http,192.168.77.1:8080)/memtest86+"\n' in menu
    assert 'set rasura_payload="(http,boot.example)/a/rasura"\n' in netboot_grub_cfg(
        SITE, "http://boot.example/a/"
    )
    assert 'set rasura_payload="($root)/rasura"\n' in netboot_grub_cfg(SITE, None)
    assert "set r_base http://192.168.77.1:8080/\n" in ipxe_script(SITE, SERVER)
    assert "set r_base" not in ipxe_script(SITE, None)


def test_the_iso_takes_settings_from_a_data_partition_and_the_network_menu_does_not() -> None:
    assert "search --no-floppy --label RASURADATA" in iso_grub_cfg()
    assert 'source "($rasura_data)/boot/rasura.cfg"' in iso_grub_cfg()
    assert "RASURADATA" not in netboot_grub_cfg(SITE, SERVER)


def test_the_data_partition_says_what_the_menu_of_the_iso_uses() -> None:
    data = data_partition_cfg(SITE)
    assert "set rasura_lang=fr\n" in data
    assert "set rasura_autonomous='rasura.countdown=30 rasura.end=poweroff'\n" in data
    assert """  linux "$@" 'rasura.policy=purge' 'rasura.site=Atelier Là-bas'\n""" in data
    named = set(re.findall(r"^(?:set|function) (\w+)", data, flags=re.MULTILINE))
    assert named == {
        "rasura_default",
        "rasura_timeout",
        "rasura_lang",
        "rasura_keymap",
        "rasura_autonomous",
        "rasura_linux",
    }
    for name in named:
        assert re.search(rf'\${name}\b|^  {name} "', iso_grub_cfg(), flags=re.MULTILINE), name


def test_the_iso_shows_both_languages_until_one_is_chosen() -> None:
    menu = iso_grub_cfg()
    assert "set rasura_lang=\n" in menu
    assert "set t_normal='[n] Effacer les disques / Erase drives'" in menu
    assert "set t_normal='[n] Effacer les disques'" in menu
    assert "set t_normal='[n] Erase drives'" in menu


def test_accents_stand_only_where_a_font_is_loaded() -> None:
    menu = iso_grub_cfg()
    guarded = re.findall(r'if \[ "\$rasura_font" = unicode \]; then(.*?)\bfi\b', menu, flags=re.DOTALL)
    assert "Éteindre" in "".join(guarded)
    for block in guarded:
        menu = menu.replace(block, "")
    assert menu.isascii()
    assert ipxe_script(Settings(), SERVER).isascii(), "iPXE draws with the text mode's own letters"


def test_ipxe_by_uefi_goes_by_way_of_shim_where_its_command_line_would_be_garbled() -> None:
    script = ipxe_script(SITE, SERVER)
    assert script.index(
        "\niseq ${platform} efi || goto texts\nchain tftp://${next-server}/bootx64.efi ||"
    ) < script.index(":texts")
    assert "bootx64.efi" not in ipxe_script(parse_settings('[station]\nsite = "Workshop"'), SERVER)


@pytest.mark.parametrize("menu", MENUS.values(), ids=MENUS.keys())
def test_what_secure_boot_does_not_allow_says_so(menu: str) -> None:
    before, after = menu.split('if [ "$lockdown" = y ]; then', 1)
    assert "memtest.bin" not in before
    locked = after[: after.index("elif")]
    assert 'echo "$t_unsigned"' in locked
    assert "linux" not in locked


@pytest.mark.parametrize("entry", Entry)
def test_every_entry_says_where_it_came_from(entry: Entry) -> None:
    assert f"'rasura.boot=medium' 'rasura.entry={entry}'" in entry_of(iso_grub_cfg(), entry)
    assert f"'rasura.boot=network' 'rasura.entry={entry}'" in entry_of(netboot_grub_cfg(SITE, SERVER), entry)
    assert f"rasura.boot=network rasura.entry={entry}" in ipxe_script(SITE, SERVER)


@pytest.mark.parametrize("menu", GRUB_MENUS.values(), ids=GRUB_MENUS.keys())
def test_nothing_is_left_to_be_filled_in(menu: str) -> None:
    assert not re.search("@[A-Z_]+@", menu)
