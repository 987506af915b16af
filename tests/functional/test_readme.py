"""The README's commands and files are real."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from functional.conftest import Workshop
from rasura.acceptance import Acceptance
from rasura_agent.erase.policy import load_policy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for kind, text in BLOCKS
    for line in text.splitlines()
    if (kind == "sh" and line.strip()) or line.startswith("$ ")
]


def test_there_is_something_to_test() -> None:
    assert len(COMMANDS) >= 8


def test_the_scripts_are_there() -> None:
    for name in re.findall(r"\./scripts/[\w-]+", README):
        assert (ROOT / name).stat().st_mode & 0o100, name


def test_the_policy_is_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(next(text for kind, text in BLOCKS if kind == "toml"))
    assert load_policy(str(path)).name == "school-laptops"


def test_the_rules_of_acceptance_are_some() -> None:
    (text,) = (text for kind, text in BLOCKS if kind == "toml" and "quorum" in text)
    assert dict(Acceptance.parse(text).classes).keys() == {"internal", "confidential"}


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_commands_run_in_order(workshop: Workshop) -> None:
    """Each rasura command of the README, on virtual drives in place of real ones."""
    drive = workshop.drive("disk-a.img")
    (facts,) = workshop.run("rasura-agent", "drives", "--virtual-drive", drive, "--json").json["drives"]
    certificate = "certificates/sent/6646198c-09fd-488c-b48d-647680f7cfed.json"
    (workshop.folder / "trust.toml").write_bytes(workshop.trust.read_bytes())
    (workshop.folder / "registry").unlink()
    ran = 0
    for command in COMMANDS:
        words = shlex.split(command.removeprefix("$ ").removesuffix("&"))
        if not words[0].startswith("rasura") or words[1] == "serve":
            continue
        words = [word.replace("VD-d9039d0a5bc8", facts["serial"]) for word in words]
        if ">" in words:
            words = words[: words.index(">")]
        if words[:2] in (["rasura-agent", "inventory"], ["rasura-agent", "capture"]):
            pass  # they are about a machine, and take no virtual drives
        elif words[0] == "rasura-agent" and "--virtual-drive" not in words:
            words += ["--virtual-drive", "disk-a.img"]
        if words[1] == "run":
            words += ["--confirm-all", "1"]
        if certificate in words:
            (logged,) = workshop.sent()
            words[words.index(certificate)] = str(logged)
        settings = {}
        if words[1] == "monitor":
            words[2] = workshop.registry
        if words[1] == "erase":
            # The transcript's registry is the one of this test; the shell examples make their own.
            settings["RASURA_SITE"] = str(workshop.registry_site)
        if words[1] == "seal":
            (workshop.folder / "passphrase").write_text("correct horse battery")
            settings["RASURA_PASSPHRASE_FILE"] = str(workshop.folder / "passphrase")
        done = workshop.run(*words, **settings)
        assert done.code == 0, f"{command}\n{done.out}{done.err}"
        ran += 1
    assert ran >= 6


def test_the_recipe_for_statements_leads_to_a_logged_one(workshop: Workshop) -> None:
    """Its commands up to verify, with the files that they name, at a registry whose folder names it."""
    (init,) = (command for command in COMMANDS if command.startswith("rasura-registry init"))
    assert "--url http://127.0.0.1:8440" in init
    (recipe,) = (text for kind, text in BLOCKS if kind == "text" and "statement person" in text)
    site = Path(shutil.copytree(workshop.registry_site, workshop.folder / "Workshop"))
    with (site / "site.toml").open("a") as settings:
        settings.write(f'registry = "{workshop.registry}"\n')
    workshop.erase(workshop.drive())
    (certificate,) = workshop.sent()
    (workshop.folder / "certificate.json").write_bytes(certificate.read_bytes())
    (workshop.folder / "trust.toml").write_bytes(workshop.trust.read_bytes())
    (workshop.folder / "passphrase").write_text("correct horse battery")
    asked = {"RASURA_PERSON_PASSPHRASE_FILE": str(workshop.folder / "passphrase")}
    said: list[str] = []
    ran = []
    for line in recipe.splitlines():
        words = shlex.split(line.split("#")[0].replace("registry/sites/Workshop", str(site)))
        if words[1:3] == ["statement", "revoke"]:
            continue  # the registry is that of other tests too
        words = [one for word in words for one in (said if word.startswith("STATEMENT.json") else [word])]
        done = workshop.run(*words, **asked)
        assert done.code == 0, f"{line}\n{done.out}{done.err}"
        if words[2] == "accept":
            assert "logged" in done.out
            said = [re.search(r"\S+\.json", done.out)[0]]  # type: ignore[index]
        ran.append(words[2] if words[1] == "statement" else words[1])
    assert ran == ["person", "accept", "send", "verify", "pdf"]


@pytest.mark.parametrize(
    "word",
    [
        "REFUSED",
        "UNHANDLED",
        "NOT LOGGED YET",
        "NOT WRITTEN TO DISK",
        "no drive was found",
        "has frozen",
        "520 bytes or the like",
    ],
)
def test_the_words_of_the_table_are_the_programs(word: str) -> None:
    sources = "".join(path.read_text() for room in ("agent", "certs") for path in (ROOT / room).rglob("*.py"))
    assert word in README
    assert word in sources
