-- The extension installs, into its own schema only, and says which version it is.
CREATE EXTENSION empatia;
SELECT empatia.version();
SELECT extversion = empatia.version() AS library_and_objects_agree FROM pg_extension WHERE extname = 'empatia';
-- DETAIL and HINT are part of what is compared
ALTER EXTENSION empatia SET SCHEMA public;
SELECT empatia.version(1);
