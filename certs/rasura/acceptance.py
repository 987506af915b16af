"""What suffices: an auditor's own rules for certificates that are genuine, apart from all cryptography. Pure.

::

    version = 1
    logged = true                           # a trusted log must hold it; true if left out
    sites = ["Workshop"]                    # whose work is accepted; everybody's if left out
    class = "internal"                      # what the drives held, where nobody says it

    [witnesses]                             # other eyes on the log: none are needed if left out
    quorum = 2                              # so many of them must have cosigned
    keys = ["witness.example/1+…", "…", "…"]

    [classes.internal]
    methods = ["Clear", "Purge"]            # what suffices for drives that held such data

    [classes.confidential]
    methods = ["Purge"]
    techniques = ["nvme-sanitize-block-erase"]    # these only; any if left out

A statement about a certificate is measured by ``logged`` and ``[witnesses]`` alone: it is no site's work on a
drive, and anybody who is certified may decide.

Nothing in it makes a certificate genuine that is not. A rule that cannot be read is an error: one that is
passed over in silence is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from rasura.certificate import ErasureCertificate, Method, Outcome, Technique
from rasura.errors import UsageError
from rasura.machine_report import MachineReport
from rasura.note import KeyType, Note, NoteError, VerifierKey
from rasura.toml_text import is_of_version, toml_table
from rasura.trust import Trust
from rasura.verifier import Report, Verdict

__all__ = ["Acceptance", "AcceptanceError", "DataClass", "read_acceptance"]

_VERSION = 1
_MEMBERS = {"version", "logged", "sites", "class", "witnesses", "classes"}
_E = TypeVar("_E", bound=StrEnum)


class AcceptanceError(UsageError):
    """The file of rules is not one."""


class DataClass(msgspec.Struct, frozen=True):
    """What suffices for drives that held data of one class; ``None``: any technique."""

    methods: frozenset[Method]
    techniques: frozenset[Technique] | None


class Acceptance(msgspec.Struct, frozen=True):
    """The rules. ``sites`` ``None``: everybody's; ``usual`` is the class where nobody says one."""

    logged: bool = True
    sites: frozenset[str] | None = None
    quorum: int = 0
    witnesses: tuple[VerifierKey, ...] = ()
    classes: tuple[tuple[str, DataClass], ...] = ()
    usual: str | None = None

    @classmethod
    def parse(cls, text: str) -> Acceptance:
        """Read a file of rules.

        Raises:
            AcceptanceError: not TOML, another version, an unknown key, a rule that cannot be read, or one
                that contradicts another.
        """
        document = toml_table(text, "the file of the rules of acceptance", AcceptanceError)
        if not is_of_version(document, _VERSION):
            raise AcceptanceError(f"the rules of acceptance are not of version {_VERSION}")
        _only(document, _MEMBERS, "the rules of acceptance")
        logged = document.get("logged", True)
        if not isinstance(logged, bool):
            raise AcceptanceError("'logged' in the rules of acceptance is true or false")
        sites = _texts(document, "sites", "the rules of acceptance")
        quorum, witnesses = _witnesses(document.get("witnesses"))
        if quorum and not logged:
            raise AcceptanceError(
                "witnesses cosign what a log holds: with a quorum, 'logged' cannot be false"
            )
        classes = _classes(document.get("classes", {}))
        usual = document.get("class")
        if usual is not None and usual not in [name for name, _ in classes]:
            raise AcceptanceError(
                f"'class' in the rules of acceptance is the name of one of the classes: {usual!r}"
            )
        return cls(logged, None if sites is None else frozenset(sites), quorum, witnesses, classes, usual)

    def require_fit(self, trust: Trust, asked: str | None) -> None:
        """Whether these rules make sense with ``trust``, and for the class ``asked`` for.

        Raises:
            AcceptanceError: a log is to be its own witness, or there is no such class.
        """
        logs = {log.public_key for log in trust.logs}
        for witness in self.witnesses:
            if witness.public_key in logs:
                raise AcceptanceError(
                    f"the witness {witness.name!r} is the log itself, and proves nothing more"
                )
        if asked is not None and asked not in dict(self.classes):
            known = ", ".join(name for name, _ in self.classes) or "none"
            raise AcceptanceError(f"the rules of acceptance know no class {asked[:80]!r}: they know {known}")

    def unmet(self, report: Report, asked: str | None = None) -> tuple[str, ...]:
        """Each rule that what is genuine does not meet, in words; empty if it suffices.

        Of a statement those of the log apply. ``asked`` is the class of what the drives held, from whoever
        knows it. Otherwise the certificate's own word counts, then the usual class.
        """
        claims = report.claims
        if report.verdict is Verdict.NOT_GENUINE or (claims is None and report.statement is None):
            return ("it is not genuine",)
        log_rules = tuple(self._log_rules(report))
        if claims is None:
            return log_rules
        return (
            *log_rules,
            *self._site_rules(claims.station.site),
            *self._class_rules(claims, asked),
        )

    def _log_rules(self, report: Report) -> Iterator[str]:
        if report.verdict is Verdict.NOT_LOGGED:
            if self.logged:
                yield "it must be in a trusted log, and is in none yet"
            return
        if self.quorum:
            there = [one.name for one in self.witnesses if _cosigned(report.checkpoint_note, one)]
            if len(there) < self.quorum:
                named = f" ({', '.join(there)})" if there else ""
                yield (
                    f"{self.quorum} of the witnesses must have cosigned the log's checkpoint, and "
                    f"{len(there)} did{named}"
                )

    def _site_rules(self, site: str) -> Iterator[str]:
        if self.sites is not None and site not in self.sites:
            yield f"the site must be one of {', '.join(sorted(self.sites)) or 'none'}, and it is {site}"

    def _class_rules(self, claims: ErasureCertificate | MachineReport, asked: str | None) -> Iterator[str]:
        if not self.classes:
            return
        said = claims.pre_erasure_categorization if isinstance(claims, ErasureCertificate) else None
        name = asked or said or self.usual
        found = dict(self.classes).get(name) if name is not None else None
        if found is None:
            yield (
                "nobody says which class of data the drive held"
                if name is None
                else f"there is no rule for data of the class {name}"
            )
            return
        for what, outcome, method, technique in _erasures(claims):
            if outcome is not Outcome.ERASED:
                continue
            needed: frozenset[Any] | None = None
            if method not in found.methods:
                needed = found.methods
            elif found.techniques is not None and technique not in found.techniques:
                needed = found.techniques
            if needed is not None:
                how = f"{method} ({technique})"
                yield f"for {name} data {_any_of(needed)} is needed, and {what} was erased by {how}"


def _cosigned(note: str | None, witness: VerifierKey) -> bool:
    """Whether the witness's one signature holds; a line of another's that does not hold is nothing to it."""
    try:
        return note is not None and bool(Note.parse(note).verify([witness]))
    except NoteError:
        return False


def _erasures(
    claims: ErasureCertificate | MachineReport,
) -> Iterator[tuple[str, Outcome, Method | None, Technique | None]]:
    if isinstance(claims, ErasureCertificate):
        result = claims.result
        yield "the drive", result.outcome, result.method, result.technique
        return
    for drive in claims.drives:
        if not drive.is_station_medium:
            yield f"drive {drive.serial or drive.block_device}", drive.outcome, drive.method, drive.technique


def _any_of(names: frozenset[Any]) -> str:
    return " or ".join(sorted(names)) or "nothing that exists"


def _only(table: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise AcceptanceError(f"{what} have an unknown key {unknown[0]!r}")


def _texts(table: dict[str, Any], name: str, what: str) -> list[str] | None:
    values = table.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise AcceptanceError(f"{name!r} in {what} is a list of texts")
    if len(set(values)) < len(values):
        raise AcceptanceError(f"{name!r} in {what} has the same text twice")
    return values


def _witnesses(table: object) -> tuple[int, tuple[VerifierKey, ...]]:
    if table is None:
        return 0, ()
    what = "[witnesses] of the rules of acceptance"
    if not isinstance(table, dict):
        raise AcceptanceError(f"{what} is a table")
    _only(table, {"quorum", "keys"}, what)
    texts, quorum = _texts(table, "keys", what) or [], table.get("quorum")
    try:
        keys = tuple(VerifierKey.parse(text) for text in texts)
    except NoteError as error:
        raise AcceptanceError(f"{what} hold a key that cannot be read: {error}") from None
    if any(key.type is not KeyType.COSIGNATURE_V1 for key in keys):
        raise AcceptanceError(f"{what} hold a key that is not a witness's")
    if len({key.public_key for key in keys}) < len(keys):
        raise AcceptanceError(f"{what} hold one key under two names: it would count twice")
    if not isinstance(quorum, int) or isinstance(quorum, bool) or not 1 <= quorum <= len(keys):
        raise AcceptanceError(f"the quorum of {what} is a number from 1 to that of the keys, {len(keys)}")
    return quorum, keys


def _classes(table: object) -> tuple[tuple[str, DataClass], ...]:
    if not isinstance(table, dict):
        raise AcceptanceError("the classes in the rules of acceptance are tables: [classes.NAME]")
    found = []
    for name, rules in table.items():
        what = f"the rules of the class {name!r}"
        if not isinstance(rules, dict):
            raise AcceptanceError(f"{what} are a table")
        _only(rules, {"methods", "techniques"}, what)
        methods = _members(rules, "methods", Method, what)
        if methods is None or not methods:
            raise AcceptanceError(f"{what} name no methods: then nothing would suffice")
        found.append((name, DataClass(methods, _members(rules, "techniques", Technique, what))))
    return tuple(found)


def _members(table: dict[str, Any], name: str, kind: type[_E], what: str) -> frozenset[_E] | None:
    texts = _texts(table, name, what)
    if texts is None:
        return None
    try:
        return frozenset(kind(text) for text in texts)
    except ValueError:
        known = ", ".join(kind)
        raise AcceptanceError(f"{name!r} in {what} has something that is none: there are {known}") from None


def read_acceptance(raw: bytes) -> Acceptance:
    """The same from bytes; raises :class:`AcceptanceError`."""
    try:
        return Acceptance.parse(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise AcceptanceError("the rules of acceptance are not UTF-8") from None
