"""Any command line is either understood or refused in words; what is rendered is read back."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

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

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters='"') | st.just(" "),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip())
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
URLS = st.builds(
    "{}://{}:{}/{}".format,
    st.sampled_from(["http", "https"]),
    st.just("host.example"),
    st.integers(1, 65535),
    NAMES,
)


def optional(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | values


@st.composite
def asked(draw: st.DrawFn) -> BootParameters:
    armed = draw(st.booleans())
    return BootParameters(
        policy=draw(optional(NAMES | st.builds(PolicyUrl, URLS, optional(HEX)))),
        registry=draw(optional(URLS)),
        ca_pin=draw(optional(HEX.map("sha256:{}".format))),
        site=draw(optional(WORDS)),
        operator=draw(optional(WORDS)),
        location=draw(optional(WORDS)),
        lot=draw(optional(WORDS)),
        language=draw(st.sampled_from(Language)),
        keymap=draw(st.sampled_from(Keymap)),
        armed=armed,
        countdown_s=draw(st.integers(10, 3600)),
        end=draw(st.sampled_from(End)) if armed else End.WAIT,
        boot_from=draw(optional(st.sampled_from(BootFrom))),
        entry=draw(optional(st.sampled_from(Entry))),
        shell=draw(st.booleans()),
        medium=draw(optional(WORDS)),
    )


def rendered(parameters: BootParameters) -> list[str]:
    """The words of a command line; defaults may be written or left out."""
    policy = parameters.policy
    if isinstance(policy, PolicyUrl):
        policy = policy.url + (f"#sha256={policy.sha256}" if policy.sha256 else "")
    values = {
        "policy": policy,
        "registry": parameters.registry,
        "ca": parameters.ca_pin,
        "site": parameters.site,
        "operator": parameters.operator,
        "location": parameters.location,
        "lot": parameters.lot,
        "lang": parameters.language,
        "keymap": parameters.keymap,
        "arm": "erase-all-drives" if parameters.armed else None,
        "countdown": str(parameters.countdown_s),
        "end": parameters.end if parameters.armed else None,
        "boot": parameters.boot_from,
        "entry": parameters.entry,
        "shell": "1" if parameters.shell else None,
        "medium": parameters.medium,
    }
    return [f"rasura.{name}={value}" for name, value in values.items() if value is not None]


def quoted(word: str, style: int) -> str:
    """As GRUB quotes (all of it), as people and our menus do (the value), or not at all."""
    name, _, value = word.partition("=")
    if " " not in word and style == 2:
        return word
    return f'"{word}"' if style else f'{name}="{value}"'


@given(asked(), st.data())
def test_what_is_rendered_is_read_back(parameters: BootParameters, data: st.DataObject) -> None:
    words = data.draw(st.permutations([*rendered(parameters), "quiet", "panic=0"]))
    line = " ".join(quoted(word, data.draw(st.integers(0, 2))) for word in words)
    assert parse_boot_parameters(line + "\n") == parameters


@given(asked(), st.data())
def test_one_letter_wrong_in_a_name_stops_everything(parameters: BootParameters, data: st.DataObject) -> None:
    words = rendered(parameters)
    at = data.draw(st.integers(0, len(words) - 1))
    name, _, value = words[at].partition("=")
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    wrong = name[:place] + letter + name[place + 1 :]
    if wrong == name or wrong in {word.partition("=")[0] for word in words}:
        return
    words[at] = f"{wrong}={value}"
    with contextlib.suppress(BootParameterError):
        found = parse_boot_parameters(" ".join(quoted(word, 1) for word in words))
        raise AssertionError(f"{wrong} passed for {found}")


@given(st.text(max_size=200) | st.text(' "=rasu.policyamend\t\n', max_size=60))
def test_never_anything_but_our_error(line: str) -> None:
    language_asked(line)
    try:
        found = parse_boot_parameters(line)
    except BootParameterError as error:
        assert error.problems  # noqa: PT017  there is no other way to look at it
    else:
        assert isinstance(found, BootParameters)
        assert "erase-all-drives" in line or not found.armed
