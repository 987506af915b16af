"""A key under a passphrase: only that passphrase opens it, and no file makes us do what we should not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from rasura.errors import UsageError
from rasura.key_box import Holder, KeyBoxError, WrongPassphraseError, is_sealed, open_key, seal
from rasura.keys import private_key_pem

PASSPHRASE = "été à Évry, 8 vélos"


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def box(key: ec.EllipticCurvePrivateKey) -> bytes:
    return seal(key, PASSPHRASE)


def changed(box: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(box)
    change(document)
    return json.dumps(document).encode()


def test_the_passphrase_opens_the_key_and_no_other(key: ec.EllipticCurvePrivateKey, box: bytes) -> None:
    assert private_key_pem(open_key(box, PASSPHRASE)) == private_key_pem(key)
    with pytest.raises(WrongPassphraseError, match="does not open"):
        open_key(box, PASSPHRASE + " ")


def test_the_same_letters_composed_otherwise_open_it(box: bytes) -> None:
    other = unicodedata.normalize("NFD", PASSPHRASE)
    assert other != PASSPHRASE
    open_key(box, other)


def test_the_file_says_what_it_is_and_holds_no_key(key: ec.EllipticCurvePrivateKey, box: bytes) -> None:
    assert is_sealed(box)
    assert not is_sealed(private_key_pem(key))
    document = json.loads(box)
    assert document["format"] == "rasura-site-key"
    # RFC 9106 section 4, second recommended option.
    assert {name: document["kdf"][name] for name in ("memoryKiB", "passes", "lanes")} == {
        "memoryKiB": 65536,
        "passes": 3,
        "lanes": 4,
    }
    assert b"PRIVATE" not in box


def test_two_boxes_of_one_key_have_nothing_in_common(key: ec.EllipticCurvePrivateKey, box: bytes) -> None:
    one, other = json.loads(box), json.loads(seal(key, PASSPHRASE))
    assert one["kdf"]["salt"] != other["kdf"]["salt"]
    assert one["cipher"]["nonce"] != other["cipher"]["nonce"]
    assert one["sealed"] != other["sealed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda box: box["kdf"].update(memoryKiB=1024),
        lambda box: box["kdf"].update(passes=1),
        lambda box: box["kdf"].update(lanes=1),
        lambda box: box["kdf"].update(salt="A" * 22 + "=="),
        lambda box: box["cipher"].update(nonce="A" * 16),
        lambda box: box.update(sealed="A" * 64),
        lambda box: box.update(sealed=""),
    ],
)
def test_a_changed_box_does_not_open(box: bytes, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(WrongPassphraseError):
        open_key(changed(box, change), PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [
        lambda box: box["kdf"].update(memoryKiB=100 * 1024 * 1024),
        lambda box: box["kdf"].update(memoryKiB=256 * 1024 + 1),
        lambda box: box["kdf"].update(memoryKiB=31),
        lambda box: box["kdf"].update(memoryKiB=-1),
        lambda box: box["kdf"].update(passes=0),
        lambda box: box["kdf"].update(passes=17),
        lambda box: box["kdf"].update(passes=2**53 - 1),
        lambda box: box["kdf"].update(lanes=0),
        lambda box: box["kdf"].update(lanes=17),
        lambda box: box["kdf"].update(salt="AAAA"),
        lambda box: box["kdf"].update(salt="A" * 400),
        lambda box: box["kdf"].update(salt="?"),
        lambda box: box["kdf"].update(name="argon2i"),
        lambda box: box["kdf"].update(more=1),
        lambda box: box["cipher"].update(nonce="A" * 20),
        lambda box: box["cipher"].update(name="aes-256-cbc"),
        lambda box: box.update(sealed="*"),
        lambda box: box.update(sealed=5),
        lambda box: box.update(version=2),
        lambda box: box.update(format="rasura-other"),
        lambda box: box.update(more=1),
        lambda box: box.pop("kdf"),
    ],
)
def test_a_hostile_box_is_refused_before_any_work(
    box: bytes, change: Callable[[dict[str, Any]], None]
) -> None:
    before = time.process_time()
    with pytest.raises(KeyBoxError):
        open_key(changed(box, change), PASSPHRASE)
    assert time.process_time() - before < 0.05


@given(st.binary(max_size=200))
def test_garbage_is_no_box(data: bytes) -> None:
    with pytest.raises(KeyBoxError):
        open_key(data, PASSPHRASE)


@pytest.mark.parametrize("passphrase", ["", "seven77", "half \ud800 a pair"])
def test_a_passphrase_that_will_not_do(key: ec.EllipticCurvePrivateKey, passphrase: str) -> None:
    with pytest.raises(UsageError, match="passphrase"):
        seal(key, passphrase)


def test_it_needs_little_more_than_64_mebibytes_and_says_so_when_they_are_not_there(box: bytes) -> None:
    script = f"""
import resource
from rasura.errors import RasuraError
from rasura.key_box import open_key
box = {box!r}
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
before = peak()
open_key(box, {PASSPHRASE!r})
print((peak() - before) // 1024)
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (32 << 20), resource.RLIM_INFINITY))
try:
    open_key(box, {PASSPHRASE!r})
except RasuraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    mebibytes, sentence = done.stdout.splitlines()
    assert 60 < int(mebibytes) < 80
    assert "has not the 64 MiB of free memory" in sentence


def test_a_persons_key_is_no_sites_and_no_change_of_the_file_makes_it_one(
    key: ec.EllipticCurvePrivateKey, box: bytes
) -> None:
    persons = seal(key, PASSPHRASE, Holder.PERSON)
    assert private_key_pem(open_key(persons, PASSPHRASE, Holder.PERSON)) == private_key_pem(key)
    for data, holder in ((persons, Holder.SITE), (box, Holder.PERSON)):
        with pytest.raises(KeyBoxError, match="this is not the"):
            open_key(data, PASSPHRASE, holder)
    for data, holder in ((persons, Holder.SITE), (box, Holder.PERSON)):
        renamed = changed(data, lambda one, name=holder.value: one.update(format=name))
        with pytest.raises(WrongPassphraseError):
            open_key(renamed, PASSPHRASE, holder)
