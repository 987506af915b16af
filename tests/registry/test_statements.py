"""Statements in a registry: logged like certificates; its trust file has the revocations of its log."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from rasura.bundle import Bundle
from rasura.cli import cli as rasura
from rasura.client import RegistryAwayError
from rasura.envelope import key_id
from rasura.errors import ExitCode, UsageError
from rasura.keys import load_certificates, load_private_key, p256_public_key, private_key_pem
from rasura.person_kit import PersonKit, write_person_kit
from rasura.side_signing import Person, sign_revocation
from rasura.side_statement import Ruling
from rasura.site_kit import SiteKit, SitePapers
from rasura.trust import Revocation, Trust
from rasura.verifier import Verdict, verify
from rasura_registry.check import check_folder
from rasura_registry.cli import cli as registry_cli
from rasura_registry.errors import FolderInUseError
from rasura_registry.folder import Folder
from rasura_registry.log import Recorded, Submission
from rasura_registry.registry import Registry, SubmissionError, open_registry
from registry.samples import Station
from registry.world import Server

PASSPHRASE = "huit vélos à Évry"
ROLE = "head of workshop"


def now() -> datetime:
    return datetime.now(UTC)


def log(registry: Registry, bundle: Bundle) -> Bundle:
    taken = registry.take(bundle.certificate_id, bundle.encode())
    answer = registry.log_it(taken).result(30) if isinstance(taken, Submission) else taken
    assert isinstance(answer, Recorded)
    return bundle.with_receipt(answer.receipt)


def lyon(root: Path) -> SiteKit:
    return SiteKit.load(root / "sites" / "Lyon")


def authority(root: Path) -> tuple[Any, Any]:
    folder = Folder(root)
    return (
        load_private_key(folder.read(folder.authority_key)),
        load_certificates(folder.read(folder.authority))[0],
    )


@pytest.fixture(scope="module")
def claire_folder(pristine_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "judge"
    kit = lyon(pristine_folder)
    write_person_kit(
        folder,
        pristine_folder / "sites" / "Lyon",
        kit,
        name="operator 7",
        role=ROLE,
        passphrase=PASSPHRASE,
        now=now(),
    )
    return folder


@pytest.fixture(scope="module")
def judge(claire_folder: Path) -> Person:
    return PersonKit.load(claire_folder, lambda: PASSPHRASE).person


def leaf(bundle: Bundle) -> str:
    return key_id(p256_public_key(bundle.chain[0]))


def trust_of(root: Path) -> Trust:
    return Trust.parse((root / "trust.toml").read_text())


# --- the log


def test_a_statement_is_logged_and_read_like_a_certificate(
    server: Server, station: Station, judge: Person
) -> None:
    about = station.bundle()
    assert server.put(about.certificate_id, about.encode()).status == 201
    said = judge.decide(about, Ruling.ACCEPTED, None, now())
    path = f"/statements/{said.certificate_id}"
    answer = server.ask("PUT", path, said.encode())
    assert answer.status == 201
    assert server.ask("PUT", path, said.encode()).status == 200
    logged = Bundle.parse(server.ask("GET", path).body)
    trust = Trust.parse(server.ask("GET", "/trust.toml").body.decode())
    assert verify(logged.encode(), trust).verdict is Verdict.GENUINE


def test_a_statement_that_does_not_hold_is_refused(own_folder: Path, station: Station, judge: Person) -> None:
    about = station.bundle()
    forged = Bundle(judge.decide(about, Ruling.ACCEPTED, None, now()).envelope, station.chain)
    kit = lyon(own_folder)
    own_site = sign_revocation(kit.key, kit.certificate, key_id(kit.key.public_key()), now(), "x", now())
    with open_registry(own_folder) as registry:
        for bundle, why in ((forged, "not marked as a person's"), (own_site, "cannot revoke its own key")):
            with pytest.raises(SubmissionError, match=why):
                registry.take(bundle.certificate_id, bundle.encode())


# --- the trust file


def test_a_revoked_station_is_refused_and_the_trust_file_says_so(own_folder: Path) -> None:
    kit, station = lyon(own_folder), Station.of_folder(own_folder)
    before = trust_of(own_folder)
    since = now().replace(microsecond=0)
    with open_registry(own_folder) as registry:
        early = log(registry, station.bundle())
        later = station.bundle()
        revoked = log(
            registry, sign_revocation(kit.key, kit.certificate, leaf(early), since, "stick lost", now())
        )
        with pytest.raises(SubmissionError, match="revoked"):
            registry.take(later.certificate_id, later.encode())
        other = log(registry, Station.of_folder(own_folder).bundle())
        served = Trust.parse(registry.trust_toml.decode())
    assert served.revoked == (Revocation(leaf(early), since, "Lyon"),)
    assert (served.authorities, served.logs) == (before.authorities, before.logs)
    assert trust_of(own_folder) == served
    assert verify(revoked.encode(), before).verdict is Verdict.GENUINE
    assert verify(other.encode(), served).verdict is Verdict.GENUINE
    assert check_folder(own_folder).problems == ()
    with open_registry(own_folder) as registry:
        assert registry.trust_toml == (own_folder / "trust.toml").read_bytes()


def test_a_trust_file_that_was_lost_its_revocations_gets_them_back(own_folder: Path) -> None:
    kit, text = lyon(own_folder), (own_folder / "trust.toml").read_text()
    by_hand = f'\n[[revoked]]\nkey = "sha256:{"ab" * 32}"\nsince = 2026-01-01T00:00:00Z\n'
    with open_registry(own_folder) as registry:
        log(registry, sign_revocation(kit.key, kit.certificate, "cd" * 32, now(), "x", now()))
    (own_folder / "trust.toml").write_text(text + by_hand)
    with open_registry(own_folder) as registry:
        assert [one.key for one in Trust.parse(registry.trust_toml.decode()).revoked] == [
            "ab" * 32,
            "cd" * 32,
        ]
    assert [one.key for one in trust_of(own_folder).revoked] == ["ab" * 32, "cd" * 32], (
        "what stood there stays"
    )


def test_a_thiefs_revocation_goes_when_the_authority_revokes_the_thief(own_folder: Path) -> None:
    kit = lyon(own_folder)
    stolen = now() - timedelta(seconds=90)
    with open_registry(own_folder) as registry:
        station = Station.of_folder(own_folder)
        log(
            registry,
            sign_revocation(kit.key, kit.certificate, leaf(station.bundle()), stolen, "mine now", now()),
        )
        assert len(trust_of(own_folder).revoked) == 1
        site = key_id(kit.key.public_key())
        log(registry, sign_revocation(*authority(own_folder), site, stolen, "stick stolen", now()))
    assert [(one.key, one.site) for one in trust_of(own_folder).revoked] == [(site, None)]
    with open_registry(own_folder) as registry, pytest.raises(SubmissionError, match="revoked"):
        registry.take((bundle := station.bundle()).certificate_id, bundle.encode())
    assert [(one.key, one.site) for one in trust_of(own_folder).revoked] == [(site, None)]


def test_a_trust_file_that_cannot_be_written_is_served_and_written_later(
    own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = lyon(own_folder)
    before = (own_folder / "trust.toml").read_bytes()
    with open_registry(own_folder) as registry:
        (own_folder / "trust.toml").unlink()
        (own_folder / "trust.toml").mkdir()
        log(registry, sign_revocation(kit.key, kit.certificate, "cd" * 32, now(), "x", now()))
        assert b"cd" * 32 in registry.trust_toml
    assert "ALERT trust.toml cannot be written" in caplog.text
    (own_folder / "trust.toml").rmdir()
    (own_folder / "trust.toml").write_bytes(before)
    with open_registry(own_folder):
        assert [one.key for one in trust_of(own_folder).revoked] == ["cd" * 32]


# --- the commands


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command with the passphrases in files, as a script does, in an empty folder."""
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("RASURA_PASSPHRASE_FILE", "RASURA_PERSON_PASSPHRASE_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "passphrase"))

    def command(*words: object, of: Any = rasura) -> Result:
        done = CliRunner().invoke(of, [str(one) for one in words], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done

    return command


def test_a_workshop_speaks_of_its_certificates(
    own_folder: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    site = own_folder / "sites" / "Lyon"
    server = Server(own_folder, tmp_path)
    try:
        settings = (site / "site.toml").read_text()
        (site / "site.toml").write_text(settings + f'registry = "{server.url}"\n')
        station = Station.of_folder(own_folder)
        about = station.bundle()
        receipt = server.put(about.certificate_id, about.encode()).receipt
        Path("certificate.json").write_bytes(about.with_receipt(receipt).encode())
        run("statement", "person", site, "judge", "--name", "operator 7", "--role", ROLE)
        assert Path("judge/person.key").stat().st_mode & 0o777 == 0o600
        assert PASSPHRASE not in Path("judge/person.key").read_text()
        run("statement", "accept", "certificate.json", "--as", "judge", "-o", "accepted.json")
        run(
            *("statement", "correct", "certificate.json", "--as", "judge", "-o", "corrected.json"),
            *("--field", "drive.propertyNumber", "--right", "P-0417", "--reason", "misread"),
        )
        verified = run(
            "verify",
            "certificate.json",
            "accepted.json",
            "corrected.json",
            "--trust",
            own_folder / "trust.toml",
        )
        assert verified.return_value is ExitCode.DONE
        assert "accepted by operator 7" in verified.output
        assert "CORRECTED by operator 7" in verified.output
        run(
            *("statement", "reject", "certificate.json", "--as", "judge", "-o", "rejected.json"),
            *("--reason", "no label", "--unsent"),
        )
        assert Bundle.parse(Path("rejected.json").read_bytes()).receipt is None
        run("statement", "send", "rejected.json", "--as", "judge")
        assert Bundle.parse(Path("rejected.json").read_bytes()).receipt is not None
        files = ("certificate.json", "accepted.json", "rejected.json")
        assert run("verify", *files, "--trust", own_folder / "trust.toml").return_value is ExitCode.REFUSED
        done = run(
            *(
                "statement",
                "revoke",
                "certificate.json",
                "--site",
                site,
                "--reason",
                "lost",
                "-o",
                "revoked.json",
            )
        )
        assert "logged" in done.output
        assert [one.site for one in trust_of(own_folder).revoked] == ["Lyon"]
    finally:
        server.kill()


def test_a_site_rotates_to_a_key_that_stays_where_it_is(
    own_folder: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    key = tmp_path / "new.key"
    key.write_bytes(private_key_pem(ec.generate_private_key(ec.SECP256R1())))
    call = ("rotate", own_folder, "Lyon", "--reason", "token", "--key", f"file:{key}")
    run(*call, of=registry_cli)
    site = own_folder / "sites" / "Lyon"
    assert not (site / "site.key").exists()
    assert SiteKit.load(site).key.public_key() == load_private_key(key.read_bytes()).public_key()
    with pytest.raises(UsageError, match="has already"):
        run(*call, of=registry_cli)
    assert SiteKit.load(site).site == "Lyon", "nothing was moved"


def test_a_registry_revokes_and_rotates(own_folder: Path, tmp_path: Path, run: Callable[..., Result]) -> None:
    site = own_folder / "sites" / "Lyon"
    old = key_id(p256_public_key(SitePapers.load(site).certificate))
    run(
        "rotate",
        own_folder,
        "Lyon",
        "--reason",
        "two years",
        "--since",
        "2030-01-01T00:00:00Z",
        of=registry_cli,
    )
    new = key_id(p256_public_key(SitePapers.load(site).certificate))
    assert new != old
    (aside,) = [one for one in (own_folder / "sites").iterdir() if one.name.startswith("Lyon until")]
    assert key_id(p256_public_key(SitePapers.load(aside).certificate)) == old
    assert [(one.key, one.since.year, one.site) for one in trust_of(own_folder).revoked] == [
        (old, 2030, None)
    ]
    with open_registry(own_folder) as registry:
        for kit in (SiteKit.load(aside), SiteKit.load(site)):
            log(registry, Station.at(kit).bundle())
    server = Server(own_folder, tmp_path)
    try:
        with pytest.raises(FolderInUseError) as caught:
            run("revoke", own_folder, site / "site.pem", "--reason", "x", of=registry_cli)
        assert "--url" in str(caught.value.hint)
        with pytest.raises(FolderInUseError):
            run("rotate", own_folder, "Lyon", "--reason", "x", of=registry_cli)
        assert key_id(p256_public_key(SitePapers.load(site).certificate)) == new, "nothing was moved"
        run(
            *("revoke", own_folder, site / "site.pem", "--reason", "stick lost"),
            *("--url", server.url, "-o", "revoked.json"),
            of=registry_cli,
        )
        bundle = Station.at(SiteKit.load(site)).bundle()
        assert server.put(bundle.certificate_id, bundle.encode()).status == 422
        assert f'key = "sha256:{new}"' in server.ask("GET", "/trust.toml").body.decode()
        Path("certificate.json").write_bytes(bundle.encode())
        done = run(
            *(
                "verify",
                "certificate.json",
                "revoked.json",
                "--allow-unlogged",
                "--trust",
                aside / "trust.toml",
            )
        )
        assert done.return_value is ExitCode.FAILED
        assert "a key of its chain is revoked" in done.output
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("revoke {root} sha256:12 --reason x", "64 hexadecimal"),
        ("revoke {root} nothing.pem --reason x", "cannot read"),
        ("revoke {root} {root}/trust.toml --reason x --since yesterday", "not a time"),
        ("revoke {root} {root}/index.sqlite3 --reason x", "names no key"),
        ("revoke {root} {root}/ca.pem --reason x", "authority's own key"),
        ("revoke {root} sha256:{hash} --reason ' '", "no reason"),
        ("rotate {root} Paris --reason x", "has no folder"),
        ("rotate {root} ../keys --reason x", "cannot be a site's name"),
    ],
)
def test_bad_calls_of_the_registry_change_nothing(
    own_folder: Path, run: Callable[..., Result], words: str, why: str
) -> None:
    before = (own_folder / "trust.toml").read_bytes(), (own_folder / "checkpoint").read_bytes()
    with pytest.raises(UsageError, match=why):
        run(*shlex.split(words.format(root=own_folder, hash="ab" * 32)), of=registry_cli)
    assert ((own_folder / "trust.toml").read_bytes(), (own_folder / "checkpoint").read_bytes()) == before
    assert [one.name for one in (own_folder / "sites").iterdir()] == ["Lyon"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("accept missing.json --as {judge}", "cannot read"),
        ("accept {judge}/person.pem --as {judge}", "not JSON"),
        ("accept certificate.json --as {site}", "person.pem"),
        ("reject certificate.json --as {judge} --reason ' '", "without a reason"),
        (
            "correct certificate.json --as {judge} --field drive.colour --right x --reason x",
            "has no drive.colour",
        ),
        ("correct certificate.json --as {judge} --field drive --right x --reason x", "no single value"),
        (
            "correct certificate.json --as {judge} --field drive.capacityBytes --right x --reason x",
            "integer",
        ),
        (
            "correct certificate.json --as {judge} --field drive.capacityBytes --right 9e99 --reason x",
            "integer",
        ),
        (
            "correct certificate.json --as {judge} --field drive.removable --right x --reason x",
            "true or false",
        ),
        (
            "correct certificate.json --as {judge} --field result.outcome --right ERASED --reason x",
            "not corrected",
        ),
        ("correct certificate.json --as {judge} --field drive.serial --reason x", "say what is right"),
        ("supersede certificate.json --by certificate.json --as {judge} --reason x", "its own place"),
        ("revoke certificate.json --site {judge} --reason x", "site.key"),
        ("person {site} {judge} --name x --role y", "is there already"),
        ("person {site} new --name '' --role y", "needs a name"),
        ("person {site} new --name {long} --role y", "64 characters"),
        ("correct other.json --as {judge} --field drive.serial --right x --reason x", "cannot read"),
        ("send certificate.json --as {judge}", "not a statement"),
        ("send {judge}/person.pem --as {judge}", "not JSON"),
        ("send certificate.json --as missing", "cannot read missing/site.toml"),
        ("accept certificate.json --as missing", "cannot read missing/person.pem"),
        ("accept certificate.json --as {judge} -o certificate.json", "is there already"),
    ],
)
def test_bad_calls_are_one_sentence_and_write_nothing(
    pristine_folder: Path, claire_folder: Path, run: Callable[..., Result], words: str, why: str
) -> None:
    Path("certificate.json").write_bytes(Station.of_folder(pristine_folder).bundle().encode())
    site = pristine_folder / "sites" / "Lyon"
    with pytest.raises(UsageError, match=why):
        run("statement", *shlex.split(words.format(judge=claire_folder, site=site, long="x" * 65)))
    assert [one.name for one in Path().iterdir()] == ["certificate.json"]


def test_who_has_no_folder_is_told_how_a_person_gets_one(
    pristine_folder: Path, run: Callable[..., Result]
) -> None:
    Path("certificate.json").write_bytes(Station.of_folder(pristine_folder).bundle().encode())
    with pytest.raises(UsageError) as caught:
        run("statement", "accept", "certificate.json", "--as", "missing")
    assert "rasura statement person" in str(caught.value.hint)


def test_nobody_speaks_of_a_statement(
    pristine_folder: Path, claire_folder: Path, judge: Person, run: Callable[..., Result]
) -> None:
    said = judge.decide(Station.of_folder(pristine_folder).bundle(), Ruling.ACCEPTED, None, now())
    Path("said.json").write_bytes(said.encode())
    with pytest.raises(UsageError, match=r"said\.json holds .*, not a certificate or a machine report"):
        run("statement", "accept", "said.json", "--as", claire_folder)


def test_what_was_signed_without_a_registry_is_sent_to_the_one_that_is_named(
    own_folder: Path, tmp_path: Path, claire_folder: Path, run: Callable[..., Result]
) -> None:
    judge = Path(shutil.copytree(claire_folder, tmp_path / "judge"))
    shutil.copy(own_folder / "trust.toml", judge / "trust.toml")
    about = Station.of_folder(own_folder).bundle()
    Path("certificate.json").write_bytes(about.encode())
    done = run("statement", "accept", "certificate.json", "--as", judge, "-o", "accepted.json")
    assert "the folder names no registry" in done.output
    assert "rasura statement send" in done.output
    with pytest.raises(UsageError, match="names no registry, so nothing is sent") as caught:
        run("statement", "send", "accepted.json", "--as", judge)
    assert "--registry URL" in str(caught.value.hint)
    with pytest.raises(UsageError, match="give both"):
        run("statement", "send", "accepted.json", "--as", judge, "--registry-ca", "sha256:" + "ab" * 32)
    assert Bundle.parse(Path("accepted.json").read_bytes()).receipt is None
    server = Server(own_folder, tmp_path)
    try:
        assert server.put(about.certificate_id, about.encode()).status == 201
        done = run("statement", "send", "accepted.json", "--as", judge, "--registry", server.url)
    finally:
        server.kill()
    assert done.return_value is ExitCode.DONE
    assert Bundle.parse(Path("accepted.json").read_bytes()).receipt is not None


def test_a_registry_that_is_away_loses_nothing(
    pristine_folder: Path, tmp_path: Path, claire_folder: Path, run: Callable[..., Result]
) -> None:
    folder = Path(shutil.copytree(claire_folder, tmp_path / "judge"))
    (folder / "site.toml").write_text('site = "Lyon"\nregistry = "http://127.0.0.1:1"\n')
    Path("certificate.json").write_bytes(Station.of_folder(pristine_folder).bundle().encode())
    with pytest.raises(RegistryAwayError) as caught:
        run("statement", "accept", "certificate.json", "--as", folder, "-o", "accepted.json")
    assert "send it later with 'rasura statement send'" in str(caught.value.hint)
    assert json.loads(Path("accepted.json").read_text())["receipt"] is None


def test_a_persons_folder_of_another_is_refused(
    pristine_folder: Path, tmp_path: Path, claire_folder: Path
) -> None:
    folder = Path(shutil.copytree(claire_folder, tmp_path / "judge"))
    other = tmp_path / "other"
    write_person_kit(
        other,
        pristine_folder / "sites" / "Lyon",
        lyon(pristine_folder),
        name="B. Petit",
        role=ROLE,
        passphrase=PASSPHRASE,
        now=now(),
    )
    shutil.copy(other / "person.pem", folder / "person.pem")
    with pytest.raises(UsageError, match="do not belong together"):
        PersonKit.load(folder, lambda: PASSPHRASE)
    shutil.copy(pristine_folder / "sites" / "Lyon" / "site.pem", folder / "person.pem")
    with pytest.raises(UsageError, match="cannot be used"):
        PersonKit.load(folder, lambda: PASSPHRASE)
