-- Chance without state, as in demo/openredu/chance.sql: a number is the hash of its own name, so neither the order of rows nor the plan
-- changes it, and the same seed gives the same data set on every machine.

-- Uniform in [0, 1), from 53 bits of the hash of a stream's name and a number.
create function pg_temp.u(stream text, n bigint) returns float8 immutable strict parallel safe
return (hashint8extended(n, hashtextextended(stream, :seed)) & 9007199254740991)::float8 / 9007199254740992.0;

-- Whole number 0 .. size-1.
create function pg_temp.dice(stream text, n bigint, size bigint) returns bigint immutable strict parallel safe
return floor(pg_temp.u(stream, n) * size)::bigint;
