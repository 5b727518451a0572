#!/bin/sh
# Builds devcluster into a cache outside the checkout and puts it at OUT.
#
# The first build compiles kube-apiserver and etcd, which takes minutes; the
# cache is keyed by everything that goes into the binary, so a clean clone or a
# switched branch finds the one that is there.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
case $1 in
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
cd "$(dirname "$0")"

# kubectl and helm read the server's version from these.
version=k8s.io/component-base/version
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kubernetes#v1.}
ldflags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"

# Without C and without the checkout's path and state the same sources give the
# same binary on every machine.
CGO_ENABLED=0
export CGO_ENABLED

if command -v sha256sum >/dev/null; then sha256=sha256sum; else sha256="shasum -a 256"; fi
key=$({
	cat go.mod go.sum ./*.go ./*/*.go
	go env GOVERSION GOOS GOARCH
	echo "$ldflags"
} | $sha256 | cut -c1-64)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubernaut-gateway
binary=$cache/devcluster-$key

if [ ! -x "$binary" ]; then
	echo "building kube-apiserver and etcd, about 6 minutes the first time ..." >&2
	mkdir -p "$cache"
	trap 'rm -f "$binary.$$"' EXIT
	# A build beside this one may win; both have built the same.
	go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$binary.$$" .
	mv -f "$binary.$$" "$binary"
	echo "built $binary" >&2
fi

# A link costs nothing; across file systems it takes a copy. OUT is whole from
# the moment it is there, and may be running while it is replaced.
mkdir -p "$(dirname "$out")"
rm -f "$out"
ln "$binary" "$out" 2>/dev/null || { cp "$binary" "$out.$$" && mv -f "$out.$$" "$out"; }
