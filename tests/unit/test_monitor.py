"""Following a registry whose log grows, and registries that lie, break or are silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rasura.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rasura.cli import cli
from rasura.errors import ExitCode, RasuraError
from rasura.history import Seen, Story, contradiction, require_own_root
from rasura.note import VerifierKey
from rasura.tiles import Tile, grow
from rasura.tree import leaf_hash, root_hash
from rasura.trust import Trust
from simulators.web import refused_port, serving
from vectors.world import authority, fillers

ORIGIN = "log.example"
KEY = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
NOW = 1_700_000_000


@dataclass
class Registry:
    """A log that may be told to lie: what it serves is what ``leaves`` make, and nothing else."""

    leaves: list[bytes] = field(default_factory=list)
    time: int = NOW
    origin: str = ORIGIN
    key: Ed25519PrivateKey = KEY
    status: int = 200
    lost: set[str] = field(default_factory=set)
    damaged: bool = False

    def note(self) -> str:
        tree = Checkpoint(self.origin, len(self.leaves), root_hash(self.leaves))
        return sign_checkpoint(self.key, tree, self.time)

    def tiles(self) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        for tile, data in grow(lambda _: b"", 0, self.leaves):
            made[tile.name] = data
        return made

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.status != 200:
            return self.status, b""
        if path == "/checkpoint":
            return 200, self.note().encode()
        data = self.tiles().get(path[1:])
        if data is None or path[1:] in self.lost:
            return 404, b""
        return 200, bytes(len(data)) if self.damaged else data


@pytest.fixture
def registry() -> Registry:
    return Registry(fillers(300))


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    with serving(registry.answer) as address:
        yield address


@pytest.fixture
def trust_file(tmp_path: Path) -> Path:
    path = tmp_path / "trust.toml"
    path.write_text(Trust((authority(),), (VerifierKey.of(ORIGIN, KEY),)).to_toml())
    return path


@pytest.fixture
def desk(tmp_path: Path, trust_file: Path, url: str) -> Desk:
    return Desk(tmp_path, trust_file, url)


@dataclass
class Desk:
    folder: Path
    trust: Path
    url: str

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def monitor(self, *words: str | Path, url: str | None = None) -> Result:
        arguments = ["monitor", url or self.url, *map(str, words)]
        options = ["--trust", str(self.trust), "--state", str(self.state), "--once"]
        return CliRunner().invoke(cli, [*arguments, *options], standalone_mode=False)

    def evidence(self) -> list[str]:
        return [path.read_text() for path in sorted((self.folder / "state.json.evidence").glob("*"))]


def ended(done: Result) -> ExitCode:
    """The exit code that the whole process would have."""
    if isinstance(done.exception, RasuraError):
        return done.exception.exit_code
    assert done.exception is None, done.exception
    return ExitCode(done.return_value)


def test_a_log_that_grows_is_consistent(desk: Desk, registry: Registry) -> None:
    for size in (300, 300, 301, 512, 900, 66_000):
        registry.leaves = fillers(size)
        registry.time += 60
        done = desk.monitor()
        assert ended(done) is ExitCode.DONE, done.output
        assert f"consistent: {ORIGIN} holds {size} entries" in done.output
    assert json.loads(desk.state.read_text())["note"] == registry.note()


def test_an_empty_log_is_a_beginning(desk: Desk, registry: Registry) -> None:
    registry.leaves = []
    assert ended(desk.monitor()) is ExitCode.DONE
    registry.leaves = fillers(3)
    assert ended(desk.monitor()) is ExitCode.DONE


@pytest.mark.parametrize(
    ("story", "bend"),
    [
        (Story.FORK, lambda one: one.leaves.__setitem__(7, leaf_hash(b"another"))),
        (Story.ROLLBACK, lambda one: one.leaves.pop()),
        (Story.CHANGED, lambda one: one.leaves.__setitem__(slice(7, 8), [leaf_hash(b"a"), leaf_hash(b"b")])),
        (Story.CLOCK, lambda one: (one.leaves.append(leaf_hash(b"more")), setattr(one, "time", NOW - 1))),
    ],
)
def test_a_history_that_does_not_hold(story: Story, bend: object, desk: Desk, registry: Registry) -> None:
    assert ended(desk.monitor()) is ExitCode.DONE
    kept, honest = desk.state.read_text(), registry.note()
    bend(registry)  # type: ignore[operator]
    for _ in range(2):
        done = desk.monitor()
        assert ended(done) is ExitCode.CONTRADICTED
        assert f"CONTRADICTION {story.value}" in done.output
        assert desk.evidence() == [honest, registry.note()], "both notes, once, are the proof"
        assert desk.state.read_text() == kept, "what was believed stands"
    for note in desk.evidence():
        open_checkpoint(note, [VerifierKey.of(ORIGIN, KEY)])
    facts = json.loads(desk.monitor("--json").output)
    assert facts["contradictions"][0]["kind"] == story.value
    assert len(facts["evidence"]) == 2


def test_two_stories_hidden_in_the_levels_of_the_tree(desk: Desk, registry: Registry) -> None:
    """Lower tiles of the old history, upper ones of the new: each root alone would come out right."""
    assert ended(desk.monitor()) is ExitCode.DONE
    honest = registry.tiles()
    changed = [leaf_hash(b"another"), *registry.leaves[1:], *fillers(500)]
    registry.leaves = changed
    registry.time += 1
    made = registry.tiles()
    made["tile/0/000"] = honest["tile/0/000"]
    registry.tiles = lambda: made  # type: ignore[method-assign]
    done = desk.monitor()
    assert ended(done) in {ExitCode.CONTRADICTED, ExitCode.REFUSED}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_registry_that_is_not_well(status: int, desk: Desk, registry: Registry) -> None:
    registry.status = status
    done = desk.monitor()
    assert ended(done) is ExitCode.UNKNOWN
    assert not desk.state.exists()


def test_nobody_answers(desk: Desk) -> None:
    done = desk.monitor("--json", url=refused_port())
    assert ended(done) is ExitCode.UNKNOWN
    assert json.loads(done.output)["result"] == "away"
    assert "spool" not in done.output


def test_tiles_that_are_lost_or_damaged_prove_nothing(desk: Desk, registry: Registry) -> None:
    desk.monitor()
    registry.leaves = fillers(400)
    registry.lost = set(registry.tiles())
    assert ended(desk.monitor()) is ExitCode.REFUSED
    registry.lost, registry.damaged = set(), True
    done = desk.monitor()
    assert ended(done) is ExitCode.REFUSED
    assert not desk.evidence()


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(desk: Desk, registry: Registry) -> None:
    desk.monitor()
    registry.leaves = fillers(500)
    wider = Registry(fillers(512)).tiles()
    partial = Tile(0, 1, 500 - 256)
    registry.lost = {partial.name}
    honest = registry.tiles()
    registry.tiles = lambda: {**honest, partial.full_name: wider[partial.full_name]}  # type: ignore[method-assign]
    assert ended(desk.monitor()) is ExitCode.DONE


def test_another_key_or_no_checkpoint(desk: Desk, registry: Registry) -> None:
    registry.key = Ed25519PrivateKey.generate()
    done = desk.monitor()
    assert ended(done) is ExitCode.REFUSED
    assert "not a trusted log's" in (done.output + done.stderr)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        '{"version": 2, "note": ""}',
        '{"version": 1, "note": 7}',
        '{"version": 1, "note": ""}',
        '{"version": 1, "note": "", "x": 1}',
    ],
)
def test_a_damaged_state(text: str, desk: Desk) -> None:
    desk.state.write_text(text)
    done = desk.monitor()
    assert ended(done) is ExitCode.USAGE
    assert "does not hold the last checkpoint of a trusted log" in str(done.exception)
    assert desk.state.read_text() == text, "nobody repairs it by forgetting"


def test_a_state_signed_by_a_key_that_is_trusted_no_more(desk: Desk, registry: Registry) -> None:
    desk.monitor()
    other = Ed25519PrivateKey.generate()
    desk.trust.write_text(Trust((authority(),), (VerifierKey.of(ORIGIN, other),)).to_toml())
    done = desk.monitor()
    assert ended(done) is ExitCode.USAGE
    assert "trust the new key" in (done.exception.hint or "")  # type: ignore[union-attr]


def test_a_state_of_another_log(desk: Desk, registry: Registry) -> None:
    desk.monitor()
    registry.origin, registry.key = "other.example", Ed25519PrivateKey.generate()
    known = (VerifierKey.of(ORIGIN, KEY), VerifierKey.of("other.example", registry.key))
    desk.trust.write_text(Trust((authority(),), known).to_toml())
    done = desk.monitor()
    assert ended(done) is ExitCode.USAGE
    assert "one state file for each registry" in (done.exception.hint or "")  # type: ignore[union-attr]


def test_a_state_that_cannot_be_written(desk: Desk) -> None:
    done = CliRunner().invoke(
        cli,
        ["monitor", desk.url, "--trust", str(desk.trust), "--state", "/proc/no/state", "--once"],
        standalone_mode=False,
    )
    assert ended(done) is ExitCode.USAGE


def test_a_clock_that_is_wrong_gets_a_word(desk: Desk, registry: Registry) -> None:
    registry.time = 4_000_000_000
    done = desk.monitor()
    assert ended(done) is ExitCode.DONE
    assert "clock" in done.output


VECTORS = Path(__file__).parents[2] / "certs/vectors"


def test_checkpoints_of_certificates_must_be_on_the_same_history(tmp_path: Path) -> None:
    """The vectors' log: entry 3 of 5. The registry goes on from there, or tells another story."""
    from vectors.world import LOGGED, log_key, made, receipt

    trust = VECTORS / "overwrite/trust.toml"
    leaf: list[bytes] = []
    bundle = made(logged=lambda raw: (leaf.append(raw), receipt(raw).encode())[1]).bundle
    (tmp_path / "one.json").write_bytes(bundle)
    leaves = fillers(8)
    leaves[3] = leaf_hash(leaf[0])
    registry = Registry(leaves, int(LOGGED.timestamp()) + 5, "vectors.rasura.example/log", log_key())
    with serving(registry.answer) as address:
        desk = Desk(tmp_path, trust, address)
        done = desk.monitor(tmp_path / "one.json")
        assert ended(done) is ExitCode.DONE, done.output
        assert "2 checkpoints of certificates are on its history" in done.output
        assert ended(desk.monitor(VECTORS / "start-of-an-unknown-log/bundle.json")) is ExitCode.CONTRADICTED
        leaves[2] = leaf_hash(b"changed")
        done = desk.monitor(tmp_path / "one.json")
        assert ended(done) is ExitCode.CONTRADICTED
        assert "the receipt of" in done.output
        desk.state.unlink()
        registry.leaves = leaves[:4]
        assert "rollback" in desk.monitor(tmp_path / "one.json").output
        statement = VECTORS / "validation-alone_fail/bundle.json"
        assert "rollback" in desk.monitor(statement).output, "statements have receipts too"
        done = desk.monitor(VECTORS / "checkpoint-changed_fail/bundle.json")
        assert ended(done) is ExitCode.REFUSED
        assert "does not hold" in str(done.exception)


@pytest.mark.parametrize("trusted_too", [False, True])
def test_bundles_of_another_log_are_said_not_to_be_compared(
    desk: Desk, registry: Registry, trusted_too: bool
) -> None:
    """Its checkpoints are no contradiction, and no proof of anything here: that is not what was asked for."""
    from vectors.world import ORIGIN as THEIRS
    from vectors.world import log_key

    if trusted_too:
        logs = (VerifierKey.of(ORIGIN, KEY), VerifierKey.of(THEIRS, log_key()))
        desk.trust.write_text(Trust((authority(),), logs).to_toml())
    others = [VECTORS / name / "bundle.json" for name in ("overwrite", "accepted", "validation-alone_fail")]
    done = desk.monitor(*others)
    assert ended(done) is ExitCode.REFUSED
    assert "consistent: log.example" in done.output
    for path in others:
        assert f"NOT COMPARED: {path} holds no checkpoint of log.example" in done.output
    told = json.loads(desk.monitor(*others, "--json").output)
    assert (told["result"], told["notCompared"]) == ("consistent", [str(path) for path in others])
    assert json.loads(desk.monitor("--json").output)["notCompared"] == []


def test_a_contradiction_counts_before_what_was_not_compared(desk: Desk, registry: Registry) -> None:
    desk.monitor()
    registry.leaves[0] = leaf_hash(b"changed")
    assert ended(desk.monitor(VECTORS / "overwrite/bundle.json")) is ExitCode.CONTRADICTED


@given(old=st.integers(0, 40), more=st.integers(0, 40), bent=st.integers(-1, 39), back=st.booleans())
def test_exactly_honest_growth_is_consistent(old: int, more: int, bent: int, back: bool) -> None:
    leaves = fillers(old + more)
    before = Registry(leaves[:old]).note()
    if 0 <= bent < len(leaves):
        leaves[bent] = leaf_hash(b"bent")
    after = Registry(leaves, NOW - 1 if back else NOW + 1)
    keys = [VerifierKey.of(ORIGIN, KEY)]
    earlier, latest = (Seen(one, open_checkpoint(one, keys), "it") for one in (before, after.note()))
    rows = [leaves]
    while len(rows[-1]) > 1:
        from rasura.tree import node_hash

        rows.append([node_hash(*rows[-1][at : at + 2]) for at in range(0, len(rows[-1]) - 1, 2)])
    read = lambda level, index: rows[level][index]  # noqa: E731
    require_own_root(latest.checkpoint, read)
    found = contradiction(earlier, latest, read)
    expected = 0 <= bent < old or (back and more > 0)
    assert (found is not None) == expected


def test_following_goes_on_until_the_log_contradicts_itself(desk: Desk, registry: Registry) -> None:
    """Grows, is away, comes back, and then shows another tree."""
    looks = iter(
        [
            lambda: None,
            lambda: registry.leaves.append(leaf_hash(b"one more")),
            lambda: setattr(registry, "status", 503),
            lambda: setattr(registry, "status", 200),
            lambda: registry.leaves.__setitem__(0, leaf_hash(b"another")),
        ]
    )
    answer = registry.answer

    def then(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/checkpoint":
            next(looks, lambda: None)()
        return answer(method, path, body)

    with serving(then) as address:
        words = ["monitor", address, "--trust", str(desk.trust), "--state", str(desk.state), "--every", "1"]
        done = CliRunner().invoke(cli, [*words, "--json"], standalone_mode=False)
    assert ended(done) is ExitCode.CONTRADICTED
    told = [json.loads(line)["result"] for line in done.stdout.splitlines()]
    assert told == ["consistent", "consistent", "away", "consistent", "contradiction"]
