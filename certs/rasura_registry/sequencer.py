"""Group commit: one thread takes whatever has arrived and logs it as one batch.

While a batch is being made durable the next one gathers by itself, so nobody waits on purpose.
"""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future

from rasura.errors import RasuraError
from rasura_registry.errors import StoreError
from rasura_registry.log import Conflict, Log, Recorded, Submission

__all__ = ["MAX_BATCH", "Sequencer"]

MAX_BATCH = 128
"""Bounds how long one batch can take, how many files it has open, and so how long anybody waits."""

_logger = logging.getLogger(__name__)

_Future = Future[Recorded | Conflict]


class Sequencer:
    """The only caller of ``log.append``. Start it once; :meth:`stop` finishes what was accepted."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._queue: queue.SimpleQueue[tuple[Submission, _Future] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sequencer")
        self._lock = threading.Lock()
        self._stopping = False

    def start(self) -> None:
        """Begin to take batches."""
        self._thread.start()

    def submit(self, submission: Submission) -> _Future:
        """Hand in a submission; its future ends with the answer, or with what ``log.append`` raised.

        Cancelling it before its batch is taken withdraws it.

        Raises:
            StoreError: the sequencer is stopping.
        """
        future: _Future = Future()
        with self._lock:
            if self._stopping:
                raise StoreError("the registry is stopping")
            self._queue.put((submission, future))
        return future

    def stop(self) -> None:
        """Finish what was handed in, then end the thread."""
        with self._lock:
            self._stopping = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            batch, last = self._gather(item)
            self._log_batch([one for one in batch if one[1].set_running_or_notify_cancel()])
            if last:
                return

    def _gather(self, first: tuple[Submission, _Future]) -> tuple[list[tuple[Submission, _Future]], bool]:
        """What has arrived, and whether the end has."""
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    def _log_batch(self, batch: list[tuple[Submission, _Future]]) -> None:
        if not batch:
            return
        try:
            answers = self._log.append([submission for submission, _ in batch])
        except RasuraError as error:
            _logger.error("ALERT a batch of %d was not logged: %s", len(batch), error)  # noqa: TRY400  a sentence, no traceback
            self._fail(batch, error)
        except Exception as error:
            _logger.exception("ALERT a batch of %d met a bug", len(batch))
            self._fail(batch, error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)

    @staticmethod
    def _fail(batch: list[tuple[Submission, _Future]], error: Exception) -> None:
        for _, future in batch:
            future.set_exception(error)
