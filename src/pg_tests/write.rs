//! Writing rows: routing, constraints, rights, encodings, errors and what they leave behind.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    use crate::error::{Error, Result};
    use crate::pg::column::ColumnType::{Bool, Bytea, Date, Float8, Int2, Int4, Int8, Text, Timestamptz};
    use crate::pg::read::query;
    use crate::pg::write::{copy_rows, running_copies, Relation};
    use crate::pg_tests::{bigint, text};

    fn public(table: &str) -> Relation<'_> {
        Relation::Named {
            schema: "public",
            table,
        }
    }

    /// Writes `from..=upto` into the column n of a table of the schema public.
    fn write_numbers(table: &str, from: i64, upto: i64) -> Result<u64> {
        let mut next = from;
        copy_rows(public(table), &[("n", Int8)], |row| {
            if next > upto {
                return Ok(false);
            }
            row.i64(next);
            next += 1;
            Ok(true)
        })
    }

    #[pg_extern]
    fn copy_numbers(table: &str, from: i64, upto: i64) -> Result<i64, ErrorReport> {
        Ok(write_numbers(table, from, upto)? as i64)
    }

    #[pg_extern]
    fn copies_running() -> i64 {
        running_copies() as i64
    }

    #[pg_test]
    fn write_every_type_comes_back() {
        Spi::run(
            "CREATE TABLE public.write_types (a bool, b int2, c int4, d int8, e float8, f date, g timestamptz,
             h text, i bytea, j varchar(5), k char(5))",
        )
        .unwrap();
        let columns = [
            ("a", Bool),
            ("b", Int2),
            ("c", Int4),
            ("d", Int8),
            ("e", Float8),
            ("f", Date),
            ("g", Timestamptz),
            ("h", Text),
            ("i", Bytea),
            ("j", Text),
            ("k", Text),
        ];
        let mut written = 0;
        let stored = copy_rows(public("write_types"), &columns, |row| {
            let value = written == 0;
            row.bool(value.then_some(true));
            row.i16(value.then_some(-2));
            row.i32(value.then_some(i32::MIN));
            row.i64(value.then_some(i64::MIN));
            row.f64(value.then_some(0.1));
            row.date(value.then_some(60));
            row.timestamptz(value.then_some(1_000_000));
            row.text(value.then_some("não"));
            row.bytes(value.then_some(&[0, 255][..]));
            row.text(value.then_some("ab"));
            row.text(value.then_some("ab"));
            written += 1;
            Ok(written <= 2)
        });
        assert_eq!(stored.unwrap(), 2);
        let found = text(
            "SELECT string_agg(t::text, ' ' ORDER BY a) FROM (SELECT a, b, c, d, e, f, g AT TIME ZONE 'UTC' AS g,
             h, i, j, k FROM public.write_types) t",
        );
        assert_eq!(
            found.unwrap().as_deref(),
            Some(
                "(t,-2,-2147483648,-9223372036854775808,0.1,2000-03-01,\"2000-01-01 00:00:01\",não,\"\\\\x00ff\",ab,\
                 \"ab   \") (,,,,,,,,,,)"
            )
        );
    }

    #[pg_test]
    fn write_routes_to_partitions_and_keeps_indexes() {
        Spi::run(
            "CREATE TABLE public.write_parts (n int8 PRIMARY KEY) PARTITION BY RANGE (n);
             CREATE TABLE public.write_parts_a PARTITION OF public.write_parts FOR VALUES FROM (0) TO (1000);
             CREATE TABLE public.write_parts_b PARTITION OF public.write_parts FOR VALUES FROM (1000) TO (9999)",
        )
        .unwrap();
        assert_eq!(write_numbers("write_parts", 1, 1500).unwrap(), 1500);
        let count = |sql: &str| bigint(sql).unwrap();
        assert_eq!(count("SELECT count(*) FROM public.write_parts_a"), Some(999));
        assert_eq!(count("SELECT count(*) FROM public.write_parts_b"), Some(501));
        Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").unwrap();
        assert_eq!(count("SELECT count(*) FROM public.write_parts WHERE n = 1200"), Some(1));
    }

    #[pg_test]
    fn write_applies_defaults_generated_columns_and_triggers() {
        Spi::run(
            "CREATE TABLE public.write_more (n int8, d text DEFAULT 'padrão', g int8 GENERATED ALWAYS AS (n * 2) STORED);
             CREATE FUNCTION public.write_more_f() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN IF new.n = 2 THEN RETURN NULL; END IF; new.n := new.n + 100; RETURN new; END';
             CREATE TRIGGER t BEFORE INSERT ON public.write_more FOR EACH ROW EXECUTE FUNCTION public.write_more_f()",
        )
        .unwrap();
        assert_eq!(
            write_numbers("write_more", 1, 3).unwrap(),
            2,
            "rows stored, not rows made"
        );
        assert_eq!(
            text("SELECT string_agg(w::text, ' ' ORDER BY n) FROM public.write_more w")
                .unwrap()
                .as_deref(),
            Some("(101,padrão,202) (103,padrão,206)")
        );
    }

    #[pg_test]
    fn write_inside_a_write_keeps_the_rows_apart() {
        Spi::run(
            "CREATE TABLE public.write_outer (n int8); CREATE TABLE public.write_inner (n int8);
             CREATE FUNCTION public.write_outer_f() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN PERFORM tests.copy_numbers(''write_inner'', new.n * 10, new.n * 10 + 1); RETURN new; END';
             CREATE TRIGGER t BEFORE INSERT ON public.write_outer FOR EACH ROW EXECUTE FUNCTION public.write_outer_f()",
        )
        .unwrap();
        // enough rows for several chunks, so that the outer copy asks for more after inner ones
        assert_eq!(write_numbers("write_outer", 1, 20_000).unwrap(), 20_000);
        assert_eq!(
            text("SELECT count(*) || ' ' || sum(n) FROM public.write_outer")
                .unwrap()
                .as_deref(),
            Some("20000 200010000")
        );
        // 2 * 10 * 200 010 000 + 20 000
        assert_eq!(
            text("SELECT count(*) || ' ' || sum(n) FROM public.write_inner")
                .unwrap()
                .as_deref(),
            Some("40000 4000220000")
        );
        assert_eq!(running_copies(), 0);
    }

    #[pg_test]
    fn write_duplicate_key_is_undone_and_leaves_nothing_behind() {
        Spi::run(
            "CREATE TABLE public.write_pk (n int8 PRIMARY KEY); INSERT INTO public.write_pk VALUES (70000);
             DO $$ BEGIN PERFORM tests.copy_numbers('write_pk', 1, 100000); RAISE 'no error';
             EXCEPTION WHEN unique_violation THEN
               IF tests.copies_running() <> 0 THEN RAISE 'a copy is left on the stack'; END IF;
             END $$",
        )
        .unwrap();
        assert_eq!(bigint("SELECT count(*) FROM public.write_pk").unwrap(), Some(1));
        assert_eq!(write_numbers("write_pk", 1, 10).unwrap(), 10);
    }

    /// Fails in the middle of a copy, in one of several ways.
    #[pg_extern]
    fn copy_and_fail(how: &str) -> Result<i64, ErrorReport> {
        let mut next = 0;
        let columns = [("n", Int8), ("t", Text)];
        let stored = copy_rows(public("write_fails"), &columns, |row| {
            next += 1;
            row.i64(next);
            if next == 9000 {
                match how {
                    "error" => return Err(Error::not_ready("not ready")),
                    "panic" => panic!("on purpose"),
                    "postgres" => Spi::run("SELECT 1/0").unwrap(),
                    "short" => return Ok(true),
                    "long" => row.text("t"),
                    "type" => {
                        row.f64(1.0);
                        return Ok(true);
                    }
                    _ => {}
                }
            }
            row.text("t");
            Ok(next < 10_000)
        })?;
        Ok(stored as i64)
    }

    #[pg_test]
    fn write_failure_of_the_producer_is_undone_whatever_it_is() {
        Spi::run("CREATE TABLE public.write_fails (n int8, t text)").unwrap();
        for (how, condition, message) in [
            ("error", "object_not_in_prerequisite_state", "not ready"),
            ("panic", "internal_error", "on purpose"),
            ("postgres", "division_by_zero", "division by zero"),
            ("short", "internal_error", "expected 2 values in a row, not 1"),
            ("long", "internal_error", "expected 2 values in a row, not 3 or more"),
            (
                "type",
                "internal_error",
                "value 2 of a row must be of type text, not double precision",
            ),
        ] {
            Spi::run(&format!(
                "DO $$ BEGIN PERFORM tests.copy_and_fail('{how}'); RAISE 'no error in {how}';
                 EXCEPTION WHEN {condition} THEN
                   IF sqlerrm <> '{message}' OR tests.copies_running() <> 0 THEN RAISE 'found %', sqlerrm; END IF;
                 END $$"
            ))
            .unwrap();
            assert_eq!(bigint("SELECT count(*) FROM public.write_fails").unwrap(), Some(0));
        }
        assert_eq!(bigint("SELECT tests.copy_and_fail('not')").unwrap(), Some(9999));
    }

    #[pg_test(error = "permission denied for table write_denied")]
    fn write_without_privilege_is_refused() {
        Spi::run(
            "CREATE TABLE public.write_denied (n int8); CREATE ROLE write_denied_user;
             GRANT SELECT ON public.write_denied TO write_denied_user; SET LOCAL ROLE write_denied_user",
        )
        .unwrap();
        write_numbers("write_denied", 1, 1).unwrap();
    }

    #[pg_test]
    fn write_with_privilege_on_the_column_alone_is_enough() {
        Spi::run(
            "CREATE TABLE public.write_column (n int8, secret text); CREATE ROLE write_column_user;
             GRANT INSERT (n) ON public.write_column TO write_column_user; SET LOCAL ROLE write_column_user",
        )
        .unwrap();
        assert_eq!(write_numbers("write_column", 1, 3).unwrap(), 3);
    }

    #[pg_test]
    fn write_under_row_security_is_refused_with_a_remedy() {
        Spi::run(
            "CREATE TABLE public.write_rls (n int8); ALTER TABLE public.write_rls ENABLE ROW LEVEL SECURITY;
             CREATE POLICY all_rows ON public.write_rls USING (true);
             CREATE ROLE write_rls_user; GRANT ALL ON public.write_rls TO write_rls_user",
        )
        .unwrap();
        assert_eq!(write_numbers("write_rls", 1, 2).unwrap(), 2, "not for a superuser");
        Spi::run("SET LOCAL ROLE write_rls_user").unwrap();
        let error = write_numbers("write_rls", 1, 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write to \"write_rls\": row-level security applies to the current user"
        );
        assert!(error.report().hint().unwrap().contains("BYPASSRLS"));
        assert!(error
            .report()
            .to_string()
            .starts_with(&PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED.to_string()));
    }

    #[pg_test]
    fn write_other_type_than_declared_is_an_error() {
        Spi::run("CREATE TABLE public.write_mismatch (n int4)").unwrap();
        assert_eq!(
            write_numbers("write_mismatch", 1, 1).unwrap_err().to_string(),
            "column \"n\" must be of type bigint, not integer"
        );
    }

    #[pg_test(error = "column \"m\" of relation \"write_unknown\" does not exist")]
    fn write_unknown_column_is_an_error() {
        Spi::run("CREATE TABLE public.write_unknown (n int4)").unwrap();
        copy_rows(public("write_unknown"), &[("m", Int4)], |_| Ok(false)).unwrap();
    }

    #[pg_test(error = "cannot execute COPY FROM in a read-only transaction")]
    fn write_in_a_read_only_transaction_is_refused() {
        Spi::run("CREATE TABLE public.write_ro (n int8); SET LOCAL transaction_read_only = on").unwrap();
        write_numbers("write_ro", 1, 1).unwrap();
    }

    #[pg_test]
    fn write_text_is_utf8_whatever_the_client_speaks() {
        Spi::run("CREATE TABLE public.write_latin (t text); SET client_encoding = 'LATIN1'").unwrap();
        let mut labels = ["não interagem", "desempenho crítico", "日本"].into_iter();
        copy_rows(public("write_latin"), &[("t", Text)], |row| {
            let label = labels.next();
            row.text(label);
            Ok(label.is_some())
        })
        .unwrap();
        let mut found = Vec::new();
        query("TABLE public.write_latin", &[], &[Text], |row| {
            found.push(row.text(0)?.unwrap_or("").to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["não interagem", "desempenho crítico", "日本"]);
        let setting = text("SELECT current_setting('client_encoding')").unwrap();
        assert_eq!(setting.as_deref(), Some("LATIN1"));
        Spi::run("RESET client_encoding").unwrap();
    }

    #[pg_test]
    fn write_no_rows_and_large_rows() {
        Spi::run("CREATE TABLE public.write_large (t text)").unwrap();
        let columns = [("t", Text)];
        assert_eq!(copy_rows(public("write_large"), &columns, |_| Ok(false)).unwrap(), 0);
        let large = "ç".repeat(16 << 20);
        let mut left = 3;
        copy_rows(public("write_large"), &columns, |row| {
            row.text(large.as_str());
            left -= 1;
            Ok(left > 0)
        })
        .unwrap();
        assert_eq!(
            text("SELECT string_agg(octet_length(t)::text, ' ') FROM public.write_large")
                .unwrap()
                .as_deref(),
            Some("33554432 33554432")
        );
    }

    #[pg_test]
    fn write_of_a_million_rows_does_not_grow_and_is_seen_at_once() {
        Spi::run("CREATE TABLE public.write_many (n int8)").unwrap();
        let used = "SELECT sum(total_bytes)::int8 FROM pg_backend_memory_contexts \
                    WHERE name IN ('TopTransactionContext', 'empatia copy', 'COPY')";
        bigint(used).unwrap();
        let before = bigint(used).unwrap();
        assert_eq!(write_numbers("write_many", 1, 1_000_000).unwrap(), 1_000_000);
        assert_eq!(
            bigint("SELECT sum(n)::int8 FROM public.write_many").unwrap(),
            Some(500_000_500_000)
        );
        assert_eq!(bigint(used).unwrap(), before);
    }

    #[pg_test]
    fn write_by_oid() {
        Spi::run("CREATE TABLE public.write_oid (n int8)").unwrap();
        let oid = Spi::get_one::<pg_sys::Oid>("SELECT 'public.write_oid'::regclass::oid").unwrap();
        let mut left = 2;
        let stored = copy_rows(Relation::Oid(oid.unwrap()), &[("n", Int8)], |row| {
            row.i64(None);
            left -= 1;
            Ok(left >= 0)
        });
        assert_eq!(stored.unwrap(), 2);
    }
}
