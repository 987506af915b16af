"""The test vectors are what the script makes, and the protocol gives what they expect."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rasura.bundle import Bundle
from rasura.cli import cli
from rasura.errors import RasuraError
from rasura.keys import certificate_pem
from rasura.timestamp import Timestamp, TimestampError, checkpoint_digest, claimed_time, verify_token
from rasura.trust import Trust
from simulators.tsa import openssl_or_skip, openssl_verifies
from vectors.index import CASES, files_of
from vectors.world import Case

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "certs/vectors"
THREATS = (ROOT / "certs/THREATS.md").read_text()
NAMES = [case.name for case in CASES]


def arguments(name: str) -> list[str]:
    """The protocol's command line."""
    folder = FOLDER / name
    others = sorted(map(str, folder.glob("with/*")))
    bundle, trust = str(folder / "bundle.json"), str(folder / "trust.toml")
    rules = ["--accept", str(folder / "accept.toml")] if (folder / "accept.toml").exists() else []
    return ["verify", bundle, *others, "--trust", trust, "--offline", *rules]


def test_there_are_enough_and_most_are_refusals() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 60
    refusals = [case for case in CASES if case.code]
    assert len(refusals) > len(CASES) * 2 / 3
    assert all(case.name.endswith("_fail") == (case.code != 0) for case in CASES)
    assert {case.code for case in CASES} == {0, 1, 3, 4}
    assert all(case.says for case in CASES), [case.name for case in CASES if not case.says]


def test_every_check_refuses_something() -> None:
    failed = {one for case in CASES for one in case.failed}
    names = ["bundle", "signature", "chain", "identity", "clock", "claims", "checkpoint", "inclusion"]
    names += ["validity", "start", "timestamp", "set"]
    assert failed == {f"{number} {name}" for number, name in enumerate(names, 1)}


def test_nothing_else_lies_in_the_folder() -> None:
    there = {path.name for path in FOLDER.iterdir()}
    assert there == {"README.md", *NAMES}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_script_makes_the_same_bytes(case: Case) -> None:
    folder = FOLDER / case.name
    written = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert written == files_of(case), "stale: run scripts/write-vectors"


@pytest.mark.parametrize("name", NAMES)
def test_the_protocol(name: str) -> None:
    expected = json.loads((FOLDER / name / "expect.json").read_text())
    done = CliRunner().invoke(cli, [*arguments(name), "--json"], standalone_mode=False)
    assert done.exception is None
    found = json.loads(done.output)[0]
    failed = [one for one in found["checks"] if one["state"] == "failed"]
    assert [f"{one['number']} {one['name']}" for one in failed] == expected["failed"]
    assert expected["says"] in (failed[0]["sentence"] if failed else found["sentence"])
    assert found["accepted"] == (expected["exit"] == 0) == (not name.endswith("_fail"))


@pytest.mark.parametrize("name", ["machine", "huge_fail", "split-view_fail", "drive-unknown_fail"])
def test_the_protocol_as_a_command(name: str) -> None:
    command = str(Path(sys.executable).parent / "rasura")
    done = subprocess.run([command, *arguments(name)], capture_output=True, text=True, check=False)
    assert done.returncode == json.loads((FOLDER / name / "expect.json").read_text())["exit"]
    assert "Traceback" not in done.stderr


def test_the_protocol_of_the_readme_is_this_one() -> None:
    (line,) = re.findall(r"^rasura verify .*$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    words = line.replace("certs/vectors/NAME", str(FOLDER / "overwrite")).split()
    assert words[1:] == arguments("overwrite")


ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in THREATS.splitlines()
    if line.startswith("| ") and not line.startswith("| Lie ")
]
"""Of the table of threats: the lie, what stops it, what remains, the vectors."""
PAGE = 13
"""The check of a PDF's page, which no vector is."""


def test_the_threats_name_vectors_and_each_refusal_is_in_a_row() -> None:
    named = [name.strip() for row in ROWS for name in row[3].split(",")]
    there = {name.removesuffix("_fail") for name in NAMES}
    assert set(named) <= there, set(named) - there
    assert {name.removesuffix("_fail") for name in NAMES if name.endswith("_fail")} <= set(named)
    assert all(row[1] for row in ROWS), "each lie is stopped by something"


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_checks_that_a_row_numbers_are_those_that_refuse_its_vectors(row: list[str]) -> None:
    """Each number is that of a check which fails in a vector there, and each refusal is by one of them."""
    told = re.findall(r"\((?:check )?(\d+(?:, \d+)*)\)", row[1])
    numbers = {int(one) for group in told for one in group.split(", ")}
    of = {case.name.removesuffix("_fail"): {int(one.split()[0]) for one in case.failed} for case in CASES}
    failed = [(name, of[name]) for name in map(str.strip, row[3].split(",")) if of[name]]
    assert numbers - {PAGE} <= {one for _, them in failed for one in them}
    assert not numbers or [name for name, them in failed if not them & numbers] == []


_BY_HAND = {
    "2 signature",
    "3 chain",
    "4 identity",
    "7 checkpoint",
    "8 inclusion",
    "9 validity",
    "11 timestamp",
}
"""What the recipe checks too."""
_OURS = {
    "keyid-of-another",  # a hint, which the recipe does not read
    "signature-high-s",  # openssl takes either s
    "station-certificate-high-s",
    "chain-of-three",
    "site-revoked",
    "station-revoked",
    "revoked-and-not-logged",
    "revoked-by-its-site",  # it reads one file
    "revoked-by-the-authority",
    "rejected",
    "rejected-and-accepted-by-another",
    "superseded",
    "station-is-an-authority",  # the profile is narrower than X.509
    "station-for-years",
    "site-with-a-longer-path",
    "station-signed-with-sha384",
    "station-key-p384",
    "id-in-capitals",
    "timestamp-with-garbage",  # openssl reads what it needs
}
"""What `rasura verify` refuses and the recipe cannot see, or sees at another place."""


def sees(case: Case) -> bool:
    """Whether the recipe by hand can tell what is to come of it; it reads certificates, and no rules."""
    if case.name.startswith(("machine", "accept-")) or case.name.removesuffix("_fail") in _OURS:
        return False
    return case.code != 1 or bool(_BY_HAND & set(case.failed))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if sees(case)])
def test_the_recipe_by_hand_agrees_where_it_can(case: Case) -> None:
    """It accepts what we accept, and refuses what the checks that it shares with us refuse."""
    if shutil.which("jq") is None or shutil.which("openssl") is None:
        pytest.skip("jq and openssl are not installed (apt-get install jq openssl)")
    script, folder = ROOT / "certs/by_hand/verify.sh", FOLDER / case.name
    command = ["sh", script, folder / "bundle.json", folder / "trust.toml"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode == 0) == (case.code == 0), done.stdout + done.stderr


def timestamps() -> list[Any]:
    found = []
    for case in CASES:
        try:
            made = case.make()
            stamps = Bundle.parse(made.bundle).timestamps
        except RasuraError:
            continue
        found += [
            pytest.param(made.trust, stamp, id=f"{case.name}-{number}") for number, stamp in enumerate(stamps)
        ]
    return found


@pytest.mark.parametrize(("trusted", "stamp"), timestamps())
def test_openssl_says_the_same_of_every_token(trusted: str, stamp: Timestamp, tmp_path: Path) -> None:
    openssl_or_skip()
    note, roots = stamp.receipt.checkpoint_note, Trust.parse(trusted).timestamp_authorities
    try:
        verify_token(stamp.token, note, roots)
        ours = True
    except TimestampError as error:
        # openssl reads what it needs, and passes over the bytes behind it
        ours = stamp.token.endswith(b"\0") and "DER" in str(error)
    moment = claimed_time(stamp.token) or datetime(2026, 3, 2, tzinfo=UTC)
    assert ours is openssl_verifies(
        stamp.token, checkpoint_digest(note), certificate_pem(*roots), moment, tmp_path
    )


_NPM_TAKES = {
    "signature-high-s",  # either s
    "keyid-of-another",  # any hint that its caller maps to a key
    "payload-type-of-another",  # any type
    "station-key-p384",  # any curve
}
"""Signatures of vectors that npm's verifier holds for good: what is ours to judge, not its."""


def test_npm_agrees_on_signatures(npm: Path, tmp_path: Path) -> None:
    """Every vector that is a Sigstore bundle: npm's verifier says of its signature what we say."""
    bundles: list[dict[str, Any]] = []
    for case in CASES:
        made = case.make().bundle
        try:
            bundle = Bundle.parse(made)
            bundles.append({"name": case.name, "bundle": sigstore(bundle), "key": public_key(bundle)})
        except (RasuraError, IndexError):
            continue
    listed = tmp_path / "bundles.json"
    listed.write_text(json.dumps(bundles))
    done = subprocess.run(["node", npm / "verify.js", listed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accepted = set(json.loads(done.stdout))
    failed = {case.name: case.failed for case in CASES}
    assert len(bundles) > 100
    for one in bundles:
        name = one["name"]
        if name.removesuffix("_fail") in _NPM_TAKES:
            continue
        assert (name in accepted) == ("2 signature" not in failed[name]), name


def sigstore(bundle: Bundle) -> dict[str, Any]:
    from rasura.sigstore import sigstore_bundle

    return sigstore_bundle(bundle)


def public_key(bundle: Bundle) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = bundle.chain[0].public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
