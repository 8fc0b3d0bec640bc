#!/usr/bin/env bash
# Builds the library (release) for the PostgreSQL of a pg_config and leaves the files that `make install` would copy
# under target/release/empatia-pgNN.
#   scripts/build.sh [PG_CONFIG]
set -euo pipefail
PACKAGE_ONLY=1 exec "$(dirname "${BASH_SOURCE[0]}")/install.sh" "${1:-pg_config}"
