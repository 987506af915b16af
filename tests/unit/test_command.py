"""How every command ends where nobody can be told, or is in a hurry: one sentence, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
VECTOR = Path(__file__).parents[2] / "certs/vectors/overwrite"
BUNDLE, TRUST = str(VECTOR / "bundle.json"), str(VECTOR / "trust.toml")
CALLS = [
    ["rasura", "verify", BUNDLE, "--trust", TRUST],
    ["rasura", "show", "--json", BUNDLE],
    ["rasura", "bundle", "--sigstore", BUNDLE],
    ["rasura", "--help"],
    ["rasura-agent", "--help"],
    ["rasura-registry", "--help"],
]


def ran(words: list[str], ending: str) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'exec "$@" {ending}', "sh", str(BIN / words[0]), *words[1:]]
    return subprocess.run(shell, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", CALLS, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        (">/dev/full", "error: cannot write the output: No space left on device\n"),
        (">&-", "error: standard output is closed: there is nowhere to say what comes of it\n"),
        (">/dev/full 2>&1", ""),
    ],
)
def test_output_that_cannot_be_written_is_a_failure(words: list[str], ending: str, sentence: str) -> None:
    done = ran(words, ending)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


@pytest.mark.parametrize("command", ["rasura.__main__", "rasura_agent.__main__", "rasura_registry.__main__"])
@pytest.mark.parametrize("module", ["click", "cryptography.x509"])
def test_ctrl_c_while_modules_load(command: str, module: str) -> None:
    """The key is pressed when the loader comes to a module that each of them needs."""
    code = f"""
import builtins, sys
load = builtins.__import__
def pressed(name, *more):
    if name.startswith({module!r}):
        raise KeyboardInterrupt
    return load(name, *more)
builtins.__import__ = pressed
from {command} import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: interrupted\n")


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "", "--trust", TRUST],
        ["verify", BUNDLE, "--trust", ""],
        ["show", ""],
        ["pdf", BUNDLE, "-o", ""],
        ["monitor", "http://127.0.0.1:1", "", "--trust", TRUST, "--state", "s"],
    ],
)
def test_an_empty_path_is_not_this_folder(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(Path(BUNDLE).read_bytes())
    done = subprocess.run(
        [BIN / "rasura", *words], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 2
    assert "an empty path names no file or folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]
