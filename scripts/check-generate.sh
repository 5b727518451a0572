#!/usr/bin/env bash
# Generates anew and fails if that changed anything, which git alone can't tell
# while the tree holds other work. What was generated stays, ready to commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

generated=(api charts deploy docs/cli.md docs/configuration.md)
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
tar -cf - "${generated[@]}" | tar -xf - -C "$before"
make --no-print-directory generate manifests
for path in "${generated[@]}"; do
  if ! diff -ru "$before/$path" "$path"; then
    echo "check-generate: generated files were stale; commit what 'make generate manifests' wrote" >&2
    exit 1
  fi
done
