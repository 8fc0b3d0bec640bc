-- Datasets: what the columns of spreadsheets are. Definitions are configuration; the rows are ordinary tables of the warehouse.

CREATE TABLE empatia.dataset (
    name text NOT NULL CHECK (name ~ '^[a-z_][a-z0-9_]{0,62}$'),
    shipped boolean NOT NULL DEFAULT false,
    definition jsonb NOT NULL,
    description text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, shipped)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.dataset', 'WHERE NOT shipped');
COMMENT ON TABLE empatia.dataset IS 'definitions of datasets: their columns, how these may be written, and what means that a value is missing';
COMMENT ON COLUMN empatia.dataset.shipped IS 'came with the extension; define_dataset() writes a row of its own, which goes before it';
COMMENT ON COLUMN empatia.dataset.definition IS 'columns, missing and yearly, as define_dataset() takes them';

-- Tables of imports: made by the first define_dataset() or import_file(), in the schema of the warehouse.
CREATE FUNCTION empatia._import_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {dw}.import (
    import_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    file text,
    sha256 bytea NOT NULL,
    bytes bigint NOT NULL,
    sheet text,
    year integer,
    definition jsonb NOT NULL,
    format text,
    encoding text,
    delimiter text,
    rows bigint,
    inserted bigint,
    updated bigint,
    unchanged bigint,
    rejected bigint,
    changed_cells bigint,
    sheets jsonb,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    imported_by name NOT NULL DEFAULT CURRENT_USER,
    gone boolean NOT NULL DEFAULT false
);
CREATE INDEX ON {dw}.import (dataset, sha256);
COMMENT ON TABLE {dw}.import IS 'files that were imported; sheet and year are those that were asked for';
COMMENT ON COLUMN {dw}.import.sha256 IS 'of the file as it was given';
COMMENT ON COLUMN {dw}.import.sheets IS 'one object per sheet: years, rows, unknown headers, missing columns';
COMMENT ON COLUMN {dw}.import.gone IS 'the table of its rows was dropped or emptied since: the same file is imported again';
CREATE TABLE {dw}.import_report (
    import_id bigint NOT NULL REFERENCES {dw}.import ON DELETE CASCADE,
    file text,
    sheet text,
    "row" integer NOT NULL,
    "column" text,
    header text,
    raw text,
    result text,
    rule text NOT NULL
);
CREATE INDEX ON {dw}.import_report (import_id);
COMMENT ON TABLE {dw}.import_report IS 'every cell that an import changed or refused, and what it made of headers';
COMMENT ON COLUMN {dw}.import_report."row" IS 'in the file, counted from 1';
COMMENT ON COLUMN {dw}.import_report."column" IS 'of the dataset; null: the header means none';
COMMENT ON COLUMN {dw}.import_report.raw IS 'what the file says, at most 200 characters';
COMMENT ON COLUMN {dw}.import_report.result IS 'what was stored; null: nothing';
CREATE TABLE {dw}.import_reject (
    import_id bigint NOT NULL REFERENCES {dw}.import ON DELETE CASCADE,
    file text,
    sheet text,
    "row" integer NOT NULL,
    rule text NOT NULL,
    content text NOT NULL
);
CREATE INDEX ON {dw}.import_reject (import_id);
COMMENT ON TABLE {dw}.import_reject IS 'rows of files that were not imported, with the reason';
COMMENT ON COLUMN {dw}.import_reject.content IS 'the row as a JSON object of header and text';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._import_ddl() IS 'DDL of the tables about imports, as a template';

CREATE FUNCTION empatia._dataset_definition(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT text := name;
    found_definition jsonb;
    known text;
BEGIN
    SELECT definition INTO found_definition FROM empatia.dataset d WHERE d.name = wanted ORDER BY shipped LIMIT 1;
    IF found_definition IS NULL THEN
        SELECT string_agg(DISTINCT d.name, ', ') INTO known FROM empatia.dataset d;
        PERFORM empatia._fail('undefined_object', format('dataset %s does not exist', coalesce('"' || wanted || '"', 'null')),
            coalesce('The datasets are ' || known || '; define_dataset() makes one.', 'Define it with empatia.define_dataset(name, columns).'));
    END IF;
    RETURN found_definition;
END
$$;
COMMENT ON FUNCTION empatia._dataset_definition(text) IS 'definition of a dataset, or an error that names the datasets';

-- The table of a dataset as its definition wants it. Columns are added, never dropped: they hold rows.
CREATE FUNCTION empatia._ensure_dataset(name text, definition jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    present regclass;
    wanted record;
    found text;
    keys text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('empatia.import', 0));
    IF to_regclass(empatia._render('{dw}.import')) IS NULL THEN
        EXECUTE empatia._render(empatia._import_ddl());
    ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(empatia._render('{dw}.import')) AND a.attname = 'gone' AND NOT a.attisdropped) THEN
        EXECUTE empatia._render('ALTER TABLE {dw}.import ADD COLUMN gone boolean NOT NULL DEFAULT false');
    END IF;
    present := to_regclass(empatia._render('{dw}.{name}', 'name', quote_ident(name)));
    SELECT string_agg(format('%I', c.name), ', ') INTO keys FROM empatia._dataset_columns(definition::text) c WHERE c.is_key;
    IF (definition ->> 'yearly')::boolean THEN
        keys := keys || ', year';
    END IF;
    IF present IS NULL THEN
        EXECUTE empatia._render('CREATE TABLE {dw}.{name} (import_id bigint NOT NULL, file text, sheet text, "row" integer NOT NULL, year integer, {columns}, UNIQUE ({keys}))',
            'name', quote_ident(name), 'keys', keys, 'columns',
            (SELECT string_agg(format('%I %s%s', c.name, c.sql_type, CASE WHEN c.is_key THEN ' NOT NULL' ELSE '' END), ', ') FROM empatia._dataset_columns(definition::text) c));
        EXECUTE empatia._render('COMMENT ON TABLE {dw}.{name} IS {comment}', 'name', quote_ident(name), 'comment', quote_literal('rows of the dataset ' || name || ', written by import_file()'));
        present := to_regclass(empatia._render('{dw}.{name}', 'name', quote_ident(name)));
    ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = present AND a.attname = 'import_id' AND NOT a.attisdropped)
          OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = present AND a.attname = 'row' AND NOT a.attisdropped) THEN
        PERFORM empatia._fail('duplicate_table', format('%s exists already and holds something else', present), 'Give the dataset another name.');
    ELSE
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY k.i) INTO found
        FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY k (attnum, i)
        JOIN pg_attribute a ON (a.attrelid, a.attnum) = (x.indrelid, k.attnum)
        WHERE x.indrelid = present AND x.indisunique GROUP BY x.indexrelid ORDER BY x.indexrelid LIMIT 1;
        IF found IS DISTINCT FROM keys THEN
            PERFORM empatia._fail('object_not_in_prerequisite_state', format('the key of dataset "%s" is %s, found %s', name, coalesce(found, 'none'), keys),
                'Rows are stored by that key: define another dataset, or drop the table ' || present::text || '.');
        END IF;
    END IF;
    FOR wanted IN SELECT c.name, c.sql_type, c.description, format_type(a.atttypid, a.atttypmod) AS stored
                  FROM empatia._dataset_columns(definition::text) c LEFT JOIN pg_attribute a ON a.attrelid = present AND a.attname = c.name AND NOT a.attisdropped
    LOOP
        IF wanted.stored IS NULL THEN
            EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', present, wanted.name, wanted.sql_type);
        ELSIF wanted.stored <> wanted.sql_type THEN
            PERFORM empatia._fail('datatype_mismatch', format('column "%s" of %s is of type %s, found %s in the definition', wanted.name, present, wanted.stored, wanted.sql_type),
                format('Give the column another name, or change it with ALTER TABLE %s.', present));
        END IF;
        IF wanted.description IS NOT NULL THEN
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', present, wanted.name, wanted.description);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._ensure_dataset(text, jsonb) IS 'makes the table of a dataset and those about imports, and adds columns that the definition has gained';

CREATE TYPE empatia.define_dataset_row AS (dataset text, relation text, columns integer, message text);
COMMENT ON TYPE empatia.define_dataset_row IS 'a dataset as define_dataset() left it, and the table of its rows';

CREATE FUNCTION empatia.define_dataset(name text, columns jsonb, description text DEFAULT NULL, missing text[] DEFAULT '{}', yearly boolean DEFAULT true)
RETURNS empatia.define_dataset_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    definition CONSTANT jsonb := jsonb_build_object('columns', coalesce(columns, '[]'), 'missing', to_jsonb(coalesce(missing, '{}')), 'yearly', coalesce(yearly, true));
    before jsonb;
    done empatia.define_dataset_row;
BEGIN
    IF name IS NULL OR name !~ '^[a-z_][a-z0-9_]{0,62}$' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected a name of lower case letters, digits and underscores, found %s', coalesce('"' || name || '"', 'null')));
    END IF;
    IF jsonb_typeof(definition -> 'columns') <> 'array' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected a list of columns, found %s', jsonb_typeof(definition -> 'columns')),
            'For example: [{"name": "ra", "type": "text", "role": "key"}, {"name": "age", "type": "integer", "min": 4, "max": 99, "aliases": ["idade"]}]');
    END IF;
    PERFORM empatia._ensure_dataset(name, definition);
    SELECT d.definition INTO before FROM empatia.dataset d WHERE d.name = name AND NOT d.shipped;
    INSERT INTO empatia.dataset AS d (name, definition, description) VALUES (name, definition, description)
    ON CONFLICT ON CONSTRAINT dataset_pkey DO UPDATE SET definition = excluded.definition, description = excluded.description, changed_at = excluded.changed_at
    WHERE (d.definition, d.description) IS DISTINCT FROM (excluded.definition, excluded.description);
    done.dataset := name;
    done.relation := empatia._render('{dw}.{name}', 'name', quote_ident(name));
    SELECT count(*) INTO done.columns FROM empatia._dataset_columns(definition::text);
    done.message := CASE WHEN before IS NULL THEN 'defined: next, SELECT * FROM empatia.import_file(dataset, file)'
                         WHEN before = definition THEN 'defined already, nothing changed' ELSE 'definition changed: files imported before are not read again by themselves' END;
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia.define_dataset(text, jsonb, text, text[], boolean) IS 'says what the columns of a dataset are and how files may write them, and makes its table; again: changes the definition';
