"""The QR code of a page: where to look the certificate up, and the hash to hold it against."""

from __future__ import annotations

import io

import segno

__all__ = ["qr_svg", "qr_text"]


def qr_text(document_id: str, payload_sha256: str, registry: str | None) -> str:
    """URL and payload hash. The hash is a fragment: browsers keep it to themselves."""
    if registry is None:
        return f"urn:uuid:{document_id}#sha256={payload_sha256}"
    return f"{registry}/certificates/{document_id}#sha256={payload_sha256}"


def qr_svg(text: str) -> str:
    """ISO/IEC 18004, level M, with its quiet zone of four modules, as SVG paths."""
    stream = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        stream, kind="svg", border=4, xmldecl=False, omitsize=True, nl=False
    )
    return stream.getvalue().decode()
