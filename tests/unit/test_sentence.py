"""Sentences that are English text and can be said in French."""

from __future__ import annotations

import json

import pytest

from rasura_agent.console.words import fact
from rasura_agent.sentence import Sentence

MOUNTED = Sentence(
    "{path} is mounted at {places}: unmount it with 'umount'",
    path="/dev/sda",
    places=Sentence.of([Sentence("{place} (through {device})", place="/srv/{x}", device="/dev/sda1")], ", "),
)


def test_it_is_its_english_text() -> None:
    assert MOUNTED == "/dev/sda is mounted at /srv/{x} (through /dev/sda1): unmount it with 'umount'"
    assert json.dumps({"reason": MOUNTED}) == json.dumps({"reason": str(MOUNTED)})
    assert fact(MOUNTED) == MOUNTED


@pytest.mark.usefixtures("_french")
def test_a_screen_says_it_and_what_is_in_it_in_french() -> None:
    assert fact(MOUNTED).startswith("/dev/sda est monté sur /srv/{x} (par /dev/sda1)")
    both = Sentence.of([MOUNTED, "plain text"])
    assert both == f"{MOUNTED}; plain text"
    assert fact(both) == f"{fact(MOUNTED)}; plain text"
    assert fact(f"{MOUNTED}") == MOUNTED, "plain text has forgotten how it was made"


def test_what_has_no_translation_is_said_as_it_is() -> None:
    assert Sentence("{n} of them", n=3).said(lambda template: template) == "3 of them"


def test_what_upsets_a_terminal_stays_escaped() -> None:
    assert "\x1b" not in fact(Sentence("{path} is gone", path="/dev/\x1b[2Jsda"))
