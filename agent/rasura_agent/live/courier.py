"""Goes on trying to hand certificates over, beside everything else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from rasura.client import RegistryClient
from rasura_agent.console.language import _, ngettext
from rasura_agent.live.keeper import Keeper

__all__ = ["Courier", "pause_s"]

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
_LOG = logging.getLogger("rasura.courier")


def pause_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, up to a minute."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * (1 << min(failures, 10)))


class Courier:
    """A thread that tries again and again while anything waits."""

    def __init__(
        self,
        keeper: Keeper,
        look_for_stick: Callable[[], None],
        client: Callable[[], RegistryClient | None],
        tell: Callable[[str], None],
        second_s: float = 1.0,
    ) -> None:
        """``client`` gives the registry where one is known; ``tell`` gets sentences for the screen."""
        self._second_s = second_s
        self._keeper, self._look_for_stick, self._client, self._tell = keeper, look_for_stick, client, tell
        self._now = threading.Event()
        self._failures = 0
        self._said: str | None = None
        threading.Thread(target=self._run, name="courier", daemon=True).start()

    def hurry(self) -> None:
        """Try at once."""
        self._failures = 0
        self._now.set()

    def _run(self) -> None:
        while True:
            self._now.wait(pause_s(self._failures) * self._second_s)
            self._now.clear()
            try:
                self.round()
            except Exception:  # noqa: BLE001  the last hope of certificates in memory must not end with a bug
                _LOG.exception("the courier failed")
                self._failures += 1

    def round(self) -> None:
        """Try once; quiet when nothing waits."""
        homeless = self._keeper.state.in_memory_only
        if homeless:
            self._look_for_stick()
        if not homeless and not self._keeper.waiting():
            self._failures = 0
            return
        before = len(self._keeper.state.in_memory_only)
        sent = self._keeper.retry(self._client())
        problems = [str(one.error) for one in sent if one.error is not None]
        logged = sum(one.error is None for one in sent)
        if logged:
            sentence = ngettext(
                "the registry has logged {number} certificate",
                "the registry has logged {number} certificates",
                logged,
            )
            self._tell(sentence.format(number=logged))
        if before > len(self._keeper.state.in_memory_only) and not self._keeper.state.in_memory_only:
            self._tell(_("every certificate is handed over now"))
        for problem in dict.fromkeys(problems):
            _LOG.warning("%s", problem)
            if problem != self._said:
                self._tell(problem)
                self._said = problem
        self._failures = self._failures + 1 if problems or not sent else 0
