"""How the threads of one computation wait for each other."""

import os


def set_passive_omp_wait() -> None:
    """Set OpenMP's threads to sleep while they wait; to be called before torch is imported.

    Spinning, OpenMP's default, keeps the core that the slowest thread needs: beside a busy
    neighbour a step on two threads took seven times the processor time of one that sleeps.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
