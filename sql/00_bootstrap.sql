-- Roles are cluster-wide: created once, never dropped with the extension, because other databases may use them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'empatia_reader') THEN
        CREATE ROLE empatia_reader NOLOGIN;
        COMMENT ON ROLE empatia_reader IS 'reads the configuration, registry and run log of Empatia';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'empatia_operator') THEN
        CREATE ROLE empatia_operator NOLOGIN IN ROLE empatia_reader;
        COMMENT ON ROLE empatia_operator IS 'configures Empatia, loads, builds, trains and classifies';
    END IF;
EXCEPTION
    -- another database of the cluster may be running the same script
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

COMMENT ON SCHEMA empatia IS 'Empatia: engagement cube, segments and models for learning platforms';
