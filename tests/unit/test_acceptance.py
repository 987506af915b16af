"""An auditor's rules: what they say of what is genuine, and files that are none."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rasura.acceptance import Acceptance, AcceptanceError, DataClass, read_acceptance
from rasura.certificate import Method, Technique
from rasura.cli import cli
from rasura.errors import ExitCode, UsageError
from rasura.note import VerifierKey
from rasura.trust import Trust
from rasura.verifier import Report, verify
from vectors.accepted import WITNESSES, _cosigned
from vectors.claims import certificate
from vectors.world import ORIGIN, log_key, made, station_place, trust

TRUST = Trust.parse(trust())
KEYS = tuple(VerifierKey.of(name, log_key(name)).cosigner() for name in WITNESSES)
A, B = (key.encode() for key in KEYS[:2])
LOG = VerifierKey.of(ORIGIN, log_key())
VECTORS = Path(__file__).parents[2] / "certs/vectors"


def report(*names: str) -> Report:
    return verify(made(start=False, logged=_cosigned(*names)).bundle, TRUST)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "version"),
        ("version = 2", "version"),
        ("version = true", "version"),
        ("version = 1.0", "version"),
        ("version =", "TOML"),
        ("version = 1\nstrange = 1", "unknown key 'strange'"),
        ('version = 1\nlogged = "yes"', "true or false"),
        ('version = 1\nsites = "Workshop"', "list of texts"),
        ("version = 1\nsites = [1]", "list of texts"),
        ('version = 1\nsites = ["a", "a"]', "twice"),
        ('version = 1\nclass = "x"', "one of the classes"),
        ("version = 1\nclass = 1", "one of the classes"),
        ("version = 1\nclass = []", "one of the classes"),
        ("version = 1\nwitnesses = 1", "a table"),
        ("version = 1\n[witnesses]", "quorum"),
        (f'version = 1\n[witnesses]\nkeys = ["{A}"]', "quorum"),
        (f'version = 1\n[witnesses]\nquorum = 2\nkeys = ["{A}"]', "1 to that of the keys, 1"),
        (f'version = 1\n[witnesses]\nquorum = 0\nkeys = ["{A}"]', "1 to"),
        (f'version = 1\n[witnesses]\nquorum = true\nkeys = ["{A}"]', "1 to"),
        (f'version = 1\n[witnesses]\nquorum = 1\nkeys = ["{A}", "{A}"]', "twice"),
        (f'version = 1\n[witnesses]\nquorum = 1\nkeys = ["{A}"]\nstrange = 1', "unknown key"),
        ('version = 1\n[witnesses]\nquorum = 1\nkeys = ["x"]', "cannot be read"),
        (f'version = 1\n[witnesses]\nquorum = 1\nkeys = ["{LOG.encode()}"]', "not a witness's"),
        (f'version = 1\nlogged = false\n[witnesses]\nquorum = 1\nkeys = ["{A}"]', "cannot be false"),
        ("version = 1\nclasses = 1", "tables"),
        ("version = 1\n[classes]\na = 1", "a table"),
        ("version = 1\n[classes.a]", "no methods"),
        ("version = 1\n[classes.a]\nmethods = []", "no methods"),
        ('version = 1\n[classes.a]\nmethods = ["purge"]', "there are Clear, Purge, Destroy"),
        ('version = 1\n[classes.a]\nmethods = ["Purge"]\ntechniques = ["magnet"]', "something that is none"),
        ('version = 1\n[classes.a]\nmethods = ["Purge"]\nstrange = 1', "unknown key"),
    ],
)
def test_rules_that_cannot_be_read_are_an_error(text: str, says: str) -> None:
    with pytest.raises(AcceptanceError, match=says):
        Acceptance.parse(text)


def test_rules_that_are_no_text() -> None:
    with pytest.raises(AcceptanceError, match="UTF-8"):
        read_acceptance(b"\xff")


def test_one_key_under_two_names_counts_once() -> None:
    twin = VerifierKey("twin.example", KEYS[0].type, KEYS[0].public_key).encode()
    with pytest.raises(AcceptanceError, match="two names"):
        Acceptance.parse(f'version = 1\n[witnesses]\nquorum = 2\nkeys = ["{A}", "{twin}"]')


def test_the_log_is_no_witness_of_itself() -> None:
    rules = Acceptance.parse(f'version = 1\n[witnesses]\nquorum = 1\nkeys = ["{LOG.cosigner().encode()}"]')
    with pytest.raises(AcceptanceError, match="the log itself"):
        rules.require_fit(TRUST, None)


@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_exactly_a_quorum_suffices(quorum: int) -> None:
    rules = Acceptance(quorum=quorum, witnesses=KEYS)
    for number in range(len(WITNESSES) + 1):
        for names in combinations(WITNESSES, number):
            assert bool(rules.unmet(report(*names))) == (number < quorum), names


def test_a_witness_that_the_rules_do_not_name_counts_for_nothing() -> None:
    rules = Acceptance(quorum=1, witnesses=KEYS[:1])
    assert rules.unmet(report(*WITNESSES[1:]))
    assert not rules.unmet(report(*WITNESSES))


def test_what_is_not_genuine_never_suffices() -> None:
    bad = verify((VECTORS / "payload-changed_fail/bundle.json").read_bytes(), TRUST)
    assert Acceptance().unmet(bad) == ("it is not genuine",)


RULES = st.builds(
    Acceptance,
    logged=st.just(True),
    sites=st.none() | st.frozensets(st.sampled_from(["Workshop", "Atelier"])),
    quorum=st.integers(0, 3),
    witnesses=st.just(KEYS),
    classes=st.lists(
        st.tuples(
            st.sampled_from(["internal", "secret"]),
            st.builds(
                DataClass,
                st.frozensets(st.sampled_from(Method), min_size=1),
                st.none() | st.frozensets(st.sampled_from([Technique.OVERWRITE, Technique.MMC_SANITIZE])),
            ),
        ),
        max_size=2,
        unique_by=lambda one: one[0],
    ).map(tuple),
    usual=st.none(),
)


@given(
    rules=RULES,
    names=st.sets(st.sampled_from(WITNESSES)),
    asked=st.sampled_from([None, "internal", "secret"]),
)
def test_each_rule_is_judged_by_itself(rules: Acceptance, names: set[str], asked: str | None) -> None:
    """The rules one by one are not met exactly where they are not met together."""
    whole = report(*sorted(names))
    alone = (
        *Acceptance(quorum=rules.quorum, witnesses=rules.witnesses).unmet(whole),
        *Acceptance(sites=rules.sites).unmet(whole),
        *Acceptance(classes=rules.classes).unmet(whole, asked),
    )
    assert rules.unmet(whole, asked) == alone
    classes = dict(rules.classes)
    fits = not classes or (
        asked in classes
        and Method.CLEAR in classes[asked].methods
        and (classes[asked].techniques is None or Technique.OVERWRITE in classes[asked].techniques)
    )
    site = rules.sites is None or "Workshop" in rules.sites
    assert (not alone) == (len(names) >= rules.quorum and site and fits)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "bundle.json").write_bytes(
        made(certificate(station_place(), preErasureCategorization="internal")).bundle
    )
    (tmp_path / "trust.toml").write_text(trust())
    (tmp_path / "accept.toml").write_text(
        'version = 1\n[classes.internal]\nmethods = ["Clear"]\n[classes.secret]\nmethods = ["Purge"]\n'
    )
    return tmp_path


def verified(desk: Path, *words: str) -> object:
    given_ = ["verify", str(desk / "bundle.json"), "--trust", str(desk / "trust.toml"), *words]
    done = CliRunner().invoke(cli, given_, standalone_mode=False)
    return done.exception or done.return_value


def test_the_auditors_word_on_the_class_counts_before_the_certificates(desk: Path) -> None:
    rules = ("--accept", str(desk / "accept.toml"))
    assert verified(desk, *rules) is ExitCode.DONE
    assert verified(desk, *rules, "--class", "secret") is ExitCode.REFUSED
    assert verified(desk, *rules, "--class", "internal") is ExitCode.DONE


def test_calls_that_are_wrong(desk: Path) -> None:
    rules = ("--accept", str(desk / "accept.toml"))
    nowhere = ("--accept", str(desk / "no.toml"))
    for words in (("--class", "secret"), (*rules, "--class", "unheard-of"), nowhere):
        assert isinstance(verified(desk, *words), UsageError), words


def test_a_drive_that_was_not_erased_stays_what_it_is(desk: Path) -> None:
    """Rules never make an unknown outcome a mere refusal, nor a forgery one that does not suffice."""
    (desk / "accept.toml").write_text('version = 1\nsites = ["Atelier"]\n')
    rules = ("--accept", str(desk / "accept.toml"))
    for name, code in (("drive-unknown_fail", 4), ("drive-failed_fail", 3), ("payload-changed_fail", 1)):
        (desk / "bundle.json").write_bytes((VECTORS / name / "bundle.json").read_bytes())
        assert verified(desk, *rules) == code


@pytest.mark.parametrize(
    "side", ["accepted", "rejected_fail", "corrected", "superseded_fail", "rotated-later"]
)
def test_a_statement_is_measured_by_what_is_asked_of_the_log(side: str, desk: Path) -> None:
    """Sites and classes are rules for work on drives; what is genuine is never said not to be."""
    said = min((VECTORS / side / "with").iterdir())
    found = verify(said.read_bytes(), TRUST)
    assert found.statement is not None
    nothing_suffices = Acceptance(
        sites=frozenset(), classes=(("internal", DataClass(frozenset({Method.DESTROY}), None)),)
    )
    assert nothing_suffices.unmet(found) == ()
    (sentence,) = Acceptance(quorum=1, witnesses=KEYS).unmet(found)
    assert "must have cosigned" in sentence


def test_an_acceptance_beside_its_certificate_suffices(desk: Path) -> None:
    (desk / "bundle.json").write_bytes((VECTORS / "accepted/bundle.json").read_bytes())
    said = str(VECTORS / "accepted/with/statement-1.json")
    rules = ("--accept", str(desk / "accept.toml"), "--class", "internal")
    assert verified(desk, said, *rules) is ExitCode.DONE


def test_a_statement_that_no_log_holds_is_held_to_the_rules(desk: Path) -> None:
    said = VECTORS / "validation-not-logged_fail/bundle.json"
    if verify(said.read_bytes(), TRUST).statement is None:
        (said,) = (VECTORS / "validation-not-logged_fail/with").iterdir()
    found = verify(said.read_bytes(), TRUST)
    assert found.statement is not None
    assert Acceptance().unmet(found) == ("it must be in a trusted log, and is in none yet",)
    assert Acceptance(logged=False).unmet(found) == ()
