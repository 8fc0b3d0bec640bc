-- What train_table() reads: columns of a relation, its target, its key, its time.

CREATE FUNCTION empatia._table_columns(relation regclass) RETURNS TABLE (place integer, name text, kind text, expression text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.attnum::integer, a.attname::text, k.kind,
           CASE k.kind WHEN 'number' THEN format('%I::double precision', a.attname)
                       WHEN 'boolean' THEN format('%I::integer::double precision', a.attname)
                       -- the epoch of an infinite date is infinite too, and refused by the column's name
                       WHEN 'date' THEN format('date_part(''epoch'', %I) / 86400 - 10957', a.attname)
                       WHEN 'instant' THEN format('extract(epoch FROM %I)::double precision / 86400 - 10957', a.attname)
                       WHEN 'text' THEN format('nullif(btrim(%I::text), '''')', a.attname) END
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (SELECT coalesce(nullif(t.typbasetype, 0), t.oid) AS base) b
    CROSS JOIN LATERAL (SELECT CASE
        WHEN b.base IN ('date'::regtype) THEN 'date'
        WHEN b.base IN ('timestamp'::regtype, 'timestamptz'::regtype) THEN 'instant'
        WHEN t.typcategory = 'B' THEN 'boolean'
        WHEN b.base IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'real'::regtype, 'double precision'::regtype, 'numeric'::regtype) THEN 'number'
        WHEN t.typcategory IN ('S', 'E') OR b.base = 'uuid'::regtype THEN 'text' END AS kind) k
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND k.kind IS NOT NULL
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION empatia._table_columns(regclass) IS 'columns of a relation that a model can use: numbers, booleans, texts and enums, dates and instants, each with the expression that reads it';

-- What an import writes beside the columns of the definition says nothing of a student.
CREATE FUNCTION empatia._dataset_of(relation regclass, OUT name text, OUT definition jsonb, OUT key text[], OUT time_column text, OUT unused text[], OUT leaks text[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.name, d.definition, c.key, CASE WHEN d.definition -> 'yearly' IS DISTINCT FROM 'false' THEN 'year' END, '{import_id,file,sheet,row,year}'::text[] || c.unused, c.leaks
    FROM empatia.warehouse w, empatia.dataset d
    CROSS JOIN LATERAL (SELECT array_agg(c.name ORDER BY c.place) FILTER (WHERE c.role = 'key') AS key, array_agg(c.name) FILTER (WHERE c.role IN ('key', 'leak', 'info', 'ignore', 'year')) AS unused,
                               coalesce(array_agg(c.name ORDER BY c.place) FILTER (WHERE c.role = 'leak'), '{}') AS leaks
                        FROM (SELECT e ->> 'name' AS name, coalesce(e ->> 'role', 'feature') AS role, place FROM jsonb_array_elements(d.definition -> 'columns') WITH ORDINALITY u (e, place)) c) c
    WHERE to_regclass(format('%I.%I', w.dw_schema, d.name)) = relation
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = 'import_id' AND NOT a.attisdropped)
    ORDER BY d.shipped LIMIT 1
$$;
COMMENT ON FUNCTION empatia._dataset_of(regclass) IS 'the dataset that a relation is the table of: its key and time, the columns that nothing is learnt from unless they are named, and those declared to be leaks; nulls: it is of none';

CREATE FUNCTION empatia._check_columns(what text, relation regclass, columns text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text;
BEGIN
    SELECT c INTO unknown FROM unnest(columns) c
    WHERE c IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = c) LIMIT 1;
    IF FOUND THEN
        PERFORM empatia._fail('undefined_column', format('%s: relation %s has no column %s', what, relation, coalesce('"' || unknown || '"', 'null')),
            'Its columns are ' || (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped) || '.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_columns(text, regclass, text[]) IS 'refuses names that are not columns of a relation';

CREATE FUNCTION empatia._key_sql(key text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(nullif((SELECT string_agg(format('%I::text', k), ' || ''/'' || ' ORDER BY i) FROM unnest(key) WITH ORDINALITY u (k, i)), ''), 'NULL::text')
$$;
COMMENT ON FUNCTION empatia._key_sql(text[]) IS 'expression of a row''s key: its parts joined by a slash';

-- PostgreSQL itself says which type an expression has and which columns it is of: it is asked by a view that lives for a moment.
CREATE FUNCTION empatia._inspect_target(relation regclass, target text, OUT expression text, OUT type regtype, OUT columns text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    probe oid;
BEGIN
    expression := empatia._checked_expression('target', target);
    IF current_setting('transaction_read_only') = 'on' THEN
        PERFORM empatia._fail('read_only_sql_transaction', 'looking at a target takes a temporary view, which a read-only transaction cannot make',
            'Call it in a transaction that may write, and not on a standby.');
    END IF;
    DROP VIEW IF EXISTS pg_temp.empatia_target;
    EXECUTE format(E'CREATE TEMPORARY VIEW empatia_target AS SELECT (%s) AS target FROM %s', expression, relation);
    probe := to_regclass('pg_temp.empatia_target');
    SELECT a.atttypid::regtype INTO type FROM pg_attribute a WHERE a.attrelid = probe AND a.attnum = 1;
    SELECT coalesce(array_agg(DISTINCT a.attname::text), '{}') INTO columns
    FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid > 0
    JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = d.refobjsubid
    WHERE r.ev_class = probe;
    DROP VIEW pg_temp.empatia_target;
    IF columns = '{}' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('target must depend on a column of %s, found %s', relation, expression));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._inspect_target(regclass, text) IS 'a target expression, checked, with its type and the columns that it is computed from';

-- Features as columns of the type that the engine takes, then target, group and period.
CREATE FUNCTION empatia._table_query(relation regclass, expressions text[], target text, key text[], time_column text, target_lead integer, lead_step interval)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    features CONSTANT text := (SELECT string_agg(format('%s AS f%s', e, i), ', ' ORDER BY i) FROM unnest(expressions) WITH ORDINALITY u (e, i));
    names CONSTANT text := (SELECT string_agg('a.f' || i, ', ' ORDER BY i) FROM generate_subscripts(expressions, 1) i);
    numbered boolean;
    period text := 'NULL::integer';
    ahead text;
BEGIN
    IF time_column IS NOT NULL THEN
        SELECT c.kind = 'number' INTO numbered FROM empatia._table_columns(relation) c WHERE c.name = time_column AND c.kind IN ('number', 'date', 'instant');
        IF numbered IS NULL THEN
            PERFORM empatia._fail('datatype_mismatch', format('time_column "%s" must be a number or a date', time_column));
        END IF;
        period := CASE WHEN numbered THEN format('floor(%I)::integer', time_column) ELSE format('(dense_rank() OVER (ORDER BY %I))::integer', time_column) END;
        ahead := CASE WHEN numbered THEN format('a.t + %s', target_lead) ELSE format('a.t + %s * %L::interval', target_lead, lead_step) END;
    END IF;
    IF target_lead = 0 THEN
        RETURN format('SELECT %s, a.target, a.k, a.p FROM (SELECT %s, (%s)::text AS target, %s AS k, %s AS p FROM %s) a',
            names, features, target, empatia._key_sql(key), period, relation);
    END IF;
    RETURN format('SELECT %1$s, b.target, a.k, a.p FROM (SELECT %2$s, %3$s AS k, %4$s AS p, %5$I AS t FROM %6$s) a JOIN (SELECT (%7$s)::text AS target, %3$s AS k, %5$I AS t FROM %6$s) b ON b.k = a.k AND b.t = %8$s',
        names, features, empatia._key_sql(key), period, time_column, relation, target, ahead);
END
$$;
COMMENT ON FUNCTION empatia._table_query(regclass, text[], text, text[], text, integer, interval) IS 'query of the rows to train on: with a lead, features of one time and the target of a later one of the same key';

CREATE FUNCTION empatia._check_key(relation regclass, key text[], time_column text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    twice bigint;
    example text;
BEGIN
    EXECUTE format('SELECT count(*), min(g.k) FROM (SELECT %s AS k FROM %s GROUP BY 1, %I HAVING count(*) > 1) g WHERE g.k IS NOT NULL', empatia._key_sql(key), relation, time_column)
        INTO twice, example;
    IF twice > 0 THEN
        PERFORM empatia._fail('cardinality_violation', format('expected one row per %s and %s, found several for %s of them, such as %s', array_to_string(key, ', '), time_column, twice, example),
            'Name all columns of the key, or make a view with one row each.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_key(regclass, text[], text) IS 'refuses a relation with several rows of one key and time, of which nobody could say which is the next';
