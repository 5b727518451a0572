#!/usr/bin/env bash
# Generates anew and fails if that changed anything, which git alone can't tell
# while the tree holds other work. What was generated stays, ready to commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R api "$before/api"
make --no-print-directory generate
if ! diff -ru "$before/api" api; then
  echo "check-generate: generated files were stale; commit what 'make generate' wrote" >&2
  exit 1
fi
