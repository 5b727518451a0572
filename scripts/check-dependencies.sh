#!/usr/bin/env bash
# Fails if a direct dependency of a module has no row in docs/dependencies.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=0
for mod in go.mod devcluster/go.mod test/e2e/notifier/go.mod deploy/render/go.mod deploy/observability/go.mod release/go.mod; do
  while read -r module; do
    if [[ $module == kubernaut.io/* ]]; then
      continue # our own
    fi
    if ! grep -qF "\`$module\`" docs/dependencies.md; then
      echo "$mod: $module has no row in docs/dependencies.md" >&2
      missing=1
    fi
  done < <(awk '/^require \(/ { block = 1; next } /^\)/ { block = 0 }
    / \/\/ indirect/ { next } block { print $1 } /^require [^(]/ { print $2 }' "$mod")
done
exit $missing
