"""SCSI commands as bytes: encoders and decoders, one module a command family; no I/O."""
