#!/usr/bin/env bash
# Guards against a library that cannot be loaded again: the extension answers after a restart and after a crash.
# shellcheck source=tests/shell/lib.sh
source "$(dirname "$0")/lib.sh"

expected=$(sed -nE '/^\[package\]/,/^\[/s/^version = "(.*)"/\1/p' "$PROJECT/Cargo.toml")
server_start "max_connections = 20"
create_database app
assert_sql 'SELECT empatia.version()' "$expected" "version of a new server"
server_restart fast
assert_sql 'SELECT empatia.version()' "$expected" "version after a restart"
server_restart immediate
assert_sql 'SELECT empatia.version()' "$expected" "version after a crash"
assert_sql_fails 'SELECT empatia.no_such_function()' '42883' "an unknown function"
