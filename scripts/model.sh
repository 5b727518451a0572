#!/usr/bin/env bash
# Checks model/gateway.pml with spin: every property in every configuration has
# to hold over all reachable states, and every broken variant, like the one
# property that is false on purpose, has to be refuted. Prints a table and fails
# where anything came out otherwise. `scripts/model.sh short` checks a part of
# it in seconds. model/README.md says what is modelled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

form=${1:-all}
jobs=${MODEL_JOBS:-2}
# gcc takes longer over what spin writes than the short searches take.
optimize=-O1
if [[ $form == short ]]; then
  optimize=-O0
fi
memory=${MODEL_MEMORY:-1900} # MB for each of the searches that run at once
for program in spin gcc; do
  if ! command -v "$program" >/dev/null; then
    echo "model: $program is missing; run scripts/setup-test.sh" >&2
    exit 1
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# form, name, what has to come out, budgets and variants of gateway.pml
checks() {
  cat <<'CHECKS'
short|senders, two series|holds|-DRESOLVES=2 -DRESENDS=1
short|lost answer, crash, spool|holds|-DSERIES=1 -DRESOLVES=1 -DLOST=1 -DCRASHES=1 -DOUTAGES=1
short|storm, one series|holds|-DSERIES=1 -DRESOLVES=1 -DSTORMS=1 -DRESENDS=1
short|both at once is reached|refuted|-DSERIES=1 -DRESOLVES=0 -DSTORMS=1 -DREACH_BOTH -DRESENDS=1
short|broken: check, then create|refuted|-DBAD_CHECK
short|broken: acknowledged before the write|refuted|-DSERIES=1 -DRESOLVES=0 -DCRASHES=1 -DBAD_ACK_FIRST
all|two starts each, remediation, windows|holds|-DSTARTS=2 -DRESOLVES=2 -DFINISHES=1 -DPAUSES=1 -DSERIES=1 -DK=3 -DRESENDS=1
all|two series, remediation, windows|holds|-DRESOLVES=1 -DFINISHES=1 -DPAUSES=1 -DFLUSHES=1 -DK=3
all|two series, lost answer, crash, spool|holds|-DRESOLVES=1 -DLOST=1 -DCRASHES=1 -DOUTAGES=1
all|spool, remediation, windows|holds|-DSERIES=1 -DRESOLVES=1 -DOUTAGES=1 -DFINISHES=1 -DPAUSES=1 -DFLUSHES=1 -DRESENDS=1
all|deletion, two series|holds|-DRESOLVES=1 -DDELETES=1 -DFINISHES=1
all|deletion, lost answer, crash|holds|-DSERIES=1 -DRESOLVES=0 -DDELETES=1 -DFINISHES=1 -DLOST=1 -DCRASHES=1 -DRESENDS=1 -DK=3
all|storm, other members, closing|holds|-DRESOLVES=0 -DSTORMS=1 -DOTHERS=1 -DCLOSES=1 -DRESENDS=1
all|storm, lost answer, crash|holds|-DSERIES=1 -DRESOLVES=1 -DSTORMS=1 -DLOST=1 -DCRASHES=1 -DRESENDS=1
all|storm, two series, an end|holds|-DRESOLVES=1 -DSTORMS=1 -DRESENDS=1
live|for ever re-sent gets a request|holds|-DSERIES=1 -DRESOLVES=0 -DDELETES=1 -DCRASHES=1 -DLOST=1 -DFOREVER -DLIVE
all|broken: random name|refuted|-DBAD_RANDOM
all|broken: apply without resourceVersion|refuted|-DSERIES=1 -DRESOLVES=0 -DSTORMS=1 -DOTHERS=1 -DBAD_NO_VERSION
all|broken: no settling|refuted|-DSERIES=1 -DRESOLVES=1 -DLOST=1 -DBAD_NO_SETTLE
all|broken: nothing is struck|refuted|-DSERIES=1 -DRESOLVES=0 -DSTORMS=1 -DRESENDS=1 -DBAD_NO_STRIKE
all|broken: nothing is withdrawn|refuted|-DRESOLVES=0 -DDELETES=1 -DFINISHES=1 -DBAD_NO_WITHDRAW
all|broken: struck and withdrawn with its ends|refuted|-DSERIES=1 -DRESOLVES=1 -DSTORMS=1 -DRESENDS=1 -DBAD_NO_CARRY
all|broken: an end of no member is acknowledged|refuted|-DSERIES=1 -DRESOLVES=1 -DSTORMS=1 -DRESENDS=1 -DBAD_SILENT_END
all|limit: found though the watch was behind|refuted|-DFINISHES=1 -DRESOLVES=0 -DSTRICT
CHECKS
}

# check N FORM NAME EXPECTED DEFINES... writes a line of the table to $work/N.
check() {
  local dir=$work/$1 kind=$2 name=$3 expected=$4
  shift 4
  mkdir "$dir"
  cd "$dir"
  cp "$root/model/gateway.pml" .
  spin -a "$@" gateway.pml >spin.txt
  # No partial order reduction: all steps touch what others look at.
  local how=(-DSAFETY) run=()
  if [[ $kind == live ]]; then
    how=(-DNFAIR=10)
    run=(-a -f)
  fi
  gcc "$optimize" -w "${how[@]}" -DNOREDUCE -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM="$memory" -o pan pan.c
  ./pan "${run[@]}" -m200000 >pan.txt 2>&1 || true
  local states seconds found by result="no answer" verdict=wrong
  states=$(awk '/states, stored/ { print $1; exit }' pan.txt)
  seconds=$(awk '/elapsed time/ { print $4; exit }' pan.txt)
  found=$(grep -m1 -E '^pan:[0-9]*:' pan.txt || true)
  if [[ $found == *"assertion violated"* || $found == *"acceptance cycle"* ]]; then
    result=refuted
  elif [[ -z $found ]] && grep -q 'errors: 0' pan.txt && ! grep -qE 'Search not completed|max search depth' pan.txt; then
    result=holds
  fi
  case $found in
  *"clear||e_"*) by="a second request with nothing between" ;;
  *"b_||"*) by="acknowledged and nowhere" ;;
  *"f_||"*) by="firing, acknowledged, and without a request at rest" ;;
  *"joined&"* | *"s.n=="*) by="a member lost, or a wrong count" ;;
  *".al[i_]"*) by="an acknowledged end that is open at rest" ;;
  *"x_=="*) by="request and member at rest" ;;
  *"q[i_].ph==0"*) by="two requests of one episode at rest" ;;
  *"since"*) by="a drain after a later create" ;;
  *"&&s.mem)&&(s.ph<2)"*) by="request and member at once" ;;
  *"acceptance cycle"*) by="for ever without a request" ;;
  *) by=${found#pan:*: } ;;
  esac
  if [[ $result == "$expected" ]]; then
    verdict=$result
  else
    cp pan.txt "$work/$(basename "$dir").output"
  fi
  printf '| %-46s | %-8s | %-8s | %9s | %7s | %s |\n' "$name" "$expected" "$verdict" "${states:--}" "${seconds:-0.01}" "$by" >"$work/line.$(basename "$dir")"
}

root=$PWD
number=100
while IFS='|' read -r kind name expected defines; do
  if [[ $form == short && $kind != short ]]; then
    continue
  fi
  number=$((number + 1))
  read -ra words <<<"$defines"
  while (($(jobs -rp | wc -l) >= jobs)); do
    wait -n || true
  done
  (check "$number" "$kind" "$name" "$expected" "${words[@]}") &
done < <(checks)
wait

printf '| %-46s | %-8s | %-8s | %9s | %7s | %s |\n' "configuration or variant" expected result states seconds "refuted by"
printf '| --- | --- | --- | ---: | ---: | --- |\n'
cat "$work"/line.*
if ls "$work"/*.output >/dev/null 2>&1 || (($(ls "$work"/line.* | wc -l) != number - 100)); then
  tail -n 20 "$work"/*.output >&2 2>/dev/null || true
  echo "model: FAILED" >&2
  exit 1
fi
echo "model: all $((number - 100)) came out as expected"
