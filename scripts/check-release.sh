#!/usr/bin/env bash
# Makes a release from this checkout's commit, then from another clone of it with
# an empty build cache, another umask and time zone, and compares the checksums.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -n $(git status --porcelain) ]]; then
  echo "check-release: the tree differs from its commit; commit or stash first" >&2
  exit 1
fi
other=$(mktemp -d)
trap 'chmod -R u+w "$other"; rm -rf "$other"' EXIT
git clone --quiet . "$other/elsewhere"
version=$(git describe --tags --always)

make --no-print-directory release
(
  umask 077
  TZ=Pacific/Auckland GOCACHE=$other/cache make --no-print-directory -C "$other/elsewhere" release
)
diff -u "bin/release/$version/SHA256SUMS" "$other/elsewhere/bin/release/$version/SHA256SUMS"
diff -u bin/image/digest "$other/elsewhere/bin/image/digest"
echo "check-release: both are the same"
