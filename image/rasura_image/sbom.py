"""The image's bill of materials: every Debian package and Python distribution in it (CycloneDX 1.6)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from rasura_image.packages import Package
from rasura_image.payload import BuildFacts

__all__ = ["bill_of_materials", "locked_components"]

_NAMESPACE = uuid.UUID("6f1b7f0e-3b56-5d6b-9a37-6d5f0f0b2f65")
"""Of the serial numbers, which follow from the build hash (RFC 9562, version 5)."""

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^ \\;]+)", re.MULTILINE)


def bill_of_materials(facts: BuildFacts, packages: Iterable[Package], lock: str, epoch: int) -> str:
    """CycloneDX JSON; equal input gives equal text. ``lock`` pins the Python distributions of the image."""
    image = Component(
        type=ComponentType.OPERATING_SYSTEM,
        name="rasura-live-image",
        version=facts.version,
        bom_ref="image",
        properties=[
            Property(name="rasura:buildHash", value=facts.build_hash),
            Property(name="rasura:commit", value=facts.commit),
        ],
    )
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, facts.build_hash),
        components=[*map(_debian, packages), *locked_components(lock)],
    )
    bom.metadata.component = image
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.register_dependency(image, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"


def locked_components(lock: str) -> tuple[Component, ...]:
    """The distributions that a requirements.lock pins."""
    return tuple(
        Component(
            type=ComponentType.LIBRARY,
            name=match["name"],
            version=match["version"],
            purl=(purl := PackageURL("pypi", None, match["name"].lower(), match["version"])),
            bom_ref=purl.to_string(),
        )
        for match in _PINNED.finditer(lock)
    )


def _debian(package: Package) -> Component:
    purl = PackageURL(
        "deb", "debian", package.name, package.version, {"arch": package.architecture, "distro": "trixie"}
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
        properties=[
            Property(name="rasura:debianSource", value=package.source),
            Property(name="rasura:use", value=" ".join(sorted(package.uses - {"tools"}))),
        ],
    )
