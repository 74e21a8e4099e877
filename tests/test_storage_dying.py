"""What was committed outlives the process, even one that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

from storage.database import Database
from tests.stores import ANN, HOME

SPEND_AND_DIE = """
import asyncio, os, signal, sys
from datetime import date
from storage.database import Database
from tests.stores import ANN, HOME, furnished

async def main():
    store = await Database.open(sys.argv[1])
    await furnished(store)
    async with store.writing() as records:
        await records.daily_tokens.add(HOME, ANN, date(2026, 11, 21), 1)
    async with store.writing() as records:
        await records.daily_tokens.add(HOME, ANN, date(2026, 11, 21), 1000)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_killed_process_loses_only_what_it_had_not_committed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/attune.db"

    died = subprocess.run([sys.executable, "-c", SPEND_AND_DIE, url], check=False)
    store = await Database.open(url)
    async with store.reading() as records:
        spent = await records.daily_tokens.tokens_of_day(HOME, ANN, date(2026, 11, 21))
    await store.close()

    assert died.returncode == -signal.SIGKILL
    assert spent == (1, 1)
