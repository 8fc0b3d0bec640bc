-- Chance without state: a number is the hash of its own name, so neither row order nor plan changes it.

-- Uniform in [0, 1), from 53 bits of the hash of `name`.
create function pg_temp.u(name text) returns float8 immutable strict parallel safe
return (hashtextextended(name, :seed) & 9007199254740991)::float8 / 9007199254740992.0;

-- Whole number 0 .. n-1.
create function pg_temp.dice(name text, n bigint) returns int immutable strict parallel safe
return floor(pg_temp.u(name) * n)::int;

-- Roughly normal, mean 0, deviation 1: twelve uniforms less six need no logarithm, whose last bit differs between platforms;
-- four, scaled by sqrt(3), are near enough here.
create function pg_temp.bell(name text) returns float8 immutable strict parallel safe
return (pg_temp.u(name || '~1') + pg_temp.u(name || '~2') + pg_temp.u(name || '~3') + pg_temp.u(name || '~4') - 2) * 1.7320508;

create function pg_temp.pick(name text, choices text[]) returns text immutable strict parallel safe
return choices[1 + pg_temp.dice(name, cardinality(choices))];

-- Local hour 0 .. 23 by the share of a school day's traffic: mornings, afternoons, a peak from 19 to 22.
create function pg_temp.hour(name text) returns int immutable strict parallel safe
return width_bucket(pg_temp.u(name), array[.012, .018, .021, .023, .025, .03, .045, .08, .135, .205, .275, .325,
                                           .36, .405, .47, .535, .595, .645, .70, .775, .86, .935, .985]::float8[]);

-- UTC instant of a local hour on day `day` of the term (0 = its first day), minute and second by chance.
create function pg_temp.instant(name text, day int, hour int) returns timestamp immutable strict parallel safe
return timestamp :'term_start' + make_interval(days => day, hours => hour + 3, mins => pg_temp.dice(name || '~m', 60),
                                               secs => pg_temp.dice(name || '~s', 60));

-- Days of the term with the share of people about: working week, national and June holidays of 2025, the July break.
create temp table t_day on commit drop as
select day, (case when (date :'term_start' + day) = any (array['2025-03-03', '2025-03-04', '2025-03-05', '2025-04-18',
                       '2025-04-21', '2025-05-01', '2025-06-19', '2025-06-23', '2025-06-24', '2025-09-07', '2025-10-12',
                       '2025-11-02', '2025-11-15', '2025-11-20', '2025-12-25', '2026-01-01']::date[]) then 0.12
                  when (date :'term_start' + day) between date '2025-07-14' and date '2025-07-27' then 0.08
                  else (array[1.0, 1.1, 1.15, 1.0, 0.7, 0.35, 0.5])[1 + day % 7] end)::float8 as weight
from generate_series(0, :last_day) day;
