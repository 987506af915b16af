"""The version of the distribution: agent, verifier and registry share one."""

__version__ = "0.1.0"
