#!/usr/bin/env bash
# Installs what the tests run beside Go: a C compiler for the race detector,
# Redis, Prometheus and Alertmanager, Chromium, the model checker spin, and buildah,
# which builds images without a service, as Debian packages. Does nothing when all
# of it is there, and starts no service: tests start their own, on loopback, and end
# them.
set -euo pipefail

# Program to look for, and the package that has it.
needed=(
  "buildah:buildah"
  "chromium:chromium"
  "curl:curl"
  "gcc:gcc libc6-dev"
  "git:git"
  "make:make"
  "prometheus:prometheus"
  "prometheus-alertmanager:prometheus-alertmanager"
  "redis-server:redis-server"
  "spin:spin"
)

# Debian keeps servers in directories that a plain user's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

programs=()
packages=()
for entry in "${needed[@]}"; do
  if ! command -v "${entry%%:*}" >/dev/null; then
    programs+=("${entry%%:*}")
    read -ra names <<<"${entry#*:}"
    packages+=("${names[@]}")
  fi
done
if ((${#packages[@]} == 0)); then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  cat >&2 <<MESSAGE
setup-test: the tests need these programs on the PATH: ${programs[*]}
setup-test: there is no apt-get here to install them with. Install them by this
setup-test: system's own means, as programs and not as containers, for the tests
setup-test: start and kill them as child processes. Then run this again.
MESSAGE
  exit 1
fi

sudo=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "setup-test: need root to run: apt-get install ${packages[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi

# A package's own start of its service asks this program first; 101 forbids it.
# Somebody else's policy stays as it is.
policy=/usr/sbin/policy-rc.d
mark="kubernaut gateway test set-up"
remove_policy() {
  if grep -qs "$mark" "$policy"; then
    "${sudo[@]}" rm -f "$policy"
  fi
}
trap remove_policy EXIT
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\n# %s: start no service.\nexit 101\n' "$mark" | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
fi

echo "setup-test: installing ${packages[*]}" >&2
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${packages[@]}"

for program in "${programs[@]}"; do
  if ! command -v "$program" >/dev/null; then
    echo "setup-test: $program is still missing after installing ${packages[*]}" >&2
    exit 1
  fi
done
