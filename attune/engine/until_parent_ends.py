"""Runs a module like `python -m`, and kills its process group when its stdin is closed.

The parent process holds the other end of the pipe, which the kernel closes when the parent ends,
also after a crash.
"""

import os
import runpy
import signal
import sys
import threading


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    threading.Thread(target=_watch, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
