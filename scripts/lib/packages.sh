# Debian 12 packages that building, testing and the demo need, and their installation. Sourced.

build_packages=(
  ca-certificates g++ gcc git meson ninja-build pkg-config ccache valgrind
  libdpdk-dev dpdk dpdk-dev libbsd-dev libnuma-dev libpcap-dev
  libabsl-dev libcli11-dev libyaml-cpp-dev nlohmann-json3-dev catch2
  libbenchmark-dev
)
# The unmodified programs that run under Sluice and their peers, and what makes namespaces.
program_packages=(
  python3 iproute2 ethtool procps util-linux
  redis-server redis-tools nginx-light wrk apache2-utils curl iperf3 memcached libmemcached-tools
  openssl socat netcat-openbsd bind9-dnsutils dnsmasq-base iputils-ping libpython3.11-testsuite
)
check_packages=(clang clang-format clang-tidy mandoc)

# install_packages NAME...: installs those that are missing, and starts none of the services that
# some of them bring.
install_packages() {
  local missing=() name
  for name in "$@"; do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" == installed ]] ||
      missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  echo "installing: ${missing[*]}"
  # Without this, apt starts redis, nginx and others as soon as they are unpacked.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e "$policy" ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=1
  fi
  local status=0
  { DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
      "${missing[@]}" >/dev/null </dev/null; } || status=$?
  [[ -z "$made" ]] || rm -f "$policy"
  ((status == 0)) || echo "apt-get failed with status $status" >&2
  return "$status"
}

# require_root COMMAND: namespaces, packet devices and apt need it.
require_root() {
  if ((EUID != 0)); then
    echo "$1 needs root: sudo $1" >&2
    exit 2
  fi
}
