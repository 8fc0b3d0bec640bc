-- import_file(): a spreadsheet's or delimited file's rows into the table of a dataset, with a report of every cell that was changed or refused.

CREATE TYPE empatia.import_file_row AS (import_id bigint, file text, sheet text, years integer[], rows bigint, inserted bigint, updated bigint, unchanged bigint,
    rejected bigint, changed_cells bigint, unknown_headers text[], missing_columns text[], message text);
COMMENT ON TYPE empatia.import_file_row IS 'what import_file() did with a sheet; rows are those below the header that became rows of the dataset';

-- Rows of a sheet, or of one of its years, from pg_temp._import_row into the dataset: columns that the file does not have stay as they are.
CREATE FUNCTION empatia._merge_import(dataset text, definition jsonb, import_id bigint, file text, sheet text, part_year integer, columns text[],
    OUT inserted bigint, OUT updated bigint, OUT unchanged bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
#variable_conflict use_variable
DECLARE
    keys CONSTANT text[] := (SELECT array_agg(c.name) FROM empatia._dataset_columns(definition::text) c WHERE c.is_key);
    same text := (SELECT string_agg(format('d.%1$I = s.%1$I', k), ' AND ') FROM unnest(keys) k);
    others CONSTANT text[] := ARRAY(SELECT c FROM unnest(columns) c WHERE c <> ALL (keys));
    parts text[];
    seen bigint;
BEGIN
    IF (definition ->> 'yearly')::boolean THEN
        same := same || ' AND d.year = s.year';
    END IF;
    parts := ARRAY['table', quote_ident(dataset), 'same', same,
        'names', coalesce((SELECT string_agg(format(', %I', c), '') FROM unnest(columns) c), ''),
        'values', coalesce((SELECT string_agg(format(', s.%I', c), '') FROM unnest(columns) c), ''),
        'set', coalesce((SELECT string_agg(format(', %1$I = s.%1$I', c), '') FROM unnest(others) c), ''),
        'old', coalesce((SELECT string_agg(format(', d.%I', c), '') FROM unnest(others) c), ''),
        'new', coalesce((SELECT string_agg(format(', s.%I', c), '') FROM unnest(others) c), '')];
    -- the constant keeps a row of no columns a row
    EXECUTE empatia._render('UPDATE {dw}.{table} d SET import_id = $1, file = $2, sheet = s.sheet, "row" = s."row"{set}
            FROM pg_temp._import_row s WHERE s.sheet = $3 AND ($4 IS NULL OR s.year = $4) AND {same} AND ROW(0{old}) IS DISTINCT FROM ROW(0{new})', VARIADIC parts)
        USING import_id, file, sheet, part_year;
    GET DIAGNOSTICS updated = ROW_COUNT;
    EXECUTE empatia._render('INSERT INTO {dw}.{table} (import_id, file, sheet, "row", year{names})
            SELECT $1, $2, s.sheet, s."row", s.year{values} FROM pg_temp._import_row s
            WHERE s.sheet = $3 AND ($4 IS NULL OR s.year = $4) AND NOT EXISTS (SELECT FROM {dw}.{table} d WHERE {same})', VARIADIC parts)
        USING import_id, file, sheet, part_year;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    SELECT count(*) INTO seen FROM pg_temp._import_row s WHERE s.sheet = sheet AND (part_year IS NULL OR s.year = part_year);
    unchanged := seen - updated - inserted;
END
$$;
COMMENT ON FUNCTION empatia._merge_import(text, jsonb, bigint, text, text, integer, text[]) IS 'brings the rows of a dataset up to date with those read from a sheet; writes only what differs';

CREATE FUNCTION empatia._take_sheet(dataset text, definition jsonb, import_id bigint, file text, sheet jsonb) RETURNS empatia.import_file_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    part jsonb;
    merged record;
    done empatia.import_file_row;
BEGIN
    done := ROW(import_id, file, sheet ->> 'sheet', ARRAY(SELECT y::integer FROM jsonb_array_elements_text(sheet -> 'years') y), (sheet ->> 'rows')::bigint, 0, 0, 0,
        (sheet ->> 'rejected')::bigint, (sheet ->> 'changed_cells')::bigint, ARRAY(SELECT jsonb_array_elements_text(sheet -> 'unknown_headers')),
        ARRAY(SELECT jsonb_array_elements_text(sheet -> 'missing_columns')), NULL);
    FOR part IN SELECT p FROM jsonb_array_elements(sheet -> 'parts') p LOOP
        merged := empatia._merge_import(dataset, definition, import_id, file, done.sheet, (part ->> 'year')::integer,
            ARRAY(SELECT jsonb_array_elements_text(part -> 'columns')));
        done.inserted := done.inserted + merged.inserted;
        done.updated := done.updated + merged.updated;
        done.unchanged := done.unchanged + merged.unchanged;
    END LOOP;
    done.message := CASE WHEN done.inserted + done.updated = 0 THEN 'imported: nothing changed' ELSE 'imported' END
        || CASE WHEN done.rejected > 0 THEN format('; %s rows rejected, see import_reject', done.rejected) ELSE '' END;
    EXECUTE empatia._render('UPDATE {dw}.import i SET rows = coalesce(i.rows, 0) + $2, inserted = coalesce(i.inserted, 0) + $3, updated = coalesce(i.updated, 0) + $4,
            unchanged = coalesce(i.unchanged, 0) + $5, rejected = coalesce(i.rejected, 0) + $6, changed_cells = coalesce(i.changed_cells, 0) + $7 WHERE i.import_id = $1')
        USING import_id, done.rows, done.inserted, done.updated, done.unchanged, done.rejected, done.changed_cells;
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._take_sheet(text, jsonb, bigint, text, jsonb) IS 'takes a sheet''s rows over into the dataset and counts what that changed';

-- An import of the same content that was asked for in the same way, under the present definition, and whose rows can still be there.
CREATE FUNCTION empatia._known_import(dataset text, definition jsonb, hash bytea, file_name text, sheet text, year integer) RETURNS SETOF empatia.import_file_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT i.import_id, i.file, e.sheet, e.years, e.rows, 0::bigint, 0::bigint, e.rows, e.rejected, e.changed_cells, e.unknown_headers, e.missing_columns,
               format('imported already at %s: nothing changed', to_char(i.imported_at, 'YYYY-MM-DD HH24:MI'))
        FROM (SELECT * FROM {dw}.import p WHERE (p.dataset, p.sha256, p.definition) = ($1, $2, $3) AND p.file IS NOT DISTINCT FROM $4
                AND p.sheet IS NOT DISTINCT FROM $5 AND p.year IS NOT DISTINCT FROM $6 AND p.sheets IS NOT NULL AND NOT p.gone ORDER BY p.import_id DESC LIMIT 1) i
        CROSS JOIN LATERAL jsonb_to_recordset(i.sheets) AS e (sheet text, years integer[], rows bigint, rejected bigint, changed_cells bigint,
            unknown_headers text[], missing_columns text[]) $q$)
    USING dataset, hash, definition, file_name, sheet, year;
END
$$;
COMMENT ON FUNCTION empatia._known_import(text, jsonb, bytea, text, text, integer) IS 'what an earlier import of the same file said';

CREATE FUNCTION empatia.import_file(dataset text, file bytea, file_name text DEFAULT NULL, sheet text DEFAULT NULL, year integer DEFAULT NULL,
    max_rows integer DEFAULT 1048576, again boolean DEFAULT false)
RETURNS SETOF empatia.import_file_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
#variable_conflict use_variable
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
    definition CONSTANT jsonb := empatia._dataset_definition(dataset);
    hash CONSTANT bytea := empatia._file_hash(file);
    id bigint;
    outcome jsonb;
    one jsonb;
BEGIN
    IF file IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected the content of a file, found null');
    END IF;
    PERFORM empatia._ensure_dataset(dataset, definition);
    -- what was imported into a table that was dropped or emptied since is not there any more
    EXECUTE empatia._render('UPDATE {dw}.import i SET gone = true WHERE i.dataset = $1 AND i.rows > 0 AND NOT i.gone AND NOT EXISTS (SELECT FROM {dw}.{table})',
        'table', quote_ident(dataset)) USING dataset;
    IF NOT coalesce(again, false) THEN
        RETURN QUERY SELECT * FROM empatia._known_import(dataset, definition, hash, file_name, sheet, year);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    EXECUTE empatia._render('INSERT INTO {dw}.import (dataset, file, sha256, bytes, sheet, year, definition) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING import_id')
        INTO id USING dataset, file_name, hash, length(file), sheet, year, definition;
    DROP TABLE IF EXISTS pg_temp._import_row;
    EXECUTE empatia._render('CREATE TEMPORARY TABLE _import_row ON COMMIT DROP AS SELECT d.sheet, d."row", d.year{columns} FROM {dw}.{table} d WITH NO DATA',
        'table', quote_ident(dataset), 'columns', (SELECT string_agg(format(', d.%I', c.name), '') FROM empatia._dataset_columns(definition::text) c));
    outcome := empatia._import_cells(definition::text, file, file_name, sheet, year, coalesce(max_rows, 1048576), w.dw_schema::text, id);
    ANALYZE pg_temp._import_row;
    FOR one IN SELECT s FROM jsonb_array_elements(outcome -> 'sheets') s LOOP
        RETURN NEXT empatia._take_sheet(dataset, definition, id, file_name, one);
    END LOOP;
    EXECUTE empatia._render('UPDATE {dw}.import i SET format = $2, encoding = $3, delimiter = $4, sheets = $5 WHERE i.import_id = $1')
        USING id, outcome ->> 'format', outcome ->> 'encoding', outcome ->> 'delimiter', outcome -> 'sheets';
    DROP TABLE pg_temp._import_row;
    FOR one IN SELECT s FROM jsonb_array_elements(outcome -> 'skipped') s LOOP
        RETURN NEXT ROW(id, file_name, one #>> '{}', '{}', 0, 0, 0, 0, 0, 0, '{}', '{}', 'no row of it names the key: skipped')::empatia.import_file_row;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.import_file(text, bytea, text, text, integer, integer, boolean) IS
    'reads a file (XLSX, XLS, ODS or delimited text) given as its content into the table of a dataset; the same file twice changes nothing';

CREATE FUNCTION empatia.import_file(dataset text, path text, sheet text DEFAULT NULL, year integer DEFAULT NULL, max_rows integer DEFAULT 1048576, again boolean DEFAULT false)
RETURNS SETOF empatia.import_file_row
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM empatia.import_file(dataset, empatia._read_server_file(path), regexp_replace(path, '^.*/', ''), sheet, year, max_rows, again)
$$;
COMMENT ON FUNCTION empatia.import_file(text, text, text, integer, integer, boolean) IS
    'reads a file of the server into the table of a dataset; for members of pg_read_server_files';

CREATE TYPE empatia.import_folder_row AS (import_id bigint, file text, sheet text, years integer[], rows bigint, inserted bigint, updated bigint, unchanged bigint,
    rejected bigint, changed_cells bigint, unknown_headers text[], missing_columns text[], message text, error text);
COMMENT ON TYPE empatia.import_folder_row IS 'what import_folder() did with a sheet, or why a file was not imported';

CREATE FUNCTION empatia.import_folder(dataset text, path text, pattern text DEFAULT '*', year integer DEFAULT NULL, max_rows integer DEFAULT 1048576)
RETURNS SETOF empatia.import_folder_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    one record;
    done empatia.import_folder_row;
    hint text;
BEGIN
    PERFORM empatia._dataset_definition(dataset);
    IF path IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected the path of a folder, found null');
    END IF;
    FOR one IN SELECT f.name, f.path FROM empatia._list_server_files(path) f
               WHERE lower(f.name) LIKE replace(replace(replace(replace(lower(coalesce(pattern, '*')), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%') ORDER BY f.name
    LOOP
        -- a file that cannot be read leaves the others alone
        BEGIN
            FOR done IN SELECT i.*, NULL::text FROM empatia.import_file(dataset, one.path, NULL, year, max_rows) i LOOP
                RETURN NEXT done;
            END LOOP;
        EXCEPTION WHEN data_exception OR feature_not_supported OR data_corrupted OR program_limit_exceeded OR undefined_file OR insufficient_privilege OR out_of_memory THEN
            GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
            done := NULL;
            done.file := one.name;
            done.message := 'not imported: ' || coalesce(nullif(hint, ''), 'see error');
            done.error := SQLERRM;
            RETURN NEXT done;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.import_folder(text, text, text, integer, integer) IS
    'imports the files of a folder of the server whose names fit the pattern (* is anything), by name; a file that cannot be read is told and does not stop the others';
