"""The log of this boot: in memory, and on the stick when there is one. Bounded, for technicians."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

__all__ = ["LOG_FILE", "log_to_stick", "start_log"]

LOG_FILE = Path("run/rasura/log/agent.log")
"""Below the root; the supervisor shows its end after a crash."""

_BYTES = 512 * 1024
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def start_log(root: Path) -> logging.Logger:
    """Log to the file in memory from here on."""
    logger = logging.getLogger("rasura")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path = root / LOG_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _add(logger, path)
    except OSError:
        logger.addHandler(logging.NullHandler())
    return logger


def log_to_stick(logger: logging.Logger, folder: Path | None) -> None:
    """Log to ``logs/`` below the stick's folder too, or to no stick any more."""
    for handler in logger.handlers[1:]:
        logger.removeHandler(handler)
        handler.close()
    if folder is None:
        return
    try:
        (folder / "logs").mkdir(exist_ok=True)
        _add(logger, folder / "logs" / "agent.log")
    except OSError:
        return


def _add(logger: logging.Logger, path: Path) -> None:
    handler = _QuietHandler(path, maxBytes=_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)


class _QuietHandler(logging.handlers.RotatingFileHandler):
    """A full or vanished stick must not put a traceback on the screen."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name logging calls
        """Nothing: what cannot be logged is lost."""
