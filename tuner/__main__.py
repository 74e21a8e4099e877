"""Starts the tuner by itself: `python -m tuner --data DIR --api-key KEY`."""

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path

from tuner.errors import CannotStart

API_KEY_VARIABLE = "ATTUNE_TUNER_KEY"


def main() -> None:
    options = _parser().parse_args()
    # Models and training rows are readable by this account only.
    os.umask(0o077)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LocationFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Imports create no garbage, and collecting takes a fifth of the import time.
    gc.disable()
    from tuner.job_runner import DEFAULT_LAUNCH_COMMAND
    from tuner.server import ServerSettings, serve

    gc.freeze()
    gc.enable()
    settings = ServerSettings(
        host=options.host,
        port=options.port,
        data=options.data.resolve(),
        api_keys=tuple(options.api_key or _keys_of_environment()),
        min_examples=options.min_examples,
        max_rows=options.max_rows,
        parent_pipe=options.die_with_parent,
        bases=tuple(options.base or ()),
        launch=options.launch or DEFAULT_LAUNCH_COMMAND,
        max_queued_answers=options.queue,
        aliases=tuple(options.alias),
        cors_origins=tuple(options.cors_origin),
        listener=options.listener,
    )
    announce = _announce_json if options.announce else _announce
    try:
        asyncio.run(serve(settings, on_ready=announce))
    except CannotStart as error:
        sys.exit(str(error))
    finally:
        # Without this, Python collects all objects once more before it exits.
        gc.freeze()


class LocationFormatter(logging.Formatter):
    """Log formatter that omits the message, which may quote a client's data."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[0] if record.exc_info else None
        name = f" {error.__name__}" if error else ""
        return f"{record.levelname} {record.name} {record.pathname}:{record.lineno}{name}"


def _keys_of_environment() -> list[str]:
    """Returns the key in the environment; arguments are visible to all users of the machine."""
    key = os.environ.get(API_KEY_VARIABLE)
    return [key] if key else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuner", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100, help="0 for a free port")
    parser.add_argument("--listener", type=int, help="descriptor of a listening socket")
    parser.add_argument("--data", type=Path, required=True, help="the folder to keep all state in")
    parser.add_argument(
        "--api-key", action="append", help=f"may be repeated; default: {API_KEY_VARIABLE}"
    )
    parser.add_argument("--min-examples", type=int, default=10)
    parser.add_argument(
        "--max-rows", type=int, default=500_000, help="maximum number of rows of an uploaded file"
    )
    parser.add_argument(
        "--base",
        action="append",
        help="a model to train and serve beside the sandbox; may be repeated",
    )
    parser.add_argument("--launch", help="command that starts a training process")
    parser.add_argument("--queue", type=int, default=64, help="number of answers at a time")
    parser.add_argument(
        "--alias", action="append", default=[], help="NAME=MODEL: another name for a model"
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        help="origin whose pages may send requests; * for all",
    )
    parser.add_argument("--announce", action="store_true", help="print the address as JSON")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when stdin ends")
    return parser


def _announce(url: str) -> None:
    sys.stderr.write(f"The tuner answers on {url}/v1\n")


def _announce_json(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
