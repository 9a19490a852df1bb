#!/usr/bin/env bash
# SGLang's own router in front of several servers:  router.sh WORKER_URL... [flags of sglang_router.launch_router]
#   ROUTER_HOST, ROUTER_PORT  where it listens (127.0.0.1, 30000); beyond this machine only with a key
#   ROUTER_METRICS_PORT       where Prometheus finds it (29000), on the same host
#   ROUTER_POLICY             manual, or cache_aware for clients that cannot send a header (manual)
#   SGLANG_API_KEY            the workers' key; clients of the router send it too, and get status 401 without it
#   SGLANG_ROUTER             what starts the router ("python3 -m sglang_router.launch_router")
#   DRY_RUN=1                 print the command instead
set -euo pipefail

workers=()
while [[ $# -gt 0 && $1 != -* ]]; do
  workers+=("$1")
  shift
done
if [[ ${#workers[@]} -eq 0 ]]; then
  echo "router.sh: which servers? router.sh http://127.0.0.1:30001 http://127.0.0.1:30002 [flags]" >&2
  exit 2
fi
host=${ROUTER_HOST:-127.0.0.1}
policy=${ROUTER_POLICY:-manual}
if [[ $host != 127.* && $host != localhost && $host != ::1 && -z ${SGLANG_API_KEY:-} ]]; then
  echo "router.sh: ROUTER_HOST=$host is open to other machines; set SGLANG_API_KEY as well" >&2
  exit 2
fi
read -r -a launcher <<<"${SGLANG_ROUTER:-python3 -m sglang_router.launch_router}"

case $policy in
  manual)
    # The header X-SMG-Routing-Key, which apr-agents sets to the run's id, keeps a run on the worker that has its prefix.
    # A new run goes where the fewest requests are; a request without the header goes anywhere.
    policy_flags=(--policy manual --assignment-mode min_load)
    ;;
  cache_aware)
    # The router remembers which worker saw which prefix, and goes elsewhere when it saw less than 30 % of a request: so
    # may the branches after a long plan, and a join. It balances when one worker has this many requests more than another
    # (and one and a half times as many); with its default of 64 a wide block would be torn apart too.
    policy_flags=(--policy cache_aware --balance-abs-threshold 256)
    ;;
  *)
    echo "router.sh: ROUTER_POLICY=$policy tears runs apart; there is manual, and cache_aware for other clients" >&2
    exit 2
    ;;
esac

command=("${launcher[@]}" --host "$host" --port "${ROUTER_PORT:-30000}" --worker-urls "${workers[@]}"
  "${policy_flags[@]}"
  # The run decides what is sent again, within its own budget; the router's five tries would be five times as many.
  --disable-retries
  --prometheus-host "$host" --prometheus-port "${ROUTER_METRICS_PORT:-29000}"
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
