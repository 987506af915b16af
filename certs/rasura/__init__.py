"""What an auditor installs: certificates, their signatures, the log's proofs, and the verifier."""

from rasura._version import __version__

__all__ = ["__version__"]
