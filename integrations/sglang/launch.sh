#!/usr/bin/env bash
# A SGLang server as apr-agents wants it:  launch.sh MODEL [any flag of sglang.launch_server; the last of two wins]
#   SGLANG_HOST, SGLANG_PORT  where it listens (127.0.0.1, 30000); beyond this machine only with a key
#   SGLANG_API_KEY            what clients must send; it stands in this machine's list of processes
#   SGLANG_LAUNCHER           what starts a server ("python3 -m sglang.launch_server"); cpu/launch.py without a GPU
#   DRY_RUN=1                 print the command instead
set -euo pipefail

if [[ $# -eq 0 || $1 == -* ]]; then
  echo "launch.sh: which model? launch.sh MODEL [flags], such as launch.sh Qwen/Qwen3-8B" >&2
  exit 2
fi
model=$1
shift
host=${SGLANG_HOST:-127.0.0.1}
if [[ $host != 127.* && $host != localhost && $host != ::1 && -z ${SGLANG_API_KEY:-} ]]; then
  echo "launch.sh: SGLANG_HOST=$host is open to other machines; set SGLANG_API_KEY as well" >&2
  exit 2
fi
read -r -a launcher <<<"${SGLANG_LAUNCHER:-python3 -m sglang.launch_server}"

command=("${launcher[@]}" --model-path "$model" --host "$host" --port "${SGLANG_PORT:-30000}"
  # Siblings that arrive together wait for the one that evaluates their prefix. The default, fcfs, evaluates it once
  # for each of them. Above 128 waiting requests SGLang falls back to fcfs.
  --schedule-policy lpm
  # A prefix is shared in whole pages: with pages of 64, each branch evaluates up to 63 tokens of its parent again.
  # Some attention backends need larger pages, and say so when they start.
  --page-size 1
  # An event brings what is new, not all text and ids so far: a stream costs what its tokens cost, not their square.
  --incremental-streaming-output
  # The seconds of queue, prefill and decode in each answer, which the critical path is made of; and /metrics.
  --enable-metrics
  # Cached tokens in the usage of the OpenAI endpoints, for LiteLLM. The native endpoint counts them anyway.
  --enable-cache-report
)
if [[ -n ${SGLANG_API_KEY:-} ]]; then
  command+=(--api-key "$SGLANG_API_KEY")
fi
command+=("$@")

if [[ -n ${DRY_RUN:-} ]]; then
  for word in "${command[@]}"; do
    if [[ -n ${SGLANG_API_KEY:-} && $word == "$SGLANG_API_KEY" ]]; then word='$SGLANG_API_KEY'; fi
    printf '%s\n' "$word"
  done
  exit
fi
exec "${command[@]}"
