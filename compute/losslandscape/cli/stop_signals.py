"""The signals that ask a command to end: Ctrl-C, SIGTERM and SIGHUP.

All three raise a ``KeyboardInterrupt`` where the command is, so that locks, temporary folders and
child processes go the same orderly way, and journals stay.

An exception that comes while a library is imported may be dropped by that library, and one in a
destructor is dropped by Python. A signal therefore comes again until the command has ended, except
where an interruption is being handled already.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

_IMPATIENT = 1.0  # seconds after which a second Ctrl-C interrupts the cleaning up too
_AGAIN = 0.3  # seconds after which an interruption that some code dropped comes again
_PATIENCE = 5.0  # seconds that the threads of an interrupted process have to end
# name -> the words that say what happened
_SIGNALS = {
    "SIGINT": "interrupted",
    "SIGTERM": "ended by SIGTERM",
    "SIGHUP": "ended by SIGHUP, because its terminal closed",
}


class Interruption(KeyboardInterrupt):
    """What the first signal raises; it knows which one came."""

    signal: signal.Signals


class StopSignals:
    """Handles the signals inside the block; a context manager.

    Signals that are ignored, as under ``nohup``, stay ignored. In another thread than the main
    one, nothing changes.

    Attributes
    ----------
    received : signal.Signals or None
        The first of the signals that came.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._again = False  # whether the next signal repeats one that came
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._status_at_end: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        self._hook = sys.unraisablehook
        if threading.current_thread() is threading.main_thread():
            sys.unraisablehook = self._unraisable
            try:
                for name in _SIGNALS:
                    number = getattr(signal.Signals, name, None)
                    if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                        self._before[number] = signal.getsignal(number)
                        signal.signal(number, self._stop)
            except KeyboardInterrupt:  # the block does not begin, so nothing else ends this
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ended()
        if self._thread is not None:  # its last signal must not meet the handlers of before
            self._thread.join()
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ended(self) -> None:
        """The command has ended: signals that came need not come again."""
        self._ended.set()

    def end_at_once(self, status: int) -> None:
        """From now on a signal ends the process with this status: its work is done.

        If one came already, the process ends after some seconds, whatever still runs in it. A later
        call changes the status.
        """
        first, self._status_at_end = self._status_at_end is None, status
        if first and self.received is not None:
            last = threading.Timer(_PATIENCE, self._end)
            last.daemon = True
            last.start()
        for number in self._before:
            signal.signal(number, lambda *_: os._exit(self._status_at_end or 0))
        self._before = {}

    def _end(self) -> None:
        from losslandscape.files.temporary_folders import remove_temporary_folders

        remove_temporary_folders()
        os._exit(self._status_at_end or 0)

    def _stop(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        again, self._again = self._again, False
        if self._ended.is_set():
            return
        if self._status_at_end is not None:  # `end_at_once` has not come to its handlers yet
            os._exit(self._status_at_end)
        if self.received is None:
            self.received, self._at = signal.Signals(number), now
            self._thread = threading.Thread(target=self._insist, daemon=True)
            self._thread.start()
            interruption = Interruption()
            interruption.signal = self.received
            raise interruption
        # The same signal may come twice, to the process and to its group.
        impatient = number == signal.SIGINT and now - self._at > _IMPATIENT and not again
        if impatient or (again and not _handled(sys.exc_info()[1])):
            raise KeyboardInterrupt

    def _insist(self) -> None:
        while not self._ended.wait(_AGAIN):
            self._again = True
            assert self.received is not None
            os.kill(os.getpid(), self.received)

    def _unraisable(self, unraisable: Any) -> None:
        """Say nothing of an interruption that Python drops: it comes again."""
        if not (self.received and issubclass(unraisable.exc_type, KeyboardInterrupt)):
            self._hook(unraisable)

    @property
    def status(self) -> int:
        """The exit status, 128 and the signal's number, as shells have it."""
        return 128 + (self.received or signal.SIGINT)

    @property
    def words(self) -> str:
        return _SIGNALS[(self.received or signal.SIGINT).name]


def _handled(error: BaseException | None) -> bool:
    """Whether the exception that is being handled is an interruption, or came of one."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False
