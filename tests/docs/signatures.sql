-- One line per public function of schema empatia, its signature, and one with the columns it returns, as docs/reference.md writes them.
SELECT format('%s%s(%s)', CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, p.proname,
              regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), '::[a-z ]+(?=,|$)', '', 'g'), '\mIN ', '', 'g'))
FROM pg_proc p WHERE p.pronamespace = 'empatia'::regnamespace AND p.proname !~ '^_'
UNION ALL
SELECT format('%s returns: %s', p.proname, coalesce(
    (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0
     WHERE t.oid = p.prorettype AND t.typtype = 'c'),
    (SELECT string_agg(n.name, ', ' ORDER BY n.i) FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY n (name, mode, i) WHERE n.mode = 't'),
    format_type(p.prorettype, NULL)))
FROM pg_proc p WHERE p.pronamespace = 'empatia'::regnamespace AND p.proname !~ '^_' AND p.prokind <> 'p'
ORDER BY 1;
