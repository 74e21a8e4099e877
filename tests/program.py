"""The whole program in a process of its own, with the settings given and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


@asynccontextmanager
async def program(settings: Mapping[str, str], folder: Path) -> AsyncIterator[None]:
    """Runs in `folder`, keeps its data there, and must stop by itself when asked."""
    here = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    with socket.create_server(("127.0.0.1", 0)) as free:
        here["ATTUNE_STUDIO_PORT"] = str(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "attune", "run"],
        env={**here, **settings},
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
