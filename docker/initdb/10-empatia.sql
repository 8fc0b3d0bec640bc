-- Run once, by the image's entry point, in POSTGRES_DB of a new volume.
CREATE EXTENSION IF NOT EXISTS empatia;
-- pg_cron lives in one database, cron.database_name, and only where it is preloaded (compose.yaml does both).
DO $$
BEGIN
  IF current_setting('shared_preload_libraries') ~ '\mpg_cron\M'
     AND current_setting('cron.database_name', true) = current_database() THEN
    CREATE EXTENSION IF NOT EXISTS pg_cron;
  END IF;
END
$$;
