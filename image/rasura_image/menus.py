"""The boot menus, for GRUB and iPXE, French and English. Pure, but for its own templates beside the package.

The texts stand in ``image/menus/texts.toml``, the parts that don't change in ``image/menus/*.in``; what is
rendered into them is quoted here. Settings reach the kernel unchanged by either loader:

* GRUB: every parameter is one word in single quotes. ``linux`` puts double quotes around the whole of a word
  that has spaces (``"rasura.location=Bay 3"``), which the kernel takes as it takes quotes around the value.
* iPXE: tokens between spaces, put together again with single spaces; quotes mean nothing to it.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

from rasura_image.settings import (
    BootFrom,
    Entry,
    Keymap,
    Language,
    Parameter,
    Settings,
    autonomous_parameters,
    entry_parameters,
    quoted,
    station_parameters,
)

__all__ = ["data_partition_cfg", "ipxe_script", "iso_grub_cfg", "netboot_grub_cfg"]

_FOLDER = Path(__file__).parents[1] / "menus"
_PLACEHOLDER = re.compile("@([A-Z_]+)@")
_KEYBOARD = "Clavier / Keyboard:"
_KEYBOARDS = {
    Keymap.FR: "AZERTY (fr)",
    Keymap.BE: "AZERTY (be)",
    Keymap.CH: "QWERTZ (ch)",
    Keymap.CA: "QWERTY (ca)",
    Keymap.US: "QWERTY (us)",
    Keymap.GB: "QWERTY (gb)",
    Keymap.DE: "QWERTZ (de)",
    Keymap.ES: "QWERTY (es)",
    Keymap.IT: "QWERTY (it)",
}
# By UEFI, iPXE hands the command line to the kernel letter by letter of a one-byte alphabet. What has others
# in it goes by way of shim and GRUB, or not at all.
_SHIM = """
:shim
iseq ${platform} efi || goto texts
chain tftp://${next-server}/bootx64.efi || chain ${r_base}bootx64.efi ||
prompt bootx64.efi: echec, appuyez sur une touche / failed, press a key ||
goto shim
"""
_LANGUAGES = {Language.FR: "Français", Language.EN: "English"}


def iso_grub_cfg() -> str:
    """``/boot/grub/grub.cfg`` of the ISO, which takes settings from a data partition if there is one."""
    return _grub_cfg(
        Settings(), BootFrom.MEDIUM, "($root)/rasura", "($root)/boot/memtest86+", _template("find_data.cfg")
    )


def data_partition_cfg(settings: Settings) -> str:
    """``boot/rasura.cfg`` of a data partition: ``settings`` for the menu of :func:`iso_grub_cfg`."""
    station = settings.station
    return _fill(
        "data_partition.cfg",
        DEFAULT=settings.menu.default,
        TIMEOUT=str(settings.menu.timeout),
        LANG=station.lang or "",
        KEYMAP=station.keymap or "",
        AUTONOMOUS=_grub_quoted(" ".join(map(quoted, autonomous_parameters(settings.autonomous)))),
        STATION="".join(f" {_grub_word(one)}" for one in station_parameters(station)),
    )


def netboot_grub_cfg(settings: Settings, server_url: str | None) -> str:
    """``grub/grub.cfg`` of the netboot folder.

    ``server_url``, such as ``http://192.168.77.1:8080``, is where the folder is served; ``None`` loads
    kernel and initrd from wherever GRUB itself came.
    """
    root = "($root)"
    if server_url is not None:
        parts = urlsplit(server_url)
        root = f"(http,{parts.netloc}){parts.path.rstrip('/')}"
    return _grub_cfg(settings, BootFrom.NETWORK, f"{root}/rasura", f"{root}/memtest86+", "")


def ipxe_script(settings: Settings, server_url: str | None) -> str:
    """``boot.ipxe`` of the netboot folder.

    With ``None`` for ``server_url`` it loads everything from where it came itself.
    """
    texts = _texts()
    station = " ".join(map(quoted, station_parameters(settings.station)))
    autonomous = " ".join(map(quoted, autonomous_parameters(settings.autonomous)))
    entries = []
    for entry in Entry:
        words = " ".join(map(quoted, entry_parameters(entry, BootFrom.NETWORK)))
        if entry is Entry.AUTONOMOUS:
            words = f"{words} {autonomous}"
        entries.append(f":{entry}\nset r_words {words}\ngoto start\n")
    defaults = {
        "r_base": f"{server_url.rstrip('/')}/" if server_url else "",
        "r_default": settings.menu.default,
        "r_timeout": str(settings.menu.timeout * 1000 or 1),  # milliseconds; 0 would wait for ever
        "r_lang": settings.station.lang or "",
        "r_keymap": settings.station.keymap or "",
        "r_station": station,
    }
    return _fill(
        "boot.ipxe",
        DEFAULTS="\n".join(_ipxe_set(name, value) for name, value in defaults.items() if value),
        SHIM="" if station.isascii() else _SHIM,
        TEXTS="\n\n".join(
            f":texts_{language}\n"
            + "\n".join(
                _ipxe_set(f"t_{name}", _ascii(text)) for name, text in _in_language(texts, language).items()
            )
            + "\ngoto menu"
            for language in (*Language, "")
        ),
        ITEMS="\n".join(
            f"item --key {text['key']} {name} ${{t_{_variable(name)}}}"
            for name, text in texts.items()
            if "key" in text and name != "firmware"  # iPXE has no way there
        ),
        ENTRIES="\n".join(entries),
        LANGUAGES="\n".join(
            [f"item lang_{language} {_ascii(name)}" for language, name in _LANGUAGES.items()]
            + [f"item keymap_{keymap} {_KEYBOARD} {name}" for keymap, name in _KEYBOARDS.items()]
        ),
        CHOICES="\n".join(
            [f":lang_{one}\nset r_lang {one}\ngoto texts\n" for one in _LANGUAGES]
            + [f":keymap_{one}\nset r_keymap {one}\ngoto texts\n" for one in _KEYBOARDS]
        ),
    )


def _grub_cfg(settings: Settings, boot: BootFrom, payload: str, memtest: str, find_data: str) -> str:
    texts = _texts()
    entries = []
    for entry in Entry:
        words = [_grub_word(one) for one in entry_parameters(entry, boot)]
        if entry is Entry.AUTONOMOUS:
            words.append("$rasura_autonomous")
        start = f"rasura_start {' '.join(words)}"
        if entry is Entry.SAFE_GRAPHICS:
            # By BIOS the kernel can have the text mode that every graphics card has.
            start = f'if [ "$grub_platform" = pc ]; then set gfxpayload=text; fi\n  {start}'
        entries.append(
            f'menuentry "$t_{_variable(entry)}" --hotkey {texts[entry]["key"]} --id {entry} {{\n'
            f"  {start}\n}}\n"
        )
    choices = [
        f"  menuentry {'$t_french' if one is Language.FR else _grub_quoted(name)} --id lang-{one} {{\n"
        f"    set rasura_chosen_lang={one}\n    export rasura_chosen_lang\n"
        '    configfile "$prefix/grub.cfg"\n  }'
        for one, name in _LANGUAGES.items()
    ] + [
        f"  menuentry {_grub_quoted(f'{_KEYBOARD} {name}')} --id keymap-{one} {{\n"
        f"    set rasura_chosen_keymap={one}\n    export rasura_chosen_keymap\n"
        '    configfile "$prefix/grub.cfg"\n  }'
        for one, name in _KEYBOARDS.items()
    ]
    return _fill(
        "grub.cfg",
        PAYLOAD=payload,
        MEMTEST=memtest,
        SETTINGS=data_partition_cfg(settings),
        DATA_PARTITION=find_data,
        TEXTS=_grub_texts(texts),
        ENTRIES="\n".join(entries),
        CHOICES="\n".join(choices),
    )


def _grub_texts(texts: dict[str, dict[str, str]]) -> str:
    """Sets ``$t_NAME`` to the text of each name, with accents where a font for them is loaded."""
    lines = []
    for branch, language in (
        (f'if [ "$rasura_lang" = {Language.FR} ]; then', Language.FR),
        (f'elif [ "$rasura_lang" = {Language.EN} ]; then', Language.EN),
        ("else", ""),
    ):
        shown = _in_language(texts, language)
        lines.append(branch)
        lines += [f"  set t_{_variable(name)}={_grub_quoted(_ascii(text))}" for name, text in shown.items()]
        accented = {name: text for name, text in shown.items() if _ascii(text) != text}
        if accented:
            lines.append('  if [ "$rasura_font" = unicode ]; then')
            lines += [f"    set t_{_variable(name)}={_grub_quoted(text)}" for name, text in accented.items()]
            lines.append("  fi")
    return "\n".join([*lines, "fi"])


def _texts() -> dict[str, dict[str, str]]:
    """By name: the text by language, and the hotkey under ``key`` for what is an entry."""
    texts: dict[str, dict[str, str]] = tomllib.loads((_FOLDER / "texts.toml").read_text("utf-8"))
    return texts


def _in_language(texts: dict[str, dict[str, str]], language: str) -> dict[str, str]:
    """What is shown, by name; both languages side by side where ``language`` is empty."""
    shown = {}
    for name, text in texts.items():
        said = text[language] if language else f"{text['fr']} / {text['en']}"
        shown[name] = f"[{text['key']}] {said}" if "key" in text else said
    return shown


def _ascii(text: str) -> str:
    """``text`` without accents, for screens that have no letters for them."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _grub_word(parameter: Parameter) -> str:
    return _grub_quoted(str(parameter))


def _grub_quoted(text: str) -> str:
    """``text`` as one word of GRUB's language, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _ipxe_set(name: str, value: str) -> str:
    return f"set {_variable(name)} {value}"


def _template(name: str) -> str:
    return (_FOLDER / f"{name}.in").read_text("utf-8")


def _fill(template: str, **values: str) -> str:
    """The template with every ``@NAME@`` replaced; values are not looked at again."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], _template(template))
