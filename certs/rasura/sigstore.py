"""A bundle as a Sigstore bundle v0.3 in JSON (``sigstore_bundle.proto``), so that others can read it. Pure.

The DSSE envelope is the same object in both. The key is named by its hint, our ``keyid``, and not by its
signing certificate: Sigstore's tools accept a certificate only together with a time stamp of a kind that they
know, and our receipt is none (certs/decisions/sigstore.md). Whoever verifies takes the key from the chain.
"""

from __future__ import annotations

from typing import Any

from rasura.bundle import Bundle, BundleError

__all__ = ["SIGSTORE_MEDIA_TYPE", "sigstore_bundle"]

SIGSTORE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def sigstore_bundle(bundle: Bundle) -> dict[str, Any]:
    """The JSON values; raises ``BundleError`` unless there is exactly one signature."""
    signatures = bundle.envelope.signatures
    if len(signatures) != 1:
        raise BundleError(f"a Sigstore bundle has one signature, and this one has {len(signatures)}")
    return {
        "mediaType": SIGSTORE_MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signatures[0].keyid}, "tlogEntries": []},
        "dsseEnvelope": bundle.envelope.to_json(),
    }
