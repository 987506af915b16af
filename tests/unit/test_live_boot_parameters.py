"""What is asked for at boot, and everything that may be wrong with it."""

from __future__ import annotations

import pytest

from rasura_agent.live.boot_parameters import (
    BootFrom,
    BootParameterError,
    BootParameters,
    End,
    Entry,
    Keymap,
    Language,
    PolicyUrl,
    language_asked,
    parse_boot_parameters,
)

HEX = "0123456789abcdef" * 4
EVERYTHING = (
    "BOOT_IMAGE=/rasura/vmlinuz quiet panic=0 -- "
    f"rasura.policy=https://boot.example:8443/p.toml#sha256={HEX} rasura.registry=https://registry.example "
    f'rasura.ca=sha256:{HEX} rasura.site="Atelier du Nord" rasura.operator=trainee-7 '
    '"rasura.location=Bay 3" rasura.lot=LOT-1 rasura.lang=fr rasura.keymap=be '
    "rasura.arm=erase-all-drives rasura.countdown=10 rasura.end=poweroff rasura.boot=network "
    "rasura.entry=safe-graphics rasura.shell=1 rasura.medium=UUID=2024-01-02 rasura.test=fw_cfg\n"
)


def problems(line: str) -> tuple[str, ...]:
    with pytest.raises(BootParameterError) as caught:
        parse_boot_parameters(line)
    return caught.value.problems


def test_everything() -> None:
    assert parse_boot_parameters(EVERYTHING) == BootParameters(
        policy=PolicyUrl("https://boot.example:8443/p.toml", HEX),
        registry="https://registry.example",
        ca_pin=f"sha256:{HEX}",
        site="Atelier du Nord",
        operator="trainee-7",
        location="Bay 3",
        lot="LOT-1",
        language=Language.FR,
        keymap=Keymap.BE,
        armed=True,
        countdown_s=10,
        end=End.POWEROFF,
        boot_from=BootFrom.NETWORK,
        entry=Entry.SAFE_GRAPHICS,
        shell=True,
        medium="UUID=2024-01-02",
        test="fw_cfg",
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "quiet splash root=LABEL=x",
        "usbcore.autosuspend=-1 nvme.noacpi=1 rd.live.image",
        "-- single",
    ],
)
def test_nothing_of_ours(line: str) -> None:
    found = parse_boot_parameters(line)
    assert found == BootParameters()
    assert not found.armed


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rasura.arms=erase-all-drives", "did you mean rasura.arm?"),
        ("rasura.polcy=x", "did you mean rasura.policy?"),
        ("rasua.arm=erase-all-drives", "did you mean rasura.arm?"),
        ("rasuar.policy=purge", "no parameter of Rasura"),
        ("Rasura.policy=purge", "did you mean rasura.policy?"),
        ("rasura_policy=purge", "no parameter of Rasura"),
        ("rasura=1", "no parameter of Rasura"),
        ("rasura.", "no parameter of Rasura"),
        ("rasura.policy", "it needs a value"),
        ("rasura.policy=", "the name of a policy"),
        ("rasura.policy=../../etc/passwd", "the name of a policy"),
        ("rasura.policy=ftp://x/y", "http or https"),
        ("rasura.policy=http:///y", "http or https"),
        ("rasura.policy=http://x:99999/y", "http or https"),
        ("rasura.policy=http://x/y#sha256=12", "64 hex digits"),
        ("rasura.policy=http://x/y#" + HEX, "64 hex digits"),
        ("rasura.registry=registry.example", "http or https"),
        ("rasura.registry=http://[::1", "http or https"),
        ("rasura.ca=" + HEX, "sha256: and 64"),
        ("rasura.ca=sha256:" + HEX.upper(), "sha256: and 64"),
        ("rasura.site=", "printable"),
        ("rasura.lot=" + "x" * 101, "printable"),
        ("rasura.operator=\x1b[2J", "printable"),
        ("rasura.lang=de", "en, fr"),
        ("rasura.keymap=uk", "it can be us, fr, be"),
        ("rasura.arm", "it needs a value"),
        ("rasura.arm=1", "only be erase-all-drives"),
        ("rasura.arm=yes", "only be erase-all-drives"),
        ("rasura.arm=Erase-all-drives", "only be erase-all-drives"),
        ("rasura.countdown=9", "10 to 3600"),
        ("rasura.countdown=3601", "10 to 3600"),
        ("rasura.countdown=-60", "10 to 3600"),
        ("rasura.countdown=6e1", "10 to 3600"),
        ("rasura.countdown=٦٠", "10 to 3600"),
        ("rasura.end=off", "wait, poweroff, reboot"),
        ("rasura.end=poweroff", "only with rasura.arm=erase-all-drives"),
        ("rasura.boot=cd", "medium, network"),
        ("rasura.entry=norml", "did you mean normal?"),
        ("rasura.shell=0", "only be 1"),
        ("rasura.test=yes", "only be fw_cfg"),
        ("rasura.lot=a rasura.lot=a", "rasura.lot is given twice"),
        ("rasura.arm=erase-all-drives rasura.arm=no", "rasura.arm is given twice"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_goes(word: str, said: str) -> None:
    found = problems(f"quiet {word} panic=0")
    assert any(said in problem for problem in found), found
    assert all(problem.isprintable() for problem in found)


def test_all_problems_are_said_at_once() -> None:
    found = problems("rasura.polcy=x rasura.lang=de rasura.countdown=1 rasura.end=poweroff rasura.lang=fr")
    assert len(found) == 5


def test_the_language_is_found_in_any_wreck() -> None:
    assert language_asked("rasura.lang=fr rasura.nonsense=1 rasura.policy") is Language.FR
    assert language_asked("rasura.lang=xx") is None
    assert language_asked("") is None
