"""A small world of trust: an authority, a site, a station and a log in memory."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Method
from rasura.checkpoint import Checkpoint, sign_checkpoint
from rasura.keys import issue_site, new_authority
from rasura.note import VerifierKey
from rasura.receipt import Receipt
from rasura.site_kit import SiteKit, write_site_kit
from rasura.tree import inclusion_proof, leaf_hash, root_hash
from rasura.trust import Trust
from rasura_agent.erase.engine import execute
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.plan import plan_drive
from rasura_agent.erase.policy import PatternKind, Policy
from rasura_agent.erase.run import Ports
from rasura_agent.guard import Protection
from rasura_agent.inventory.machine_model import MachineIdentity
from rasura_agent.report import Circumstances, erasure_claims
from rasura_agent.station import SigningStation
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.world import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = "test.rasura.example/log"


@dataclass
class TrustWorld:
    """Everything needed to make certificates and to judge them."""

    origin: str = ORIGIN
    site: str = "Workshop"
    now: datetime = NOW
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority_key, self.authority = new_authority("Test registry", self.now)
        self.site_key, self.site_certificate = issue_site(
            self.authority_key, self.authority, self.site, self.now
        )
        self.log_key = Ed25519PrivateKey.generate()
        self.log = VerifierKey.of(self.origin, self.log_key)
        self.trust = Trust((self.authority,), (self.log,))
        self.kit = SiteKit(self.site, self.site_key, self.site_certificate, self.trust, None)
        self.station = SigningStation.certified_by(self.kit, "trainee-7", self.now)

    def write_kit(self, folder: Path, registry_url: str | None = None) -> Path:
        write_site_kit(
            folder,
            site=self.site,
            key=self.site_key,
            chain=(self.site_certificate, self.authority),
            trust=self.trust,
            registry_url=registry_url,
        )
        return folder

    def bundle(self, *faults: tuple[int, BlockFault], **changes: Any) -> Bundle:
        """A signed certificate of a simulated erasure; ``changes`` replace claims before it is signed."""
        block = SimulatedBlock(simulated_drive(32 * 1024), dict(faults))
        plan = plan_drive(block.drive, overwrite_policy(), ())
        clock = ManualClock(self.now)
        result = execute(plan, Ports(block), clock, bytes, lambda _event: None, 4096)
        around = Circumstances(
            NO_MACHINE, overwrite_policy(), "LOT-1", None, clock.source, None, {"SIM0001": "P-17"}
        )
        certificate_id = str(uuid.uuid4())

        def claims(place: Any) -> ErasureCertificate:
            made = erasure_claims(certificate_id, plan, result, around, place)
            return changed(made, changes)

        return self.station.sign(claims)

    def logged(self, bundle: Bundle, moment: datetime | None = None) -> Bundle:
        """The bundle with a receipt of this world's log."""
        self.leaves.append(leaf_hash(bundle.entry().encode()))
        return bundle.with_receipt(self.receipt(len(self.leaves) - 1, moment or self.now))

    def receipt(self, index: int, moment: datetime) -> Receipt:
        checkpoint = Checkpoint(self.origin, len(self.leaves), root_hash(self.leaves))
        note = sign_checkpoint(self.log_key, checkpoint, int(moment.timestamp()))
        return Receipt(index, inclusion_proof(self.leaves, index), note)


NO_MACHINE = MachineIdentity(None, None, None, None, None)


def overwrite_policy() -> Policy:
    return Policy(
        name="test",
        sha256="0" * 64,
        method=Method.CLEAR,
        technique=None,
        scheme=None,
        offload=False,
        every_pass=False,
        second_reader=False,
        limits=Limits(),
        pattern=PatternKind.RANDOM,
        allow_weaker=False,
        accept_r1_basis=False,
        allow_hidden=False,
        reformat_sectors=False,
        skip_rejected=False,
        protection=Protection(),
    )


def changed(certificate: ErasureCertificate, changes: dict[str, Any]) -> ErasureCertificate:
    """The certificate with claims replaced; ``a__b=…`` reaches into ``a``."""
    tree = msgspec.json.decode(msgspec.json.encode(certificate))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[last] = value
    return msgspec.convert(tree, ErasureCertificate)
