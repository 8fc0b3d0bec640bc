# shellcheck shell=bash
# What every script here shares: where things are, who runs the server, how progress is said.
# Sourced, never run. Sets PROJECT, SERVER_USER, HOUSE, PG_TREE, PG_BIN, PGRX_HOME.

# Files that this user writes (the extension's library, for one) must be readable by the server's user.
umask 022

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PG_MAJOR=${PG_MAJOR:-15}

# postgres refuses to run as root: then the package's own user runs it.
if [ "$(id -u)" = 0 ]; then SERVER_USER=postgres; else SERVER_USER=$(id -un); fi

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { warn "$*"; exit 1; }

# as_server COMMAND...: run it as the server's user, from a directory that this user can enter.
# RUST_BACKTRACE in the server's environment would add a backtrace to the DETAIL of every error.
as_server() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec env -u RUST_BACKTRACE runuser -u "$SERVER_USER" -- "$@")
  else
    (cd / && exec env -u RUST_BACKTRACE "$@")
  fi
}

# step "what it does" COMMAND...: say it, do it, say how long it took; the command's status is returned.
step() {
  local what=$1 begin=$SECONDS status=0
  shift
  say "==> $what"
  "$@" || status=$?
  if [ "$status" = 0 ]; then say "    done in $((SECONDS - begin)) s"
  else warn "failed after $((SECONDS - begin)) s: $what"; fi
  return "$status"
}

# The directory that holds .pg (a copy of PostgreSQL) and .run (servers): the project's own if the
# server's user can enter it and a socket's path fits there, else one under /var/tmp of this user only.
_house() {
  if [ -n "${EMPATIA_HOUSE:-}" ]; then printf '%s' "$EMPATIA_HOUSE"; return; fi
  if [ "${#PROJECT}" -le 55 ] && as_server test -x "$PROJECT" 2>/dev/null; then
    printf '%s' "$PROJECT"; return
  fi
  local sum dir
  sum=$(printf '%s' "$PROJECT" | cksum | cut -d' ' -f1)
  dir=/var/tmp/empatia-$(id -u)-$sum
  mkdir -m 755 "$dir" 2>/dev/null || true
  # /var/tmp is everybody's: another user's directory of that name, or a link, is not ours to use.
  if [ -L "$dir" ] || [ ! -O "$dir" ]; then
    die "$dir is not ours: remove it, or set EMPATIA_HOUSE to a directory that user $SERVER_USER can enter"
  fi
  printf '%s' "$dir"
}

HOUSE=$(_house) || exit 1
PG_TREE=$HOUSE/.pg/$PG_MAJOR
export PG_BIN=$PG_TREE/usr/lib/postgresql/$PG_MAJOR/bin
export PGRX_HOME=${PGRX_HOME:-$HOUSE/.pg/pgrx}
# cargo-pgrx adds a linker flag that build.rs gives already; one set of flags means one compilation.
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1

# Cargo may be installed without being on the PATH of a login-less shell.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi
