#!/usr/bin/env bash
# One command on a CUDA machine: builds both environments, starts SGLang, runs, and stores what it measured with the
# hardware, the versions and the date:  benchmarks/gpu/run.sh [options; see python -m benchmarks.gpu --help]
#   benchmarks/gpu/run.sh --shape tiny    the same on a CPU, to see that the command works; its times mean nothing
#   PYTHON                                the interpreter of the environments (python3)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}

make --no-print-directory PYTHON="$python" .venv/.dev
if [[ " $* " == *" --shape tiny "* ]]; then
  make --no-print-directory PYTHON="$python" sglang-cpu
elif [[ ! -e .venv-sglang-gpu/.ready ]]; then
  "$python" -m venv .venv-sglang-gpu
  .venv-sglang-gpu/bin/python -m pip install --quiet --requirement benchmarks/gpu/requirements.txt
  touch .venv-sglang-gpu/.ready
fi
exec .venv/bin/python -m benchmarks.gpu "$@"
