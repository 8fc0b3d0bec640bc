//! The library, the control file and the SQL objects are of one release.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    /// Guards against a library and SQL objects of different releases being shipped together: the loaded
    /// library, cargo's version and the control file's `default_version` must be one number.
    #[pg_test]
    fn version_of_library_control_file_and_objects_agree() -> Result<(), pgrx::spi::Error> {
        let one = |query: &str| Spi::get_one::<String>(query);
        assert_eq!(
            one("SELECT empatia.version()")?.as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(
            one("SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'empatia'")?.as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(
            one("SELECT extversion::text FROM pg_catalog.pg_extension WHERE extname = 'empatia'")?.as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        Ok(())
    }
}
