#!/usr/bin/env bash
# gpu.sh WHEELS: trains and serves models of random weights on a CUDA card, beside plain TRL.
# Needs nothing but this checkout, a Python from 3.11 on, and a folder of wheels (torch for CUDA, what
# attune/engine/requirements-local.lock names, bitsandbytes if 4 bits shall be measured too):
#   pip download -d WHEELS torch bitsandbytes -r attune/engine/requirements-local.lock
# It ends within eight minutes and prints one table. GPU_SHAPES=tiny tries the way on a CPU.
set -euo pipefail
wheels=${1:-}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ -n "$wheels" ]; then
  place=$(mktemp -d)
  trap 'rm -rf "$place"' EXIT
  "$python" -m venv "$place/venv"
  python=$place/venv/bin/python
  # Hashes are of the index's own files; a folder may have those of another platform.
  sed -E '/^ *--hash/d; s/ *\\$//' attune/engine/requirements-local.lock > "$place/wanted.txt"
  pip=("$python" -m pip install -q --no-index --find-links "$wheels")
  "${pip[@]}" torch -r "$place/wanted.txt"
  "${pip[@]}" bitsandbytes || echo "No bitsandbytes: 4 bits are left out." >&2
fi
timeout 480 "$python" -m bench.gpu
