"""Sets how OpenMP's threads wait for each other."""

import os


def set_passive_omp_wait() -> None:
    """Makes OpenMP's threads sleep while they wait; call before importing torch.

    By default the threads spin, and take processor time from the slowest thread: beside another
    busy process, a step on two threads took seven times the processor time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
