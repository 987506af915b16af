"""``rasura receipt``: what witnesses cosigned later is taken, but not at the price of the earlier time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from rasura.bundle import Bundle
from rasura.cli import cli
from rasura.client import RegistryAnswerError, RegistryAwayError
from rasura.errors import ExitCode, RasuraError, RefusedError, UsageError
from rasura.note import Note, sign
from rasura.receipt import Receipt
from rasura.trust import Revocation
from rasura.verifier import Verdict, verify
from simulators.people import signer_key
from simulators.signing import NOW, TrustWorld
from simulators.web import Answer, refused_port, serving

WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
SECOND = timedelta(seconds=1)


class Desk:
    """A certificate in a file, and a registry that has a receipt of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.world = folder, TrustWorld()
        self.bundle = self.world.logged(self.world.bundle())
        self.given: Bundle | None = self.bundle
        self.status = 200
        self.path = folder / "certificate.json"
        self.path.write_bytes(self.bundle.encode())
        self.trust_file = folder / "trust.toml"
        self.trust_file.write_text(self.world.trust.to_toml())
        self.asked: list[str] = []

    def cosigned(self, moment: datetime, name: str = "w.example") -> Receipt:
        assert self.bundle.receipt is not None
        receipt = self.world.receipt(self.bundle.receipt.index, moment)
        note = Note.parse(receipt.checkpoint_note)
        line = sign(note.text, name, WITNESS, int(moment.timestamp()))
        return replace(receipt, checkpoint_note=Note(note.text, (*note.signatures, line)).encode())

    def gives(self, receipt: Receipt) -> Receipt:
        self.given = self.bundle.with_receipt(receipt)
        return receipt

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        self.asked.append(path)
        if self.given is None:
            return 404, json.dumps({"detail": "no entry of that id"}).encode()
        return self.status, self.given.encode()

    def run(self, *paths: Path) -> Result:
        with serving(self.answer) as url:
            return self.call(url, *paths)

    def call(self, url: str, *paths: Path) -> Result:
        words = [*map(str, paths or (self.path,)), "--registry", url, "--trust", str(self.trust_file)]
        done = CliRunner().invoke(cli, ["receipt", *words], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done

    @property
    def kept(self) -> Bundle:
        return Bundle.parse(self.path.read_bytes())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_receipt_that_was_cosigned_meanwhile_is_taken(desk: Desk) -> None:
    receipt = desk.gives(desk.cosigned(NOW + 10 * SECOND))
    done = desk.run()
    assert (done.return_value, done.output) == (ExitCode.DONE, f"cosigned now     {desk.path}\n")
    assert desk.kept == desk.bundle.with_receipt(receipt)
    assert verify(desk.path.read_bytes(), desk.world.trust).verdict is Verdict.GENUINE
    before = len(desk.asked)
    assert desk.run().output == f"is cosigned      {desk.path}\n"
    assert len(desk.asked) == before, "nobody is asked again"


def test_what_has_none_yet_is_left_alone(desk: Desk) -> None:
    desk.gives(desk.world.receipt(0, NOW + 10 * SECOND))
    done = desk.run()
    assert (done.return_value, done.output) == (ExitCode.REFUSED, f"no cosignature   {desk.path}\n")
    assert desk.kept == desk.bundle


def test_a_folder_and_one_without_a_receipt(desk: Desk) -> None:
    receipt = desk.gives(desk.cosigned(NOW + 10 * SECOND))
    desk.path.write_bytes(desk.bundle.with_receipt(None).encode())
    folder = desk.folder / "sent"
    folder.mkdir()
    desk.path = desk.path.rename(folder / "one.json")
    assert desk.run(folder).return_value is ExitCode.DONE
    assert desk.kept.receipt == receipt


def test_the_earlier_time_is_worth_more(desk: Desk) -> None:
    desk.gives(desk.cosigned(NOW + timedelta(days=30)))
    done = desk.run()
    assert done.return_value is ExitCode.REFUSED
    assert "cosigned too late: kept as it is" in done.output
    assert desk.kept == desk.bundle


def test_a_key_revoked_in_between_makes_nothing_false(desk: Desk) -> None:
    """The certificate was logged before its key was stolen; its new receipt would say after."""
    desk.gives(desk.cosigned(NOW + 10 * SECOND))
    revoked = (Revocation(signer_key(desk.bundle), NOW + 5 * SECOND),)
    trust = replace(desk.world.trust, revoked=revoked)
    desk.trust_file.write_text(trust.to_toml())
    assert verify(desk.bundle.encode(), trust).verdict is Verdict.GENUINE
    assert "kept as it is" in desk.run().output
    assert desk.kept == desk.bundle


def other_leaf(desk: Desk) -> Bundle:
    desk.world.logged(desk.world.bundle())
    wrong = desk.world.receipt(1, NOW)
    note = Note.parse(wrong.checkpoint_note)
    line = sign(note.text, "w.example", WITNESS, int(NOW.timestamp()))
    return desk.bundle.with_receipt(
        replace(wrong, checkpoint_note=Note(note.text, (*note.signatures, line)).encode())
    )


def strangers(desk: Desk) -> Bundle:
    """Cosigned by the witness, and signed by another log's key of the same name."""
    receipt, other = desk.cosigned(NOW), Ed25519PrivateKey.generate()
    note = Note.parse(receipt.checkpoint_note)
    lines = (
        sign(note.text, desk.world.origin, other),
        sign(note.text, desk.world.origin, other, int(NOW.timestamp())),
        note.signatures[-1],
    )
    return desk.bundle.with_receipt(replace(receipt, checkpoint_note=Note(note.text, lines).encode()))


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (other_leaf, "proves nothing"),
        (strangers, "proves nothing"),
        (lambda desk: desk.world.logged(desk.world.bundle()), "another certificate"),
    ],
)
def test_what_proves_nothing_is_not_written(desk: Desk, lie: Callable[[Desk], Bundle], why: str) -> None:
    desk.given = lie(desk)
    with pytest.raises(RegistryAnswerError, match=why):
        desk.run()
    assert desk.kept == desk.bundle


def test_registries_that_do_not_help(desk: Desk) -> None:
    desk.given = None
    with pytest.raises(RefusedError, match="does not know"):
        desk.run()
    desk.given, desk.status = desk.bundle, 503
    with pytest.raises(RegistryAwayError, match="not well"):
        desk.run()
    with pytest.raises(RegistryAwayError, match="cannot be reached"):
        desk.call(refused_port())
    assert desk.kept == desk.bundle


def test_what_is_not_genuine_is_not_renewed(desk: Desk) -> None:
    desk.trust_file.write_text(TrustWorld().trust.to_toml())
    desk.gives(desk.cosigned(NOW))
    with pytest.raises(RefusedError, match="is not genuine"):
        desk.run()


def test_bad_calls(desk: Desk) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        desk.run(desk.folder / "none.json")
    (desk.folder / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no \.json file"):
        desk.run(desk.folder / "empty")
    with pytest.raises(RasuraError, match="not JSON"):
        desk.run(desk.trust_file)
