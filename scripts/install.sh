#!/usr/bin/env bash
# Builds the extension (release) and installs it.
#   scripts/install.sh               into the private copy of PostgreSQL that tests and demo use
#   scripts/install.sh PG_CONFIG     into the PostgreSQL of that pg_config, with sudo where its directories need it
# PACKAGE_ONLY=1 builds and does not install (scripts/build.sh).
set -euo pipefail
# shellcheck source=scripts/pg.sh
source "$(dirname "${BASH_SOURCE[0]}")/pg.sh"

config=${1:-}
command -v cargo >/dev/null || die "no cargo: run scripts/setup.sh"
cd "$PROJECT"
if [ -z "$config" ]; then
  pg_tree
  exec cargo pgrx install --release --pg-config "$PG_BIN/pg_config"
fi

path=$(command -v "$config") || die "no such program: $config (set PG_CONFIG)"
path=$(readlink -f "$path")
major=$("$path" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
grep -q "^pg$major = " Cargo.toml ||
  die "PostgreSQL $major of $path is not supported: $(sed -nE 's/^pg([0-9]+) = .*/\1/p' Cargo.toml | paste -sd' ')"
# pgrx wants each version that it builds for in its configuration; this one stays out of the tests'.
PGRX_HOME=$PROJECT/.pg/pgrx-$(printf '%s' "$path" | cksum | cut -d' ' -f1)
export PGRX_HOME
mkdir -p "$PGRX_HOME"
want=$(printf '[configs]\npg%s = "%s"' "$major" "$path")
[ "$want" = "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" ] || printf '%s\n' "$want" > "$PGRX_HOME/config.toml"
if [ -n "${PACKAGE_ONLY:-}" ]; then
  exec cargo pgrx package --no-default-features --features "pg$major" --pg-config "$path"
fi
sudo=()
if [ ! -w "$("$path" --pkglibdir)" ] || [ ! -w "$("$path" --sharedir)/extension" ]; then sudo=(--sudo); fi
exec cargo pgrx install --release --no-default-features --features "pg$major" --pg-config "$path" ${sudo[@]+"${sudo[@]}"}
