"""Wheels of a few bytes, for installations that need no network."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

# Stands in for the real conversion, which needs torch: a folder with all that a base has.
CONVERTER = """\
import json, sys
from pathlib import Path

folder = Path(sys.argv[2])
(folder / "model.safetensors").write_bytes(Path(sys.argv[1]).read_bytes())
(folder / "generation_config.json").write_text(sys.argv[3])
"""


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], *, is_under: str = ""
) -> str:
    """Put it there; returns its SHA-256."""
    stem = f"{name}-{version}"
    info = f"{stem}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"License: {is_under}\n" if is_under else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for path, text in {**content, f"{info}/RECORD": record}.items():
            opened.writestr(path, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def write_index(folder: Path) -> str:
    """A torch, its libraries and a package with a model; returns that package's SHA-256."""
    folder.mkdir()
    write_wheel(folder, "torch", "2.13.0+cpu", {"torch.py": "is_for_cpus = True\n"})
    libraries = {
        "tuner/__init__.py": "",
        "tuner/local/__init__.py": "",
        "tuner/local/gguf_reader.py": CONVERTER,
    }
    checksum = write_wheel(folder, "libraries", "1.0", libraries)
    (folder / "requirements.lock").write_text(f"libraries==1.0 --hash=sha256:{checksum}\n")
    return write_wheel(folder, "model", "1.0", {"model/weights.gguf": "weights"})
