"""Recording and replaying: what was said comes back, and nothing that was not said."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rasura_agent.drive.mmc.commands import send_ext_csd, send_status
from rasura_agent.drive.nvme.identify import identify_controller, identify_namespace
from rasura_agent.drive.port import (
    AtaCommand,
    AtaProtocol,
    AtaResult,
    Command,
    Completion,
    Disposition,
    MmcCommand,
    ScsiCommand,
    SenseData,
)
from rasura_agent.drive.transport.replay import (
    Recording,
    RecordingTransport,
    ReplayError,
    ReplayTransport,
    dump_recordings,
    load_recordings,
)

SENSE = SenseData(0x72, 1, 0, 0x1D, False, None, 7, b"\x72\x01")
RECORDINGS = (
    Recording(
        identify_controller(),
        Completion(Disposition.DONE, "ok", b"\x86\x80", 0.25, nvme_status=0, nvme_result=0),
    ),
    Recording(
        AtaCommand("SANITIZE", 0xB4, AtaProtocol.NON_DATA, 0x11, 0x10, 0x43727970, ext=True),
        Completion(
            Disposition.UNKNOWN, "?", scsi_status=2, sense=SENSE, ata=AtaResult(0x50, 0, 0x8000, 1 << 40, 0)
        ),
    ),
    Recording(
        ScsiCommand("INQUIRY", b"\x12\0\0\0\x60\0", data_in_bytes=96), Completion(Disposition.REFUSED, "no")
    ),
    Recording(send_ext_csd(), Completion(Disposition.DONE, "R1", bytes(512), mmc_response=(0x900, 0, 0, 0))),
)


class Machine:
    """A drive port that answers what it is told, once each."""

    def __init__(self, *completions: Completion) -> None:
        self.completions = list(completions)

    def execute(self, command: Command) -> Completion:
        return self.completions.pop(0)


class MmcMachine(Machine):
    def execute_sequence(self, commands: Sequence[MmcCommand]) -> tuple[Completion, ...]:
        return tuple(self.execute(command) for command in commands)


def _done(words: str) -> Completion:
    return Completion(Disposition.DONE, words)


def test_a_document_comes_back_as_it_was() -> None:
    assert load_recordings(dump_recordings(RECORDINGS)) == RECORDINGS
    assert load_recordings(dump_recordings([])) == ()


def test_the_document_is_what_is_written_down() -> None:
    document = json.loads(dump_recordings(RECORDINGS[:1]))
    assert (document["format"], document["version"]) == ("rasura-replay", 1)
    (entry,) = document["recordings"]
    assert entry["command"]["family"] == "nvme"
    assert entry["command"]["opcode"] == 6
    assert entry["completion"]["disposition"] == "done"
    assert entry["completion"]["data"] == "8680"
    assert entry["completion"]["ata"] is None


def test_recording_and_replaying() -> None:
    recorder = RecordingTransport(Machine(_done("1"), _done("2"), _done("3")))
    first = [
        recorder.execute(c) for c in (identify_controller(), identify_namespace(1), identify_controller())
    ]
    replay = ReplayTransport(load_recordings(dump_recordings(recorder.recordings)))
    again = [replay.execute(c) for c in (identify_controller(), identify_namespace(1), identify_controller())]
    assert first == again
    # The last answer stays.
    assert replay.execute(identify_controller()).detail == "3"


def test_a_command_that_was_not_recorded_is_named() -> None:
    replay = ReplayTransport(RECORDINGS)
    with pytest.raises(ReplayError, match=r"no recording of .*IDENTIFY NAMESPACE.*nsid=9"):
        replay.execute(identify_namespace(9))


def test_a_command_that_differs_in_one_field_was_not_recorded() -> None:
    replay = ReplayTransport(RECORDINGS)
    with pytest.raises(ReplayError):
        replay.execute(AtaCommand("SANITIZE", 0xB4, AtaProtocol.NON_DATA, 0x11, 0, 0x43727970, ext=True))


def test_sequences() -> None:
    recorder = RecordingTransport(MmcMachine(_done("a"), _done("b")))
    assert [c.detail for c in recorder.execute_sequence([send_ext_csd(), send_status(1)])] == ["a", "b"]
    replay = ReplayTransport(recorder.recordings)
    assert [c.detail for c in replay.execute_sequence([send_ext_csd(), send_status(1)])] == ["a", "b"]
    with pytest.raises(ReplayError, match="Machine sends no sequences"):
        RecordingTransport(Machine()).execute_sequence([send_ext_csd()])


def _document(**changes: Any) -> str:
    """The capture of one Identify, with a value changed by its path, or removed by ``...``."""
    document = json.loads(dump_recordings(RECORDINGS[:1]))
    for path, value in changes.items():
        *above, last = path.split("__")
        place = document
        for step in above:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(document)


COMMAND, COMPLETION = "recordings__0__command__", "recordings__0__completion__"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "[" * 100_000,
        '{"format": "rasura-replay", "version": 1}',
        '{"format": "rasura-replay", "format": "rasura-replay", "version": 1, "recordings": []}',
        _document(format="other"),
        _document(version=2),
        _document(version=True),
        _document(version="1"),
        _document(recordings={}),
        _document(recordings=[1]),
        _document(extra=1),
        _document(recordings__0__command=1),
        _document(recordings__0__completion=None),
        _document(**{COMMAND + "family": ...}),
        _document(**{COMMAND + "family": "ide"}),
        _document(**{COMMAND + "family": []}),
        _document(**{COMMAND + "opcode": ...}),
        _document(**{COMMAND + "opcode": "6"}),
        _document(**{COMMAND + "opcode": 6.0}),
        _document(**{COMMAND + "opcode": True}),
        _document(**{COMMAND + "opcode": None}),
        _document(**{COMMAND + "surprise": 1}),
        _document(**{COMMAND + "data_out": "0G"}),
        _document(**{COMMAND + "data_out": "000"}),
        _document(**{COMMAND + "data_out": "AB"}),
        _document(**{COMMAND + "data_out": "ab\n"}),
        _document(**{COMMAND + "timeout_s": "15"}),
        _document(**{COMMAND + "timeout_s": 10**400}),
        _document(**{COMMAND + "timeout_s": True}),
        _document(**{COMPLETION + "disposition": "success"}),
        _document(**{COMPLETION + "disposition": None}),
        _document(**{COMPLETION + "mmc_response": [1, 2, 3]}),
        _document(**{COMPLETION + "mmc_response": [1, 2, 3, "4"]}),
        _document(**{COMPLETION + "mmc_response": 1}),
        _document(**{COMPLETION + "ata": {"status": 1}}),
        _document(**{COMPLETION + "sense": 3}),
        _document(**{COMPLETION + "nvme_status": "0"}),
        _document().replace("0.25", "NaN"),
        _document().replace("0.25", "1e999"),
    ],
)
def test_documents_that_are_refused(text: str) -> None:
    with pytest.raises(ReplayError):
        load_recordings(text)


def test_a_whole_number_may_stand_for_seconds() -> None:
    (recording,) = load_recordings(_document(**{COMPLETION + "elapsed_s": 3}))
    assert recording.completion.elapsed_s == 3.0
