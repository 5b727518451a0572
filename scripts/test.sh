#!/usr/bin/env bash
# Vets and tests all modules, prints go's own output and one closing line, and
# fails if anything in it failed. `make test` runs it after set-up and build.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra packages <<<"${PACKAGES:-./...}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
started=$SECONDS
failed=()

# stage NAME COMMAND... runs one part; a failed one doesn't keep the others from running.
stage() {
  local name=$1
  shift
  echo "== $name"
  "$@" 2>&1 | tee -a "$log" || failed+=("$name")
}

# vet with -race reads what the tests compile anyway.
stage "vet" go vet -race "${packages[@]}"
stage "test" go test -race -timeout 15m "${packages[@]}"

# Seconds of what `make model` checks in minutes.
stage "model" scripts/model.sh short

# What is tested of the notifier is what Alertmanager makes of the gateway: test/e2e builds and runs it.
stage "vet notifier" go -C test/e2e/notifier vet ./...

# What makes the image and the archives. Nothing in it runs at the same time as
# anything else, so it goes without the race detector.
stage "vet release" go -C release vet ./...
stage "test release" go -C release test -trimpath -timeout 15m ./...

# devcluster is kube-apiserver and etcd: with the race detector they would be
# compiled once more, 6 minutes for other people's code. With the settings of
# build.sh its tests are compiled from the cache.
export CGO_ENABLED=0
# The simulation plays only a few schedules with the race detector, under which
# none is the same twice.
stage "simulation" go test -trimpath -timeout 15m ./test/simulation
stage "vet devcluster" go -C devcluster vet -trimpath ./...
stage "vet deploy/render" go -C deploy/render vet -trimpath ./...
# Most of it waits, for a minute at most, until an object is old enough to be deleted.
stage "test deploy/render" go -C deploy/render test -trimpath -parallel 8 -timeout 15m ./...
stage "vet deploy/observability" go -C deploy/observability vet -trimpath ./...
stage "test deploy/observability" go -C deploy/observability test -trimpath ./...
stage "test devcluster" go -C devcluster test -trimpath -short -timeout 15m ./...

ok=$(grep -c '^ok' "$log")
bad=$(grep -cE '^FAIL[[:space:]]+[^[:space:]]' "$log")
took=$((SECONDS - started))
if ((EUID != 0)); then
  echo "NOT TESTED: that the image starts (test/image), for only root may mount a read-only root"
fi
if ((${#failed[@]} > 0)); then
  printf -v names '%s, ' "${failed[@]}"
  echo "FAILED: ${names%, } (packages passed: $ok, failed: $bad; ${took}s)"
  exit 1
fi
echo "PASSED: all tests (packages: $ok; ${took}s)"
