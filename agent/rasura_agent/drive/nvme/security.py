"""Security Receive (82h) and Send (81h), the tunnel for TCG (NVMe Base 2.1 clauses 5.1.23, 5.1.24)."""

from __future__ import annotations

from rasura.errors import UsageError
from rasura_agent.drive.port import NvmeCommand

__all__ = ["OPCODE_SECURITY_RECEIVE", "OPCODE_SECURITY_SEND", "security_receive", "security_send"]

OPCODE_SECURITY_SEND = 0x81
OPCODE_SECURITY_RECEIVE = 0x82


def security_receive(protocol: int, specific: int, length: int, *, nsid: int = 0) -> NvmeCommand:
    """Receive ``length`` bytes from a security protocol.

    Args:
        protocol: SECP, 8 bits (SPC-5 table of SECURITY PROTOCOL IN).
        specific: SPSP, 16 bits; for TCG the ComID.
        length: AL, bytes.
        nsid: 0, except for a protocol that asks for a namespace.

    Raises:
        UsageError: a value does not fit its field.
    """
    _require(protocol, specific, length)
    return NvmeCommand(
        f"SECURITY RECEIVE {protocol:02X}h/{specific:04X}h",
        OPCODE_SECURITY_RECEIVE,
        nsid=nsid,
        cdw10=protocol << 24 | specific << 8,
        cdw11=length,
        data_in_bytes=length,
    )


def security_send(protocol: int, specific: int, data: bytes, *, nsid: int = 0) -> NvmeCommand:
    """Send ``data`` to a security protocol; arguments as for :func:`security_receive`.

    Raises:
        UsageError: a value does not fit its field.
    """
    _require(protocol, specific, len(data))
    return NvmeCommand(
        f"SECURITY SEND {protocol:02X}h/{specific:04X}h",
        OPCODE_SECURITY_SEND,
        nsid=nsid,
        cdw10=protocol << 24 | specific << 8,
        cdw11=len(data),
        data_out=data,
    )


def _require(protocol: int, specific: int, length: int) -> None:
    if not 0 <= protocol <= 0xFF or not 0 <= specific <= 0xFFFF or not 0 < length <= 0xFFFF_FFFF:
        raise UsageError(f"security protocol {protocol:#x}/{specific:#x} cannot move {length} bytes")
