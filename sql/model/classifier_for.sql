-- Which classifier a part of the cube is classified with.

CREATE FUNCTION empatia._classifier_for(level text, grain text, client_id integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT NULL::bigint $$;
COMMENT ON FUNCTION empatia._classifier_for(text, text, integer) IS 'version of the classifier deployed for a client at a level and grain; null where there is none';
