#!/usr/bin/env bash
# Runs a pinned development tool: tools/run.sh NAME [ARGUMENT...]
#
# Each tool is a module of its own under tools/, so that what it needs never
# reaches the gateway's go.mod. `go tool -modfile` would do the same, but it
# links the large ones anew every time; the binary is kept outside the
# checkout instead, under a key of all that it is built from.
set -euo pipefail

name=${1:?usage: tools/run.sh NAME [ARGUMENT...]}
shift

module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$name
if [[ ! -f $module/go.mod ]]; then
  echo "tools/run.sh: no tool named $name" >&2
  exit 2
fi

package=$(awk '$1 == "tool" { print $2 }' "$module/go.mod")
sha256=$(command -v sha256sum || echo "shasum -a 256")
key=$({ go version; cat "$module/go.mod" "$module/go.sum"; } | $sha256 | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubernaut-gateway/tools
binary=$cache/$name-$key

if [[ ! -x $binary ]]; then
  echo "building $name (once; the large ones take minutes) ..." >&2
  mkdir -p "$cache"
  # Built under a name of this process, then moved: two runs never share a half-written file.
  # The settings are fixed, so that the caller's (a linter is run with those of
  # the code it looks at) make no second binary.
  CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" go -C "$module" build -o "$binary.$$" "$package"
  mv -f "$binary.$$" "$binary"
fi

exec "$binary" "$@"
