"""How OpenMP's threads wait for each other."""

import os


def set_passive_omp_wait() -> None:
    """Makes OpenMP's threads sleep while they wait; call before importing torch.

    By default they spin and take the core that the slowest thread needs: beside another busy
    process a step on two threads took seven times the processor time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
