"""A person makes their key where they are, and the site certifies it; and all who are sent back."""

from __future__ import annotations

import base64
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.bundle import Bundle
from rasura.cli import cli
from rasura.errors import ExitCode, RasuraError, UsageError
from rasura.key_box import Holder, PassphraseNeededError, seal
from rasura.keys import (
    PERSON_LIFETIME,
    Role,
    certificate_pem,
    issue_person,
    issue_revoker,
    issue_station,
    load_certificates,
    p256_public_key,
    private_key_pem,
)
from rasura.person_commands import PERSON_COMMANDS
from rasura.person_kit import PersonKit, certify_person
from rasura.person_request import PersonRequest, PersonRequestError
from rasura.site_kit import SiteKit
from rasura.verifier import Verdict, verify
from rasura_registry.folder import add_site, initialise
from rasura_registry.registry import open_registry
from registry.samples import Station
from registry.test_statements import log

PASSPHRASE = "huit vélos à Évry"
NAME, ROLE = "operator 7", "head of workshop"
ASKED = ("--site", "Lyon", "--name", NAME, "--role", ROLE)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs ``rasura statement …`` in an empty folder, with the person's passphrase in a file."""
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("RASURA_PERSON_PASSPHRASE_FILE", str(tmp_path / "passphrase"))

    def command(*words: object, group: str | None = "statement") -> Result:
        called = [str(one) for one in words]
        done = CliRunner().invoke(cli, [group, *called] if group else called, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done

    return command


@pytest.fixture
def site(own_folder: Path) -> Path:
    return own_folder / "sites" / "Lyon"


def key_line(done: Result) -> str:
    (line,) = [one for one in done.output.splitlines() if one.startswith("key ")]
    return line.split()[1]


def certified(run: Callable[..., Result], site: Path, *more: object) -> Result:
    """The way as far as the certificate: ``judge/`` with a request, and ``certified.pem``."""
    key = key_line(run("request", "judge", *ASKED))
    return run("certify", site, "judge/request.pem", "-o", "certified.pem", "--key-is", key, *more)


# --- the way


def test_a_person_comes_to_a_key_and_is_believed(
    own_folder: Path, site: Path, run: Callable[..., Result]
) -> None:
    done = certified(run, site)
    assert f"asks        {NAME}, {ROLE} of Lyon" in done.output
    assert f"certified   {NAME}, {ROLE} of Lyon, until " in done.output
    # Nothing of the person's leaves their folder but the request, and no key of anybody comes back.
    assert stat.S_IMODE(Path("judge/person.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("judge").stat().st_mode) == 0o700
    assert b"PRIVATE" not in Path("certified.pem").read_bytes() + Path("judge/request.pem").read_bytes()
    run("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    Path("certificate.json").write_bytes(Station.of_folder(own_folder).bundle().encode())
    run("accept", "certificate.json", "--as", "judge", "-o", "accepted.json")
    kit = PersonKit.load(Path("judge"), lambda: PASSPHRASE)
    assert (kit.person.signer.name, kit.person.signer.role, kit.person.signer.site) == (NAME, ROLE, "Lyon")
    with open_registry(own_folder) as registry:
        logged = log(registry, Bundle.parse(Path("accepted.json").read_bytes()))
    assert verify(logged.encode(), kit.papers.trust).verdict is Verdict.GENUINE


def test_the_registry_is_named_when_it_is_received(
    own_folder: Path, site: Path, run: Callable[..., Result]
) -> None:
    certified(run, site)
    pin = f"sha256:{'ab' * 32}"
    trust = own_folder / "trust.toml"
    run(
        "receive",
        "judge",
        "certified.pem",
        "--trust",
        trust,
        "--url",
        "https://r.example",
        "--registry-ca",
        pin,
    )
    papers = PersonKit.load(Path("judge"), lambda: PASSPHRASE).papers
    assert (papers.registry_url, papers.registry_ca) == ("https://r.example", pin)


def test_the_site_says_who_and_for_how_long(own_folder: Path, site: Path, run: Callable[..., Result]) -> None:
    done = certified(run, site, "--role", "trainee", "--days", 3)
    assert f"certified   {NAME}, trainee of Lyon" in done.output
    own, _site = load_certificates(Path("certified.pem").read_bytes())
    assert timedelta(days=2) < own.not_valid_after_utc - now() < timedelta(days=3, minutes=1)
    call = ("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    with pytest.raises(UsageError, match="certifies 'operator 7', 'trainee', and asked for was") as caught:
        run(*call)
    assert "--as-certified" in str(caught.value.hint)
    assert sorted(one.name for one in Path("judge").iterdir()) == ["person.key", "request.pem"]
    assert "trainee" in run(*call, "--as-certified").output
    with pytest.raises(UsageError, match="has a signing certificate already"):
        run(*call, "--as-certified")


def test_no_certificate_outlasts_the_sites(site: Path) -> None:
    kit = SiteKit.load(site)
    key = ec.generate_private_key(ec.SECP256R1())
    request = PersonRequest.parse(PersonRequest.encode(key, site="Lyon", name=NAME, role=ROLE))
    end = kit.certificate.not_valid_after_utc
    own, _ = certify_person(
        kit, request, name=NAME, role=ROLE, now=end - timedelta(days=5), lifetime=PERSON_LIFETIME
    )
    assert own.not_valid_after_utc == end
    with pytest.raises(UsageError, match="the site's own signing certificate ended on"):
        certify_person(
            kit, request, name=NAME, role=ROLE, now=end + timedelta(days=1), lifetime=PERSON_LIFETIME
        )


@pytest.mark.parametrize("sealed", [False, True])
def test_a_key_that_is_elsewhere_stays_there(
    own_folder: Path, site: Path, tmp_path: Path, run: Callable[..., Result], sealed: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "own.key"
    path.write_bytes(seal(key, PASSPHRASE, Holder.PERSON) if sealed else private_key_pem(key))
    done = run("request", "judge", *ASKED, "--key", path)
    assert sorted(one.name for one in Path("judge").iterdir()) == ["person.toml", "request.pem"]
    run("certify", site, "judge/request.pem", "-o", "certified.pem", "--key-is", key_line(done))
    run("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    assert PersonKit.load(Path("judge"), lambda: PASSPHRASE).person.key.public_key() == key.public_key()
    Path("certificate.json").write_bytes(Station.of_folder(own_folder).bundle().encode())
    run("accept", "certificate.json", "--as", "judge", "-o", "accepted.json")
    path.unlink()
    with pytest.raises(UsageError, match="cannot read"):
        run("accept", "certificate.json", "--as", "judge", "-o", "other.json")


def test_a_key_in_the_environment(
    own_folder: Path, site: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setenv("JUDGE", private_key_pem(key).decode())
    done = run("request", "judge", *ASKED, "--key", "env:JUDGE")
    run("certify", site, "judge/request.pem", "-o", "certified.pem", "--key-is", key_line(done))
    run("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    assert PersonKit.load(Path("judge"), lambda: "").person.key.public_key() == key.public_key()


# --- requests that are none


def csr(key: Any, subject: list[tuple[x509.ObjectIdentifier, str]], *extensions: tuple[Any, bool]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(oid, text) for oid, text in subject])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def usage(role: Role = Role.PERSON) -> x509.ExtendedKeyUsage:
    assert role.value is not None
    return x509.ExtendedKeyUsage([role.value])


KEY = ec.generate_private_key(ec.SECP256R1())
O, CN, T = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.TITLE  # noqa: E741
GOOD = [(O, "Lyon"), (CN, NAME), (T, ROLE)]
MARK = (usage(), True)


def changed(change: Callable[[bytes], bytes]) -> bytes:
    """A good request whose DER somebody changed on the way."""
    der = x509.load_pem_x509_csr(csr(KEY, GOOD, MARK)).public_bytes(Encoding.DER)
    body = base64.encodebytes(change(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n".encode()


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no CSR in PEM"),
    "a certificate": (lambda: b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "no CSR in PEM"),
    "a private key": (lambda: private_key_pem(KEY), "no CSR in PEM"),
    "too long": (lambda: csr(KEY, GOOD, MARK) + b"#" * 5000, "at most 4096 bytes"),
    "signed by another": (
        lambda: changed(lambda der: der[:-1] + bytes([der[-1] ^ 1])),
        "not signed by the key",
    ),
    "in another role than it was signed in": (
        lambda: changed(lambda der: der.replace(ROLE.encode(), b"Head of workshop")),
        "not signed by the key",
    ),
    "of P-384": (
        lambda: csr(ec.generate_private_key(ec.SECP384R1()), GOOD, MARK),
        "not ECDSA P-256",
    ),
    "of secp256k1": (
        lambda: csr(ec.generate_private_key(ec.SECP256K1()), GOOD, MARK),
        "not ECDSA P-256",
    ),
    "of Ed25519": (lambda: csr(ed25519.Ed25519PrivateKey.generate(), GOOD, MARK), "not ECDSA P-256"),
    "of RSA": (
        lambda: csr(rsa.generate_private_key(public_exponent=65537, key_size=2048), GOOD, MARK),
        "not ECDSA P-256",
    ),
    "for no usage": (lambda: csr(KEY, GOOD), "something else than a person's"),
    "for a revoker": (lambda: csr(KEY, GOOD, (usage(Role.REVOKER), True)), "something else than a person's"),
    "for a server": (
        lambda: csr(KEY, GOOD, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True)),
        "something else than a person's",
    ),
    "for an authority": (
        lambda: csr(KEY, GOOD, MARK, (x509.BasicConstraints(ca=True, path_length=0), True)),
        "something else than a person's",
    ),
    "mark not critical": (lambda: csr(KEY, GOOD, (usage(), False)), "something else than a person's"),
    "without a role": (lambda: csr(KEY, GOOD[:2], MARK), "exactly one site"),
    "without a site": (lambda: csr(KEY, GOOD[1:], MARK), "exactly one site"),
    "with two names": (lambda: csr(KEY, [*GOOD, (CN, "operator 8")], MARK), "exactly one site"),
    "with a mail address": (
        lambda: csr(KEY, [*GOOD, (NameOID.EMAIL_ADDRESS, "a@b.example")], MARK),
        "exactly one site",
    ),
    "a name that moves the cursor": (
        lambda: csr(KEY, [(O, "Lyon"), (CN, "oper\x1b[2Jator"), (T, ROLE)], MARK),
        "characters that nobody sees",
    ),
    "a name that turns the text": (
        lambda: csr(KEY, [(O, "Lyon"), (CN, "operator \u202e7"), (T, ROLE)], MARK),
        "characters that nobody sees",
    ),
    "a role with a line break": (
        lambda: csr(KEY, [(O, "Lyon"), (CN, NAME), (T, "head\nof workshop")], MARK),
        "characters that nobody sees",
    ),
    "a name in spaces": (lambda: csr(KEY, [(O, "Lyon"), (CN, f" {NAME}"), (T, ROLE)], MARK), "spaces around"),
    "a name of spaces": (lambda: csr(KEY, [(O, "Lyon"), (CN, "  "), (T, ROLE)], MARK), "needs a name"),
    "for another site": (lambda: csr(KEY, [(O, "Paris"), (CN, NAME), (T, ROLE)], MARK), "the site 'Paris'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_gets_a_sentence_and_nothing(site: Path, run: Callable[..., Result], what: str) -> None:
    make, why = BAD[what]
    Path("request.pem").write_bytes(make())
    expected = PersonRequest("", "", "", KEY.public_key()).key_hash
    with pytest.raises(UsageError, match=why):
        run("certify", site, "request.pem", "-o", "certified.pem", "--key-is", expected)
    assert not Path("certified.pem").exists()


def test_a_good_one_of_openssl_or_anybody_is_taken() -> None:
    request = PersonRequest.parse(csr(KEY, [GOOD[2], GOOD[0], GOOD[1]], MARK))
    assert (request.site, request.name, request.role) == ("Lyon", NAME, ROLE)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_leads_to_anything_but_a_sentence(place: int, flip: int) -> None:
    raw = bytearray(GOOD_REQUEST)
    raw[place % len(raw)] ^= flip
    try:
        request = PersonRequest.parse(bytes(raw))
    except PersonRequestError:
        return
    # Line ends and the like: what was signed is the same.
    assert (request.site, request.name, request.role) == ("Lyon", NAME, ROLE)
    assert request.key == KEY.public_key()


GOOD_REQUEST = csr(KEY, GOOD, MARK)


# --- calls that are wrong


def test_nobody_certifies_a_key_that_nobody_compared(site: Path, run: Callable[..., Result]) -> None:
    run("request", "judge", *ASKED)
    call = ("certify", site, "judge/request.pem", "-o", "certified.pem")
    with pytest.raises(UsageError, match="nobody has compared the key") as caught:
        run(*call)
    assert "--key-is" in str(caught.value.hint)
    with pytest.raises(UsageError, match="not what the person read to you"):
        run(*call, "--key-is", f"sha256:{'ab' * 32}")
    assert not Path("certified.pem").exists()


def test_the_sites_own_key_is_no_persons(site: Path, run: Callable[..., Result]) -> None:
    key = SiteKit.load(site).key
    raw = PersonRequest.encode(key, site="Lyon", name=NAME, role=ROLE)
    Path("request.pem").write_bytes(raw)
    with pytest.raises(UsageError, match="the site's own key"):
        run("certify", site, "request.pem", "-o", "c.pem", "--key-is", PersonRequest.parse(raw).key_hash)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--name", "a\x07b", "--role", ROLE), "characters that nobody sees"),
        (("--name", "", "--role", ROLE), "needs a name"),
        (("--name", "x" * 65, "--role", ROLE), "64 characters"),
        (("--name", NAME, "--role", ROLE, "--key", "none.pem"), "cannot read"),
        (("--name", NAME, "--role", ROLE, "--key", "env:NOWHERE"), "not set"),
        (("--name", NAME, "--role", ROLE, "--key", "pkcs11:token=x;object=y?pin-value=1234"), "PIN"),
        (("--name", NAME, "--role", ROLE, "--key", "p384.pem"), "P-256"),
    ],
)
def test_a_request_that_cannot_be_made_leaves_nothing(
    run: Callable[..., Result], words: tuple[str, ...], why: str
) -> None:
    Path("p384.pem").write_bytes(private_key_pem(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(RasuraError, match=why):
        run("request", "judge", "--site", "Lyon", *words)
    assert not Path("judge").exists()


def test_a_request_without_anybody_at_the_passphrase(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RASURA_PERSON_PASSPHRASE_FILE")
    with pytest.raises(PassphraseNeededError):
        run("request", "judge", *ASKED)
    (tmp_path / "short").write_text("short")
    monkeypatch.setenv("RASURA_PERSON_PASSPHRASE_FILE", str(tmp_path / "short"))
    with pytest.raises(UsageError, match="characters at least"):
        run("request", "judge", *ASKED)
    assert not Path("judge").exists()
    Path("judge").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        run("request", "judge", *ASKED)


# --- certificates that are no answer


def test_what_is_no_answer_is_not_received(own_folder: Path, site: Path, run: Callable[..., Result]) -> None:
    certified(run, site)
    kit, trust = SiteKit.load(site), own_folder / "trust.toml"
    own = load_certificates(Path("certified.pem").read_bytes())[0]
    key = p256_public_key(own)
    stranger = ec.generate_private_key(ec.SECP256R1())
    paris = SiteKit.load(add_site(own_folder, "Paris", url=None, now=now()))
    other, _ = certify_person(
        paris,
        PersonRequest("Paris", NAME, ROLE, key),
        name=NAME,
        role=ROLE,
        now=now(),
        lifetime=PERSON_LIFETIME,
    )
    answers = {
        "another key": certificate_pem(
            issue_person(kit.key, kit.certificate, stranger.public_key(), NAME, ROLE, now()), kit.certificate
        ),
        "not marked as a person's": certificate_pem(
            issue_station(kit.key, kit.certificate, key, NAME, now()), kit.certificate
        ),
        "no good": certificate_pem(issue_revoker(kit.key, kit.certificate, key, now()), kit.certificate),
        "the signing certificate is no good": certificate_pem(own),
        "of the site 'Paris'": certificate_pem(other, paris.certificate),
        "certifies 'operator 8'": certificate_pem(
            issue_person(kit.key, kit.certificate, key, "operator 8", ROLE, now()), kit.certificate
        ),
        "holds no signing certificate": b"hello",
    }
    for why, answer in answers.items():
        Path("answer.pem").write_bytes(answer)
        with pytest.raises(UsageError, match=why):
            run("receive", "judge", "answer.pem", "--trust", trust)
    with pytest.raises(UsageError, match="pin"):
        run("receive", "judge", "certified.pem", "--trust", trust, "--registry-ca", "sha256:12")
    with pytest.raises(UsageError, match="cannot read"):
        run("receive", "nowhere", "certified.pem", "--trust", trust)
    assert sorted(one.name for one in Path("judge").iterdir()) == ["person.key", "request.pem"]


def test_a_registry_that_is_not_trusted_certifies_nobody(
    own_folder: Path, site: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    certified(run, site)
    initialise(tmp_path / "other", origin="other.example", sites=[], url=None, now=now())
    with pytest.raises(UsageError, match="trusted registry authority"):
        run("receive", "judge", "certified.pem", "--trust", tmp_path / "other" / "trust.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('key = "pkcs11:token=x;object=y?module-path=/tmp/evil.so"', "not its to say"),
        ('key = "person.key"\nmore = 1', "exactly one key"),
        ("key = 1", "exactly one key"),
        ("{", "person.toml"),
    ],
)
def test_a_persons_folder_says_no_more_than_where_the_key_is(
    own_folder: Path, site: Path, run: Callable[..., Result], text: str, why: str
) -> None:
    certified(run, site)
    run("receive", "judge", "certified.pem", "--trust", own_folder / "trust.toml")
    folder = Path(shutil.copytree("judge", "copy"))
    (folder / "person.toml").write_text(text)
    with pytest.raises(UsageError, match=why):
        PersonKit.load(folder, lambda: PASSPHRASE)


def test_every_command_says_how_it_is_called(run: Callable[..., Result]) -> None:
    for command in PERSON_COMMANDS:
        assert command.name is not None
        done = run(command.name, "--help")
        assert done.return_value in {None, 0, ExitCode.DONE}
