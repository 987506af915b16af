"""Every vector, and how its folder is written."""

from __future__ import annotations

from pathlib import Path

from vectors import accepted, form, genuine, judged, proof, reports, side, timestamps
from vectors.world import Case, expectation

__all__ = ["CASES", "files_of", "write"]

CASES: tuple[Case, ...] = (
    *genuine.CASES,
    *form.CASES,
    *proof.CASES,
    *judged.CASES,
    *timestamps.CASES,
    *reports.CASES,
    *side.CASES,
    *accepted.CASES,
)


def files_of(case: Case) -> dict[str, bytes]:
    """The files of a vector's folder, by their names."""
    made = case.make()
    verdict = "It must be accepted." if case.code == 0 else f"It must be refused, with exit code {case.code}"
    checks = " and ".join(f"`{one}`" for one in case.failed)
    if checks:
        verdict += f", by {checks} and by no other check."
    elif case.code:
        verdict += ": every check passes, and that is not enough."
    readme = f"# {case.name}\n\n{case.why}\n\n{verdict}\n"
    return {
        "README.md": readme.encode(),
        "bundle.json": made.bundle,
        "expect.json": expectation(case),
        "trust.toml": made.trust.encode(),
        **({"accept.toml": made.accept.encode()} if made.accept is not None else {}),
        **{f"with/{name}": content for name, content in made.others.items()},
    }


def write(folder: Path) -> None:
    """Write all of them; what else is in ``folder`` stays."""
    for case in CASES:
        for name, content in files_of(case).items():
            path = folder / case.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
