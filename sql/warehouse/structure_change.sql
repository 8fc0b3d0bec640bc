-- Marks that say "the structure changed": build_cube() compares units and members with the cube only where there is one. Triggers set them,
-- so that load(), another program and a statement by hand are noticed alike. Marks, triggers and their function belong to the warehouse:
-- they outlive the extension, as the tables do.

CREATE FUNCTION empatia._structure_change_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $marks$
CREATE TABLE {dw}.structure_change (
    mark_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id integer,
    relation name NOT NULL
);
CREATE INDEX ON {dw}.structure_change (client_id);
COMMENT ON TABLE {dw}.structure_change IS 'units, members or roles changed since the cube was built: build_cube() compares them with the cube and deletes the mark';
COMMENT ON COLUMN {dw}.structure_change.client_id IS 'null: every client, since TRUNCATE says nothing of the rows; stays until the table is truncated again';
COMMENT ON COLUMN {dw}.structure_change.relation IS 'table that changed';

-- Rights: whoever may write one of the tables sets marks, and needs no right to read or delete them.
-- A mark is a row of its own, whatever marks there are: one that is seen may be deleted by a build that does not see this change.
CREATE FUNCTION {dw}.mark_structure_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $mark$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {dw}.structure_change (client_id, relation) SELECT DISTINCT n.client_id, TG_TABLE_NAME FROM new_rows n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO {dw}.structure_change (client_id, relation) SELECT DISTINCT o.client_id, TG_TABLE_NAME FROM old_rows o;
    ELSIF TG_OP = 'UPDATE' THEN
        -- most updates are of columns that the structure does not have
        EXECUTE format('INSERT INTO {dw}.structure_change (client_id, relation)
            SELECT DISTINCT d.client_id, $1
            FROM ((SELECT %1$s FROM old_rows EXCEPT SELECT %1$s FROM new_rows) UNION ALL (SELECT %1$s FROM new_rows EXCEPT SELECT %1$s FROM old_rows)) d', TG_ARGV[0])
        USING TG_TABLE_NAME;
    ELSE
        -- the rows are gone and with them whose they were; what every client has seen is replaced, so that such marks do not pile up
        DELETE FROM {dw}.structure_change a USING (SELECT s.mark_id FROM {dw}.structure_change s WHERE s.client_id IS NULL AND s.relation = TG_TABLE_NAME FOR UPDATE SKIP LOCKED) b
        WHERE a.mark_id = b.mark_id;
        INSERT INTO {dw}.structure_change (relation) VALUES (TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$mark$;
REVOKE ALL ON FUNCTION {dw}.mark_structure_change() FROM PUBLIC;
COMMENT ON FUNCTION {dw}.mark_structure_change() IS 'marks the clients whose units, members or roles a statement changed';
$marks$ $ddl$;
COMMENT ON FUNCTION empatia._structure_change_ddl() IS 'DDL of the marks of changed structure, as a template';

-- What _units_sql() and _students_sql() read of the warehouse.
CREATE FUNCTION empatia._structure_columns() RETURNS TABLE (relation text, columns text, has_units boolean, has_members boolean)
LANGUAGE sql IMMUTABLE AS $$
    VALUES ('environment', 'client_id, environment_id, name, removed', true, true),
           ('course', 'client_id, course_id, environment_id, name, removed', true, true),
           ('space', 'client_id, space_id, course_id, name, removed', true, true),
           ('subject', 'client_id, subject_id, space_id, name, removed', true, false),
           ('lecture', 'client_id, lecture_id, subject_id, name, removed', true, false),
           ('student', 'client_id, user_id, removed', false, true),
           ('enrolment', 'client_id, space_id, user_id, role', false, true),
           ('environment_role', 'client_id, environment_id, user_id, role', false, true)
$$;
COMMENT ON FUNCTION empatia._structure_columns() IS 'tables and columns that the structure of the cube is made of, and whether they decide its units, its members or both';

-- ALWAYS: a session in the role replica changes rows, too.
CREATE FUNCTION empatia._watch_structure() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    watched record;
BEGIN
    FOR watched IN SELECT s.relation, s.columns, e.event, e.transition FROM empatia._structure_columns() s, (VALUES
            ('insert', 'REFERENCING NEW TABLE AS new_rows'), ('update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
            ('delete', 'REFERENCING OLD TABLE AS old_rows'), ('truncate', '')) e (event, transition) LOOP
        EXECUTE empatia._render(format('CREATE OR REPLACE TRIGGER structure_%1$s AFTER %1$s ON {dw}.%2$I %3$s FOR EACH STATEMENT EXECUTE FUNCTION {dw}.mark_structure_change(%4$L)',
                                       watched.event, watched.relation, watched.transition, watched.columns));
        EXECUTE empatia._render(format('ALTER TABLE {dw}.%I ENABLE ALWAYS TRIGGER structure_%s', watched.relation, watched.event));
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._watch_structure() IS 'creates the triggers that mark changes of units, members and roles';

-- A table whose trigger is missing, switched off, or was switched off in between (what ENABLE TRIGGER leaves is not ALWAYS) may have changed unnoticed.
CREATE FUNCTION empatia._unwatched() RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(s.relation ORDER BY s.relation)
    FROM empatia._structure_columns() s
    WHERE (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = to_regclass(empatia._render('{dw}.') || s.relation) AND t.tgenabled = 'A'
           AND t.tgname IN ('structure_insert', 'structure_update', 'structure_delete', 'structure_truncate')) < 4
$$;
COMMENT ON FUNCTION empatia._unwatched() IS 'tables whose changes nothing marks; null: none';
