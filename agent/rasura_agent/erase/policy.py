"""The policy: what is asked for, and what must not be touched. TOML in, frozen values out.

::

    name = "clear-random"

    [erase]
    method = "Clear"            # Clear or Purge
    technique = "overwrite"     # left out: the plan chooses
    pattern = "random"          # of an overwrite: random or zero; passes as the medium wants them
    scheme = "bsi-vsitr"        # or instead of a pattern, the passes of a scheme of schemes.toml
    offload = false             # may the drive zero itself in passes of zeros (Write Zeroes)?
    allow_weaker = false        # may a weaker method be used where the asked one is not to be had?
    accept_r1_basis = false     # may what only NIST SP 800-88 Rev. 1 calls Purge be called so?
    allow_hidden = false        # may an area that the drive hides (HPA, AMA, DCO) stay hidden?
    reformat_sectors = false    # may drives of 520-byte sectors be formatted to 512 first?
    verification = "full"       # of an overwrite: full, or sampled (a tenth of the drive, NIST Rev. 1)
    sample_limit_mb = 1000      # read before and after a device command; 0: a tenth of the drive
    skip_rejected = false       # may a drive whose health is graded "reject" be left alone, to be destroyed?

    [verify]
    every_pass = false          # read back every pass, not only the last?
    second_reader = false       # have a process of its own read back?

    [limits]                    # see erase/limits.py
    retries = 2
    errors = 1000
    error_seconds = 1800
    answer_seconds = 300
    zone_transfers = 4

    [protect]
    serials = ["WD-123"]        # never touch these drives
    removable = false           # true: never touch removable drives

    [pace]
    pause_above_celsius = 60    # of a drive; usually 60 for hard disks, 75 for others
    go_on_below_celsius = 55    # usually 55 and 68
    drive_mb_s = 0              # a second for each drive, and for all together; 0: no limit
    machine_mb_s = 0
    start_stagger_s = 1         # between the starts of two drives that rotate

    [journal]                   # at most so much of an overwrite is done again after a power cut
    interval_mb = 32000
    interval_s = 20
"""

from __future__ import annotations

import difflib
import hashlib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rasura.certificate import Method, ReadBackExtent, Technique
from rasura.errors import UsageError
from rasura.toml_text import toml_table
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.pacing import PACE, Pace
from rasura_agent.erase.progress_record import JOURNAL_PACE, JournalPace
from rasura_agent.erase.scheme import scheme
from rasura_agent.guard import Protection

__all__ = [
    "BUILT_IN",
    "SAMPLE_LIMIT_BYTES",
    "PatternKind",
    "Policy",
    "PolicyError",
    "load_policy",
    "parse_policy",
]

_FOLDER = resources.files("rasura_agent.erase") / "policies"
BUILT_IN = ("clear-random", "clear-zero", "purge")
"""Policies that come with the agent, by name; the first is the default."""

SAMPLE_LIMIT_BYTES = 1_000_000_000
"""Some 2,000 reads of half a megabyte: half a minute for a hard disk, where a tenth of it takes hours."""


_MOST_LIMIT = 1_000_000
"""In seconds that is eleven days."""


class PolicyError(UsageError):
    """The policy is not one."""


class PatternKind(StrEnum):
    """What an overwrite leaves behind."""

    RANDOM = "random"
    ZERO = "zero"


class Policy(msgspec.Struct, frozen=True):
    """What is asked for; ``sha256`` is the hex digest of the file it was read from."""

    name: str
    sha256: str
    method: Method
    technique: Technique | None
    """The only technique to use; ``None`` leaves the choice to the plan."""
    pattern: PatternKind
    scheme: str | None
    """The overwriting scheme asked for; ``None`` has the plan take the one for pattern and medium."""
    offload: bool
    """Whether a drive may zero itself in passes of zeros, which are read back whatever comes after."""
    every_pass: bool
    """Whether every pass is read back, not only the last."""
    second_reader: bool
    """Whether a process of its own reads back."""
    allow_weaker: bool
    accept_r1_basis: bool
    """Whether what only the withdrawn Rev. 1 of NIST SP 800-88 calls Purge may be called so."""
    allow_hidden: bool
    """Whether a drive may be called erased although an area that it hides could not be lifted."""
    reformat_sectors: bool
    """Whether drives of 520, 524 or 528-byte sectors may be formatted to 512, to be erased then."""
    skip_rejected: bool
    """Whether drives whose health is graded reject are left alone: they are to be destroyed then."""
    protection: Protection
    limits: Limits
    read_back: ReadBackExtent = ReadBackExtent.FULL
    """How much of an overwritten drive is read back and compared."""
    sample_limit_bytes: int = SAMPLE_LIMIT_BYTES
    """At most about so much is read of a drive before and after its own command; 0: all of the scheme."""
    pace: Pace = PACE
    journal_pace: JournalPace = JOURNAL_PACE
    """How much of an overwrite a power cut may cost."""


_Kind = TypeVar("_Kind", bound=StrEnum)  # Python 3.11 has no PEP 695 yet

_SHAPE: dict[str, dict[str, type]] = {
    "erase": {
        "method": str,
        "technique": str,
        "pattern": str,
        "scheme": str,
        "offload": bool,
        "allow_weaker": bool,
        "accept_r1_basis": bool,
        "allow_hidden": bool,
        "reformat_sectors": bool,
        "verification": str,
        "sample_limit_mb": int,
        "skip_rejected": bool,
    },
    "verify": {"every_pass": bool, "second_reader": bool},
    "limits": {
        "retries": int,
        "errors": int,
        "error_seconds": int,
        "answer_seconds": int,
        "zone_transfers": int,
    },
    "protect": {"serials": list, "removable": bool},
    "pace": {
        "pause_above_celsius": int,
        "go_on_below_celsius": int,
        "drive_mb_s": int,
        "machine_mb_s": int,
        "start_stagger_s": int,
    },
    "journal": {"interval_mb": int, "interval_s": int},
}

_MB = 1_000_000


def load_policy(name_or_path: str) -> Policy:
    """Read a built-in policy by its name, or a file by its path; raises :class:`PolicyError`."""
    if name_or_path in BUILT_IN:
        return parse_policy((_FOLDER / f"{name_or_path}.toml").read_bytes())
    try:
        return parse_policy(Path(name_or_path).read_bytes())
    except OSError as error:
        raise PolicyError(
            f"cannot read the policy {name_or_path}: {error.strerror}",
            hint=f"built-in policies: {', '.join(BUILT_IN)}",
        ) from None


def parse_policy(raw: bytes) -> Policy:
    """Read a policy.

    Raises:
        PolicyError: not UTF-8 or TOML; an unknown, missing or ill-typed key; an unknown value.
        SchemeError: there is no such scheme.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("the policy is not UTF-8 text") from None
    document = toml_table(text, "the policy", PolicyError)
    _only_known(document, ("name", *_SHAPE), "the policy")
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        raise PolicyError('the policy needs a name, such as name = "clear-random"')
    erase, protect, journal, verify = (
        _table(document, name) for name in ("erase", "protect", "journal", "verify")
    )
    pace = _pace(_table(document, "pace"))
    if "method" not in erase:
        raise PolicyError('the policy does not say what to do: [erase] needs method = "Clear" or "Purge"')
    method = _one_of(Method, erase["method"], "method")
    if method is Method.DESTROY:
        raise PolicyError("no software can destroy a drive: method is Clear or Purge")
    if "scheme" in erase:
        if "pattern" in erase:
            raise PolicyError("the policy names a pattern and a scheme: one of them says what is written")
        scheme(erase["scheme"])
    read_back = _one_of(ReadBackExtent, erase.get("verification", ReadBackExtent.FULL), "verification")
    for key, table in (("offload", erase), ("every_pass", verify), ("second_reader", verify)):
        if table.get(key, False) and read_back is not ReadBackExtent.FULL:
            raise PolicyError(f'with {key} all is read back: verification in the policy must be "full"')
    serials = protect.get("serials", [])
    if not all(isinstance(serial, str) and serial for serial in serials):
        raise PolicyError("serials in [protect] must be a list of serial numbers")
    return Policy(
        name=name,
        sha256=hashlib.sha256(raw).hexdigest(),
        method=method,
        technique=_one_of(Technique, erase["technique"], "technique") if "technique" in erase else None,
        pattern=_one_of(PatternKind, erase.get("pattern", PatternKind.RANDOM), "pattern"),
        scheme=erase.get("scheme"),
        offload=erase.get("offload", False),
        every_pass=verify.get("every_pass", False),
        second_reader=verify.get("second_reader", False),
        allow_weaker=erase.get("allow_weaker", False),
        accept_r1_basis=erase.get("accept_r1_basis", False),
        allow_hidden=erase.get("allow_hidden", False),
        reformat_sectors=erase.get("reformat_sectors", False),
        skip_rejected=erase.get("skip_rejected", False),
        protection=Protection(serials=frozenset(serials), refuse_removable=protect.get("removable", False)),
        read_back=read_back,
        sample_limit_bytes=_megabytes(erase, "sample_limit_mb", 0, SAMPLE_LIMIT_BYTES),
        pace=pace,
        journal_pace=JournalPace(
            interval_bytes=_megabytes(journal, "interval_mb", 1, JOURNAL_PACE.interval_bytes),
            interval_s=_at_least(journal, "interval_s", 1, round(JOURNAL_PACE.interval_s)),
        ),
        limits=_limits(_table(document, "limits")),
    )


def _limits(table: dict[str, Any]) -> Limits:
    usual = Limits()
    for key, value in table.items():
        least = 0 if key == "retries" else 1
        if value < least:
            raise PolicyError(f"{key} in [limits] of the policy must be at least {least}, not {value}")
        if value > _MOST_LIMIT:
            raise PolicyError(f"{key} in [limits] of the policy must be at most {_MOST_LIMIT}, not {value}")
    return Limits(
        retries=table.get("retries", usual.retries),
        errors=table.get("errors", usual.errors),
        error_s=table.get("error_seconds", usual.error_s),
        answer_s=table.get("answer_seconds", usual.answer_s),
        zone_transfers=table.get("zone_transfers", usual.zone_transfers),
    )


def _pace(table: dict[str, Any]) -> Pace:
    above, below = table.get("pause_above_celsius"), table.get("go_on_below_celsius")
    if (above is None) != (below is None):
        raise PolicyError("pause_above_celsius and go_on_below_celsius in the policy go together")
    if above is not None and below is not None and not 0 < below < above:
        raise PolicyError("a drive goes on below a lower temperature than it pauses above")
    return Pace(
        pause_above_celsius=above,
        go_on_below_celsius=below,
        drive_bytes_s=_megabytes(table, "drive_mb_s", 0, PACE.drive_bytes_s),
        machine_bytes_s=_megabytes(table, "machine_mb_s", 0, PACE.machine_bytes_s),
        start_stagger_s=_at_least(table, "start_stagger_s", 0, PACE.start_stagger_s),
    )


def _megabytes(table: dict[str, Any], key: str, least: int, default: int) -> int:
    return _at_least(table, key, least, 0) * _MB if key in table else default


def _at_least(table: dict[str, Any], key: str, least: int, default: int) -> int:
    value: int = table.get(key, default)
    if key in table and value < least:
        raise PolicyError(f"{key} in the policy is {value}; it is at least {least}")
    return value


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise PolicyError(f"{name} in the policy must be a table, written [{name}]")
    _only_known(table, tuple(_SHAPE[name]), f"[{name}] of the policy")
    for key, value in table.items():
        wanted = _SHAPE[name][key]
        if type(value) is not wanted:
            words = {str: "text", bool: "true or false", int: "a whole number", list: "a list"}
            raise PolicyError(f"{key} in [{name}] of the policy must be {words[wanted]}, not {value!r}")
    return table


def _only_known(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise PolicyError(f"{where} has an unknown key {key!r}", hint=hint)


def _one_of(kinds: type[_Kind], value: str, key: str) -> _Kind:
    for kind in kinds:
        if kind.value.lower() == value.lower():
            return kind
    raise PolicyError(f"{key} in the policy is {value!r}; it can be {', '.join(kinds)}")
