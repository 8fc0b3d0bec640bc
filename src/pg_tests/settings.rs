//! The settings and their bounds.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::guc;

    #[pg_test]
    fn settings_defaults_are_one_gigabyte_and_every_core() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(guc::memory_limit(), 1 << 30);
        assert_eq!(guc::threads(), cores.min(256));
    }

    #[pg_test]
    fn settings_values_are_read_in_bytes_and_capped_at_the_cores() {
        Spi::run("SET LOCAL empatia.memory_limit = '32MB'; SET LOCAL empatia.threads = 1").unwrap();
        assert_eq!((guc::memory_limit(), guc::threads()), (32 << 20, 1));
        Spi::run("SET LOCAL empatia.memory_limit = '2047GB'; SET LOCAL empatia.threads = 256").unwrap();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!((guc::memory_limit(), guc::threads()), (2047 << 30, cores.min(256)));
    }

    #[pg_test]
    fn settings_memory_below_sixteen_megabytes_is_refused() {
        Spi::run(
            "DO $$ BEGIN
                 SET LOCAL empatia.memory_limit = '15MB';
                 RAISE 'it was accepted';
             EXCEPTION WHEN invalid_parameter_value THEN
                 ASSERT SQLERRM LIKE '15360 kB is outside the valid range for parameter \"empatia.memory_limit\" (16384%', SQLERRM;
             END $$",
        )
        .unwrap();
    }

    #[pg_test(error = "permission denied to set parameter \"empatia.memory_limit\"")]
    fn settings_memory_is_not_for_ordinary_users() {
        Spi::run("CREATE ROLE empatia_settings_user; SET LOCAL ROLE empatia_settings_user; SET empatia.threads = 2")
            .unwrap();
        Spi::run("SET LOCAL empatia.memory_limit = '100GB'").unwrap();
    }

    #[pg_test(error = "invalid configuration parameter name \"empatia.memory_limt\"")]
    fn settings_misspelt_name_is_refused() {
        Spi::run("SET LOCAL empatia.memory_limt = '1GB'").unwrap();
    }
}
