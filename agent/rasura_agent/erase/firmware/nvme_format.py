"""Format NVM with a secure erase as a technique (NVMe Base 2.1 clause 5.1.10).

The command answers when it is over, and nothing in the drive remembers it: a status that was lost
cannot be had again, so such a run ends as unknown. It never reaches capacity without a namespace.
"""

from __future__ import annotations

from rasura.certificate import Technique
from rasura.errors import UsageError
from rasura_agent.drive.nvme.errors import NvmeDecodeError
from rasura_agent.drive.nvme.format import (
    FormatScope,
    SecureEraseSettings,
    format_keeping,
    format_scope,
    format_timeout_s,
)
from rasura_agent.drive.nvme.identify import FormatNvmAttributes, identify_namespace
from rasura_agent.drive.nvme.identify_namespace import IdentifyNamespace, decode_identify_namespace
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.follow import Followed, Look, LookState, Pace, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.nvme_capabilities import NvmeCapabilities
from rasura_agent.erase.firmware.nvme_offers import FORMAT_SETTINGS, standing_obstacle
from rasura_agent.erase.firmware.nvme_words import refusal
from rasura_agent.sentence import Sentence

__all__ = ["run_format"]

_DONE, _REFUSED, _UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
_Ended = tuple[Disposition, str]

_FPI = 32
"""Format Progress Indicator: bit 7 supported, bits 6:0 percent that remain (NVM Command Set 1.1, 4.1.5.1)."""
_FASTEST_BYTES_PER_S = 1 << 40
"""No flash erases blocks as fast."""


def run_format(
    line: Line,
    capabilities: NvmeCapabilities,
    technique: Technique,
    *,
    erase_whole_subsystem: bool = False,
) -> TechniqueEnd:
    """Format the namespace, or with ``erase_whole_subsystem`` every namespace, keeping blocks and protection.

    Raises:
        UsageError: ``technique`` is no Format NVM.
    """
    ses = FORMAT_SETTINGS.get(technique)
    if ses is None:
        raise UsageError(f"{technique} is not done by the Format NVM command")
    obstacle = standing_obstacle(capabilities, technique, erase_whole_subsystem=erase_whole_subsystem)
    if obstacle is not None:
        return line.end(_REFUSED, obstacle)
    scope = format_scope(capabilities.controller.fna, ses=ses, nsid=capabilities.nsid)
    one_reaches_all = scope is FormatScope.ALL_NAMESPACES
    targets = capabilities.active if erase_whole_subsystem and not one_reaches_all else (capabilities.nsid,)
    disposition, reason = _DONE, ""
    for number, nsid in enumerate(targets):
        disposition, reason = _format(line, capabilities, nsid, ses, one_reaches_all)
        if disposition is not _DONE:
            # What was formatted before this one is changed already.
            if number and disposition is _REFUSED:
                disposition = _UNKNOWN
            return line.end(disposition, Sentence("namespace {number}: {reason}", number=nsid, reason=reason))
    return line.end(disposition, reason)


def _format(
    line: Line, capabilities: NvmeCapabilities, nsid: int, ses: SecureEraseSettings, reaches_all: bool
) -> _Ended:
    """Format one namespace, or by way of it all of them."""
    before = _Namespace(line, nsid)
    state = before.look()
    if state.state is LookState.RUNNING:
        return _UNKNOWN, Sentence("a format that this run did not begin is under way")
    if before.page is None:
        return _REFUSED, Sentence(
            "it cannot be identified ({detail}); nothing was begun", detail=state.detail
        )
    reached = capabilities.subsystem_bytes if reaches_all else before.page.nvmcap or before.page.size_bytes
    timeout = format_timeout_s(ses, reached)
    command = format_keeping(nsid, before.page, ses=ses, timeout_s=timeout)
    began = line.clock.monotonic()
    completion = line.execute(command)
    took = line.clock.monotonic() - began
    if completion.disposition is _REFUSED:
        return _REFUSED, refusal(command, completion)
    after = _Namespace(line, nsid)
    followed = follow(line, after.look, Pace(estimate_s=None, deadline_s=timeout))
    if completion.disposition is _UNKNOWN:
        return _UNKNOWN, _at_rest(refusal(command, completion), followed)
    doubt = _doubt(capabilities, before.page, after.page, reached, took)
    if followed.state is not LookState.SUCCEEDED:
        doubt = Sentence("the drive reported the end of the format, but {detail}", detail=followed.detail)
    if doubt:
        return _UNKNOWN, doubt
    return _DONE, Sentence(
        "{command} succeeded after {seconds} s", command=command.name, seconds=f"{took:.0f}"
    )


def _at_rest(reason: str, followed: Followed) -> str:
    """Why it is not known how a format ended, and how the drive was found after it."""
    if followed.state is LookState.SUCCEEDED:
        return Sentence("{reason}; it is at rest now and may be erased afresh", reason=reason)
    return Sentence("{reason}; {rest}", reason=reason, rest=followed.detail)


class _Namespace:
    """Looks at a namespace; ``page`` is what was seen last."""

    def __init__(self, line: Line, nsid: int) -> None:
        self._line = line
        self._nsid = nsid
        self.page: IdentifyNamespace | None = None

    def look(self) -> Look:
        """``SUCCEEDED`` where no format is under way on it, which does not say that one was."""
        self.page = None
        completion = self._line.execute(identify_namespace(self._nsid))
        if completion.disposition is not _DONE:
            return Look(LookState.UNKNOWN, detail=completion.detail)
        try:
            self.page = decode_identify_namespace(completion.data)
        except NvmeDecodeError as error:
            return Look(LookState.UNKNOWN, detail=str(error))
        if self.page is None:
            return Look(LookState.UNKNOWN, detail=Sentence("it is not attached to this controller"))
        remains = completion.data[_FPI] & 0x7F
        if completion.data[_FPI] & 0x80 and remains:
            return Look(LookState.RUNNING, 1 - remains / 100)
        return Look(LookState.SUCCEEDED)


def _doubt(
    capabilities: NvmeCapabilities,
    before: IdentifyNamespace,
    after: IdentifyNamespace | None,
    reached_bytes: int,
    took_s: float,
) -> str | None:
    """Why a reported success is not believed, or ``None``."""
    if after is None or _layout(after) != _layout(before):
        return Sentence("the drive reported success, but the namespace did not come back as it was")
    # A drive that encrypts everything may answer SES 1 by changing the key (figure 187), in no time.
    encrypts = FormatNvmAttributes.CRYPTOGRAPHIC_ERASE in capabilities.controller.fna
    if not encrypts and took_s < reached_bytes / _FASTEST_BYTES_PER_S:
        return Sentence(
            "the drive claims to have erased {count} bytes in {seconds} s without encrypting them",
            count=reached_bytes,
            seconds=f"{took_s:.3f}",
        )
    return None


def _layout(namespace: IdentifyNamespace) -> tuple[int, int, int, bool]:
    return (
        namespace.nsze,
        namespace.format_index,
        namespace.protection_type,
        namespace.metadata_extended,
    )
