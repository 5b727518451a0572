#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME. go test fuzzes one target of one package
# at a time, hence the list. A finding lands in that package's testdata/fuzz,
# fails this, and is a test from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzztime=${FUZZTIME:-30s}
targets=0
while IFS=: read -r file line; do
  name=${line#func }
  name=${name%%(*}
  echo "== $(dirname "$file") $name, $fuzztime"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" -fuzzminimizetime 5x "$(dirname "$file")"
  targets=$((targets + 1))
done < <(grep -rE --include='*_test.go' --exclude-dir=tools --exclude-dir=devcluster '^func Fuzz[A-Z]\w*\(' . | sort)

echo "fuzzed $targets targets, $fuzztime each"
