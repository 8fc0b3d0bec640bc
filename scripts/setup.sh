#!/usr/bin/env bash
# What Empatia needs to be built and tested on Debian 12: says what is missing, why, and installs it.
#   scripts/setup.sh           check, and install what is missing (apt as root or through sudo; cargo-pgrx as yourself)
#   scripts/setup.sh --check   only check; exit 1 if something is missing
# It never creates, starts or changes a PostgreSQL cluster of the system.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PGRX_VERSION=0.18.1
RUST_MINIMUM=1.88.0
CHECK_ONLY=no
case ${1:-} in
  '') ;;
  --check) CHECK_ONLY=yes ;;
  *) die "unknown argument '$1': --check or nothing" ;;
esac
MISSING=0

# package and why it is needed
packages() {
  cat <<LIST
postgresql-$PG_MAJOR the server that the extension runs in
postgresql-server-dev-$PG_MAJOR its headers, pg_config, pg_regress
postgresql-$PG_MAJOR-cron pg_cron, for empatia.schedule() and its tests
libclang-dev bindgen reads the server's headers with it
clang the same, and its own headers
build-essential make and a linker
pkg-config finds libssl for cargo-pgrx
libssl-dev cargo-pgrx is linked with it
zlib1g-dev linked by servers built from source
libreadline-dev linked by servers built from source
zstd unpacks the large file of the OULAD demo
python3-venv scikit-learn, which the segments are compared with, gets an environment of its own
shellcheck the check of our own scripts
curl the test of the HTTP service asks it with this
jq reads its answers
sudo runs the pgrx tests' server as postgres when we are root
LIST
}

missing_packages() {
  local name why
  while read -r name why; do
    # As an ordinary user we run the server ourselves: sudo is only the means to install.
    if [ "$name" = sudo ] && [ "$(id -u)" != 0 ]; then continue; fi
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
      say "missing: $name ($why)" >&2
      printf '%s\n' "$name"
    fi
  done < <(packages)
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

can_be_root() {
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

# Debian's package creates and starts cluster "main" when first installed. Told not to, once: the setting
# goes away again with this script, and a machine that has the package already is left as it is.
apt_install() {
  local guard=/etc/postgresql-common/createcluster.d/empatia-setup.conf guarded=no status=0
  if printf '%s\n' "$@" | grep -qx "postgresql-$PG_MAJOR"; then
    say "    no cluster is created: create_main_cluster = false while the package is installed"
    as_root mkdir -p "${guard%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$guard" >/dev/null
    guarded=yes
  fi
  {
    as_root apt-get update -q &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
  } < /dev/null || status=$?
  if [ "$guarded" = yes ]; then as_root rm -f "$guard"; fi
  return "$status"
}

debian_packages() {
  local wanted=() names
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    warn "this is not Debian (no apt-get): install the equivalents yourself, PostgreSQL $PG_MAJOR with its"
    warn "development files under /usr/lib/postgresql/$PG_MAJOR among them:"
    packages | sed 's/^/  /' >&2
    MISSING=1
    return
  fi
  names=$(missing_packages)
  [ -n "$names" ] || { say "==> Debian packages: all there"; return; }
  mapfile -t wanted <<< "$names"
  if [ "$CHECK_ONLY" = yes ] || ! can_be_root; then
    [ "$CHECK_ONLY" = yes ] || warn "neither root nor sudo: ask an administrator to run"
    say "  apt-get install --no-install-recommends ${wanted[*]}" >&2
    MISSING=1
    return
  fi
  if ! step "apt-get install ${wanted[*]}" apt_install "${wanted[@]}"; then
    # shellcheck disable=SC1091
    warn "this is $(. /etc/os-release && printf '%s' "${PRETTY_NAME:-an unknown system}"); on anything but Debian 12, PostgreSQL $PG_MAJOR may have"
    warn "to come from https://apt.postgresql.org (package postgresql-common has a script that adds it)"
    MISSING=1
  fi
}

# at_least FOUND MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

rust() {
  local found part
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    warn "missing: Rust $RUST_MINIMUM or newer (cargo is not on the PATH, nor in ~/.cargo/bin)"
    warn "  Debian 12's own is too old: see https://rustup.rs, then run this again"
    MISSING=1
    return
  fi
  found=$(rustc --version | cut -d' ' -f2)
  if ! at_least "$found" "$RUST_MINIMUM"; then
    warn "missing: Rust $RUST_MINIMUM or newer; found $found: rustup update stable"
    MISSING=1
    return
  fi
  for part in fmt clippy; do
    cargo "$part" --version >/dev/null 2>&1 && continue
    warn "missing: cargo $part: rustup component add ${part/fmt/rustfmt} (only the tests need it)"
    MISSING=1
  done
  say "==> Rust $found: recent enough"
}

pgrx() {
  local found
  command -v cargo >/dev/null || return 0
  found=$(cargo pgrx --version 2>/dev/null | awk '{print $NF}' || true)
  if [ "$found" = "$PGRX_VERSION" ]; then say "==> cargo-pgrx $found: the one we need"; return; fi
  if [ "$CHECK_ONLY" = yes ] || [ "$MISSING" != 0 ]; then
    warn "missing: cargo-pgrx $PGRX_VERSION (found: ${found:-none}): cargo install cargo-pgrx --version $PGRX_VERSION --locked"
    MISSING=1
    return
  fi
  step "cargo install cargo-pgrx $PGRX_VERSION (builds the extension; a few minutes)" \
    cargo install cargo-pgrx --version "$PGRX_VERSION" --locked < /dev/null || MISSING=1
}

debian_packages
rust
pgrx
if [ "$MISSING" != 0 ]; then die "not ready: see what is missing above"; fi
say "ready"
