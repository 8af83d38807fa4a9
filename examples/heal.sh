#!/usr/bin/env bash
# The same as heal.py by curl (7.76 or newer); python3 only reads JSON.
#   APPROVAL_URL=http://127.0.0.1:8000/o/bk_fta_solutions APPROVAL_TOKEN=... \
#     bash heal.sh 12345_2 10.0.0.1
set -euo pipefail
obj_id=$1 ip=$2
action="{\"job\": \"replace-machine\", \"ip\": \"$ip\"}"

# Every request here may be repeated. Token and permit come by file, never on the command line,
# which everybody on the machine can read.
call() {
  curl --silent --show-error --fail-with-body --max-time 90 --retry 8 --retry-connrefused \
    --header @<(printf 'Authorization: Bearer %s\n' "$APPROVAL_TOKEN") \
    --header 'Content-Type: application/json' "$APPROVAL_URL/api/v1$1" "${@:2}"
}
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

asked=$(call /approvals --data @- <<EOF
{"obj_id": "$obj_id", "message": "替换故障机 $ip", "approvers": ["zhangsan", "lisi"],
 "action": $action}
EOF
) || { echo "$obj_id: not asked; $asked" >&2; exit 1; }
id=$(field approval_id <<<"$asked") after=$(field number <<<"$asked") status=pending

while [ "$status" = pending ]; do
  page=$(call "/decisions?after=$after&wait=50")
  read -r after status permit < <(python3 -c '
import json, sys
page = json.load(sys.stdin)
ends = [one["data"] for one in page["decisions"] if one["data"]["approval_id"] == sys.argv[1]]
end = ends[0] if ends else {"status": "pending"}
print(page["next"], end["status"], end.get("permit") or "none")' "$id" <<<"$page")
done

if [ "$status" != approved ] || [ "$permit" = none ]; then
  echo "$obj_id $status: nothing was done"
  exit
fi
# Only after this has succeeded may anything be done.
attempt=$(python3 -c 'import uuid; print(uuid.uuid4())')
if ! redeemed=$(call /permits/redeem --data @- <<EOF
{"permit": "$permit", "action": $action, "attempt": "$attempt"}
EOF
); then
  echo "$obj_id: no leave to act, nothing was done; $redeemed"
  exit
fi
echo "replacing $ip"
call "/approvals/$id/outcome" --data "{\"outcome\": \"succeeded\", \"detail\": \"$ip\"}" >/dev/null
echo "$obj_id succeeded, allowed by $(field decided_by <<<"$redeemed")"
