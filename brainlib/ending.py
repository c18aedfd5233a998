"""How a program ends that is interrupted: in one line, whatever runs elsewhere."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading


def heed_signals() -> list[int]:
    """Have the first SIGINT, SIGTERM or SIGHUP interrupt the program; return the list that its number will be in.

    The signal is reported in one line, at once, and nothing after it: what runs elsewhere fails as its processes are
    ended. Work that cannot be interrupted is given three seconds.
    """
    received = []

    def interrupt(number, _):
        for each in heeded:  # a second one would kill the program while it ends
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        what = "interrupted" if number == signal.SIGINT else "ended"
        # Not by print, which may be what the signal has interrupted.
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(2, f"brainlib: {what}; finished results are kept, run the same command to continue\n".encode())
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        patience = threading.Timer(3, leave, [128 + number])
        patience.daemon = True
        patience.start()
        raise KeyboardInterrupt

    def leave(status):
        for process in multiprocessing.active_children():
            process.kill()
        os._exit(status)

    # SIGHUP, which Windows lacks, tells that the terminal is gone. Some are ignored already, as under nohup.
    known = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    heeded = [each for each in known if signal.getsignal(each) != signal.SIG_IGN]
    for each in heeded:
        signal.signal(each, interrupt)
    return received
