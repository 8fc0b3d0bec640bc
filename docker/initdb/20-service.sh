#!/usr/bin/env bash
# Run once, by the image's entry point, in POSTGRES_DB of a new volume: with EMPATIA_HTTP_PASSWORD set, the warehouse and the role of the HTTP service.
# Sourced where the file has lost its mode: no `set`, no `exit`.
if [ -n "${EMPATIA_HTTP_PASSWORD:-}" ]; then
  psql -X -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-$POSTGRES_USER}" -v password="$EMPATIA_HTTP_PASSWORD" <<'SQL'
SET client_min_messages = warning;
SELECT count(*) AS objects FROM empatia.create_warehouse();
CREATE ROLE empatia_http LOGIN PASSWORD :'password';
SELECT granted FROM empatia.grant_service('empatia_http');
SQL
fi
