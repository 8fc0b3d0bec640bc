//! Reading rows: types, rights, visibility, memory, errors.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    use crate::error::{Error, Result};
    use crate::pg::column::ColumnType::{self, Bool, Bytea, Date, Float8, Int2, Int4, Int8, Text, Tid, Timestamptz};
    use crate::pg::column::Tid as Place;
    use crate::pg::read::{query, query_stable, query_writing};
    use crate::pg_tests::{bigint, text};

    #[pg_test]
    fn read_every_type_gives_its_values_and_nulls() {
        let sql = "SELECT true, -2::int2, -3, -4::int8, 0.1::float8, date '2000-03-01', \
                   timestamptz '2000-01-01 00:00:01+00', 'não'::varchar, '\\x00ff'::bytea \
                   UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";
        let columns = [Bool, Int2, Int4, Int8, Float8, Date, Timestamptz, Text, Bytea];
        let mut seen = 0;
        let rows = query(sql, &[], &columns, |row| {
            let null = seen == 1;
            seen += 1;
            assert_eq!(row.bool(0), (!null).then_some(true));
            assert_eq!(row.i16(1), (!null).then_some(-2));
            assert_eq!(row.i32(2), (!null).then_some(-3));
            assert_eq!(row.i64(3), (!null).then_some(-4));
            assert_eq!(row.f64(4), (!null).then_some(0.1));
            // 31 days of January and 29 of February
            assert_eq!(row.date(5), (!null).then_some(60));
            assert_eq!(row.timestamptz(6), (!null).then_some(1_000_000));
            assert_eq!(row.text(7)?, (!null).then_some("não"));
            assert_eq!(row.bytes(8), (!null).then_some(&[0, 255][..]));
            assert!((0..row.len()).all(|column| row.is_null(column) == null));
            Ok(())
        });
        assert_eq!((rows.unwrap(), seen), (2, 2));
    }

    #[pg_test]
    fn read_extreme_values_are_not_truncated() {
        let sql = "SELECT '-32768'::int2, '-2147483648'::int4, '-9223372036854775808'::int8, \
                   'NaN'::float8, 'infinity'::date, ''::text";
        query(sql, &[], &[Int2, Int4, Int8, Float8, Date, Text], |row| {
            assert_eq!(row.i16(0), Some(i16::MIN));
            assert_eq!(row.i32(1), Some(i32::MIN));
            assert_eq!(row.i64(2), Some(i64::MIN));
            assert!(row.f64(3).is_some_and(f64::is_nan));
            assert_eq!(row.date(4), Some(i32::MAX));
            assert_eq!(row.text(5)?, Some(""));
            Ok(())
        })
        .unwrap();
    }

    #[pg_test]
    fn read_places_are_those_that_the_server_shows() {
        Spi::run("CREATE TABLE read_places AS SELECT i FROM generate_series(1, 1000) i").unwrap();
        let mut rows = 0;
        query("SELECT ctid, ctid::text FROM read_places", &[], &[Tid, Text], |row| {
            rows += 1;
            assert_eq!(row.tid(0).map(|tid| tid.to_string()).as_deref(), row.text(1)?);
            Ok(())
        })
        .unwrap();
        assert_eq!(rows, 1000);
        // a block beyond 65 535
        query("SELECT '(70001,7)'::tid, NULL::tid", &[], &[Tid, Tid], |row| {
            assert_eq!(
                row.tid(0),
                Some(Place {
                    block: 70_001,
                    position: 7
                })
            );
            assert_eq!(row.tid(1), None);
            Ok(())
        })
        .unwrap();
    }

    #[pg_test]
    fn read_that_writes_does_not_see_what_it_wrote() {
        Spi::run("CREATE TABLE read_writing AS SELECT i FROM generate_series(1, 100) i").unwrap();
        // in parallel workers whatever it costs, if that were allowed
        let setting = match cfg!(any(feature = "pg14", feature = "pg15")) {
            true => "force_parallel_mode",
            false => "debug_parallel_query",
        };
        Spi::run(&format!("SET LOCAL {setting} = on")).unwrap();
        let rows = query_writing("SELECT i FROM read_writing", &[], &[Int4], |row| {
            Spi::run(&format!(
                "INSERT INTO read_writing VALUES ({})",
                row.i32(0).unwrap_or(0) + 100
            ))
            .map_err(|e| Error::internal(e.to_string()))
        });
        assert_eq!(rows.unwrap(), 100);
        assert_eq!(bigint("SELECT count(DISTINCT i) FROM read_writing").unwrap(), Some(200));
    }

    #[pg_test]
    fn read_parameters_arrive_typed_and_null() {
        let args = [7i64.into(), "it's".into(), Option::<f64>::None.into(), true.into()];
        query(
            "SELECT $1 + 1, $2 || '!', $3, $4",
            &args,
            &[Int8, Text, Float8, Bool],
            |row| {
                assert_eq!((row.i64(0), row.f64(2), row.bool(3)), (Some(8), None, Some(true)));
                assert_eq!(row.text(1)?, Some("it's!"));
                Ok(())
            },
        )
        .unwrap();
    }

    #[pg_test]
    fn read_toasted_text_is_whole() {
        Spi::run(
            "CREATE TABLE read_toasted (compressed text, external text);
             ALTER TABLE read_toasted ALTER external SET STORAGE EXTERNAL;
             INSERT INTO read_toasted SELECT repeat('é', 100000), repeat('z', 3000000)",
        )
        .unwrap();
        query("TABLE read_toasted", &[], &[Text, Text], |row| {
            let (compressed, external) = (row.text(0)?.unwrap(), row.text(1)?.unwrap());
            assert!(compressed.len() == 200_000 && compressed.chars().all(|c| c == 'é'));
            assert!(external.len() == 3_000_000 && external.bytes().all(|b| b == b'z'));
            Ok(())
        })
        .unwrap();
    }

    #[pg_test(error = "column \"n\" must be of type integer, not bigint")]
    fn read_other_type_than_declared_is_an_error() {
        query("SELECT 1 AS m, 2::int8 AS n", &[], &[Int4, Int4], |_| Ok(())).unwrap();
    }

    #[pg_test(error = "expected 1 columns, not 2")]
    fn read_other_number_of_columns_is_an_error() {
        query("SELECT 1, 2", &[], &[Int4], |_| Ok(())).unwrap();
    }

    #[pg_test]
    fn read_domain_is_read_as_its_base_type() {
        Spi::run("CREATE DOMAIN read_grade AS float8 CHECK (value >= 0)").unwrap();
        query("SELECT 4.5::read_grade", &[], &[Float8], |row| {
            assert_eq!(row.f64(0), Some(4.5));
            Ok(())
        })
        .unwrap();
    }

    #[pg_test]
    fn read_refuses_all_but_one_plain_select() {
        Spi::run("CREATE TABLE read_only_please (n int8)").unwrap();
        for sql in [
            "INSERT INTO read_only_please VALUES (1) RETURNING n",
            "WITH w AS (INSERT INTO read_only_please VALUES (1) RETURNING n) SELECT n FROM w",
            "SELECT n FROM read_only_please FOR UPDATE",
            "SHOW work_mem",
            "SELECT 1::int8; SELECT 2::int8",
            "",
        ] {
            assert!(query(sql, &[], &[Int8], |_| Ok(())).is_err(), "{sql}");
        }
        assert_eq!(bigint("SELECT count(*) FROM read_only_please").unwrap(), Some(0));
    }

    #[pg_test]
    fn read_error_of_the_callback_stops_and_is_returned() {
        let mut calls = 0;
        let error = query("SELECT generate_series(1, 1000)", &[], &[Int4], |row| {
            calls += 1;
            if row.i32(0) == Some(3) {
                return Err(Error::invalid_parameter("third", "absent", 3));
            }
            Ok(())
        })
        .unwrap_err();
        assert_eq!((calls, error.to_string().as_str()), (3, "third must be absent, not 3"));
        // the transaction is fine and SPI is closed
        assert_eq!(bigint("SELECT 5::int8").unwrap(), Some(5));
    }

    /// Fails in the middle of a query, in one of several ways.
    #[pg_extern]
    fn read_and_fail(how: &str) -> Result<i64, ErrorReport> {
        let rows = query("SELECT generate_series(1, 1000)", &[], &[Int4], |row| {
            if row.i32(0) == Some(3) {
                match how {
                    "error" => return Err(Error::not_ready("not ready")),
                    "panic" => panic!("on purpose"),
                    "postgres" => Spi::run("SELECT 1/0").unwrap(),
                    "nested" => drop(bigint("SELECT (1/0)::int8")?),
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(rows as i64)
    }

    #[pg_test]
    fn read_failure_in_the_callback_is_undone_by_a_subtransaction() {
        for (how, condition) in [
            ("error", "object_not_in_prerequisite_state"),
            ("panic", "internal_error"),
            ("postgres", "division_by_zero"),
            ("nested", "division_by_zero"),
        ] {
            Spi::run(&format!(
                "DO $$ BEGIN PERFORM tests.read_and_fail('{how}'); RAISE 'no error';
                 EXCEPTION WHEN {condition} THEN NULL; END $$"
            ))
            .unwrap();
        }
        assert_eq!(bigint("SELECT tests.read_and_fail('not')").unwrap(), Some(1000));
    }

    #[pg_test]
    fn read_honours_row_security() {
        Spi::run(
            "CREATE TABLE read_rows (n int8); INSERT INTO read_rows SELECT generate_series(1, 10);
             ALTER TABLE read_rows ENABLE ROW LEVEL SECURITY;
             CREATE POLICY small ON read_rows USING (n <= 4);
             CREATE ROLE read_rows_user; GRANT SELECT ON read_rows TO read_rows_user;
             SET LOCAL ROLE read_rows_user",
        )
        .unwrap();
        assert_eq!(query("TABLE read_rows", &[], &[Int8], |_| Ok(())).unwrap(), 4);
    }

    #[pg_test(error = "permission denied for table read_denied")]
    fn read_without_privilege_is_refused() {
        Spi::run("CREATE TABLE read_denied (n int8); CREATE ROLE read_denied_user; SET LOCAL ROLE read_denied_user")
            .unwrap();
        query("TABLE read_denied", &[], &[Int8], |_| Ok(())).unwrap();
    }

    #[pg_test]
    fn read_assigns_no_transaction_id() {
        let xid = "SELECT pg_current_xact_id_if_assigned()::text";
        assert_eq!(text(xid).unwrap(), None);
        assert!(bigint("SELECT count(*) FROM pg_class").unwrap() > Some(100));
        assert_eq!(text(xid).unwrap(), None);
    }

    /// Rows of `read_own` before and after it inserts one, with a new and with the caller's snapshot.
    #[pg_extern]
    fn read_around_a_write() -> Result<String, ErrorReport> {
        let count = |stable: bool| -> Result<u64> {
            let rows: &[ColumnType] = &[Int8];
            if stable {
                query_stable("TABLE read_own", &[], rows, |_| Ok(()))
            } else {
                query("TABLE read_own", &[], rows, |_| Ok(()))
            }
        };
        let before = count(false)?;
        Spi::run("INSERT INTO read_own VALUES (1)").unwrap();
        Ok(format!("{before} {} {}", count(false)?, count(true)?))
    }

    #[pg_test]
    fn read_sees_own_writes_unless_it_is_stable() {
        Spi::run("CREATE TABLE read_own (n int8)").unwrap();
        assert_eq!(
            text("SELECT tests.read_around_a_write()").unwrap().as_deref(),
            Some("0 1 0")
        );
    }

    #[pg_test]
    fn read_of_a_million_rows_does_not_grow() {
        // compressed values: each row allocates 10 kB, which would add up to 10 GB
        Spi::run("CREATE TABLE read_many AS SELECT n, repeat('x', 10000) AS t FROM generate_series(1, 10) n").unwrap();
        let used = "SELECT sum(total_bytes)::int8 FROM pg_backend_memory_contexts";
        let transaction = "SELECT sum(total_bytes)::int8 FROM pg_backend_memory_contexts \
                           WHERE name = 'TopTransactionContext'";
        let before = bigint(transaction).unwrap();
        let (mut rows, mut early, mut late) = (0, None, None);
        let delivered = query(
            "SELECT t, n::int8 FROM read_many, generate_series(1, 100000)",
            &[],
            &[Text, Int8],
            |row| {
                rows += 1;
                if rows == 1000 {
                    early = bigint(used)?;
                } else if rows == 999_000 {
                    late = bigint(used)?;
                }
                assert_eq!(row.text(0)?.map(str::len), Some(10_000));
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(delivered, 1_000_000);
        assert_eq!(bigint(transaction).unwrap(), before);
        let growth = late.unwrap() - early.unwrap();
        assert!(growth <= 65_536, "grew by {growth} bytes over 998 000 rows");
    }

    #[pg_test]
    fn read_by_parallel_workers_gives_the_same_sum() {
        Spi::run(
            "CREATE TABLE read_parallel AS SELECT n::int8 FROM generate_series(1, 100000) n; ANALYZE read_parallel;
             SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
             SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL parallel_leader_participation = off",
        )
        .unwrap();
        // without the leader's help the first row proves a worker, which then waits for room in its queue
        let workers = "SELECT count(*) FROM pg_stat_activity WHERE leader_pid = pg_backend_pid()";
        let (mut sum, mut at_work) = (0, None);
        query("SELECT n FROM read_parallel", &[], &[Int8], |row| {
            sum += row.i64(0).unwrap_or(0);
            if at_work.is_none() {
                at_work = bigint(workers)?;
            }
            Ok(())
        })
        .unwrap();
        assert!(at_work >= Some(1), "the plan must not be denied its workers");
        assert_eq!(sum, 100_000 * 100_001 / 2);
    }
}
