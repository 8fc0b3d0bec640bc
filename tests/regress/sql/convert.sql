-- Text that should have been a number or an instant. Fault guarded against: a cast that fails takes the whole load with it, one
-- that guesses brings a wrong number in. Expected: null wherever a careful reader would say "this is none".
create extension empatia;
set timezone = 'UTC';
set datestyle = 'ISO, YMD';
select v, empatia._to_bigint(v) as to_bigint, empatia._to_double(v) as to_double from unnest(array['7', ' 7 ', '-7', '12.0', '12.', '12.5', '.0', '', ' ', 'abc', '1e3', 'NaN', 'nan', 'inf', '-Infinity', '1e400',
    '1,5', '0x10', '9223372036854775807', '9223372036854775808', '99999999999999999999', '1_000', '٣']) v;
select v, empatia._to_boolean(v) from unnest(array['t', 'TRUE', ' yes ', '1', 'on', 'f', 'no', 'N', '0', 'off', '', '2', 'sim', 'null']) v;
-- a text that names its offset is an instant; one that names none is the source's wall clock, here Recife, three hours behind
select v, empatia._to_timestamp(v, 'America/Recife') from unnest(array['2024-03-01 10:20:30', '2024-03-01T10:20:30', '2024-03-01 10:20:30.123456', '2024-03-01 10:20', '2024-03-01', ' 2024-03-01 ',
    '2024-03-01T10:20:30Z', '2024-03-01 10:20:30z', '2024-03-01 10:20:30 UTC', '2024-03-01 10:20:30+00', '2024-03-01 10:20:30-03', '2024-03-01 10:20:30-03:30', '2024-03-01T10:20:30+0530', '2024-03-01 10:20:30.5-03',
    '2024-03-01 10:20:30 -0300', '2024-02-29', '9999-12-31 23:59:59', '0001-01-01']) v;
select v, empatia._to_timestamp(v, 'America/Recife') from unnest(array['0000-00-00', '0000-00-00 00:00:00', '2024-02-30', '2023-02-29', '2024-13-01', '2024-00-10', '2024-01-01 24:00:00', '2024-01-01 10:60:00', '', ' ', 'abc', 'now', 'today',
    'infinity', '10000-01-01', '01/03/2024', '20240301', '24-03-01', '1709288430', '2024-03-01 10:20:30+99', '2024-03-01 10:20:30 Recife']) v;
-- ids: a number stays itself, a name gets the same number for ever
select v, empatia.source_id(v) from unnest(array['7', ' 7 ', '007', '999999999999999', '1000000000000000', 'ana', 'Ana', 'ana ', '', ' ', '-1', '1.0']) v;
-- what those ids must be: distinct from every plain number, and exact in a double
select count(*) as names, count(distinct empatia.source_id('aluno ' || n)) as ids, bool_and(empatia.source_id('aluno ' || n) between 4503599627370496 and 9007199254740991) as in_range from generate_series(1, 100000) n;
-- typed sources are not sent through text, so that the session's date style does not matter
set datestyle = 'SQL, DMY';
select empatia._convert_sql('timestamp'::regtype, 'timestamptz', 'r.x', 'America/Recife');
select empatia._convert_sql('numeric'::regtype, 'bigint', 'r.x', 'UTC');
select empatia._convert_sql(null, 'kind', 'r.x', 'UTC');
