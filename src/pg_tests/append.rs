//! Appending pages to an empty table: what is refused, and that rows and indexes are right.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    use crate::error::{Error, Result};
    use crate::pg::append::{append_rows, lock_empty, Indexes};
    use crate::pg::column::ColumnType::{Date, Float8, Int4, Int8, Text};
    use crate::pg::row_writer::RowWriter;
    use crate::pg::write::Relation;
    use crate::pg_tests::bigint;

    fn public(table: &str) -> Relation<'_> {
        Relation::Named {
            schema: "public",
            table,
        }
    }

    fn number(sql: &str) -> i64 {
        bigint(sql).unwrap().unwrap()
    }

    /// Appends `rows` rows (i, i * 3, text by the thousand, i / 8, day i) and indexes them.
    fn append(table: &str, rows: i32) -> Result<u64> {
        let (mut next, long) = (0, "long ".repeat(40));
        let columns = [("a", Int4), ("b", Int8), ("c", Text), ("d", Float8), ("e", Date)];
        let mut indexes = Indexes::default();
        let stored = append_rows(public(table), &columns, &mut indexes, |row| {
            if next == rows {
                return Ok(false);
            }
            row.i32(next);
            row.i64(i64::from(next) * -3_000_000_000);
            row.text(["", "short", &long][next as usize / 1000 % 3]);
            row.f64(f64::from(next) / 8.0);
            row.date(next);
            next += 1;
            Ok(true)
        })?;
        indexes.finish(public(table))?;
        Ok(stored)
    }

    #[pg_extern]
    fn append_twice(table: &str) -> Result<i64, ErrorReport> {
        if !lock_empty(public(table))? {
            return Err(Error::internal("expected an empty table").into());
        }
        append(table, 10)?;
        append(table, 10)?;
        Ok(0)
    }

    fn create(table: &str) {
        Spi::run(&format!(
            "CREATE TABLE public.{table} (a int, b bigint, c text, d float8, e date, PRIMARY KEY (a))"
        ))
        .unwrap();
    }

    #[pg_test]
    fn append_rows_are_those_of_an_insert() {
        create("append_plain");
        assert!(lock_empty(public("append_plain")).unwrap());
        assert_eq!(append("append_plain", 4500).unwrap(), 4500);
        let expected = "SELECT i, i * -3000000000::bigint, (ARRAY['', 'short', repeat('long ', 40)])[i / 1000 % 3 + 1], i / 8.0::float8, date '2000-01-01' + i
                        FROM generate_series(0, 4499) i";
        assert_eq!(
            number(&format!(
                "SELECT count(*) FROM (({expected}) EXCEPT TABLE public.append_plain) x"
            )),
            0
        );
        Spi::run("SET LOCAL enable_seqscan = off").unwrap();
        assert_eq!(
            number("SELECT b FROM public.append_plain WHERE a = 4499"),
            4499 * -3_000_000_000
        );
        assert_eq!(number("SELECT count(*) FROM public.append_plain WHERE a >= 0"), 4500);
        // later statements treat the rows as any others
        Spi::run("UPDATE public.append_plain SET b = 1 WHERE a = 7; DELETE FROM public.append_plain WHERE a = 8; INSERT INTO public.append_plain VALUES (8)").unwrap();
        assert_eq!(
            number("SELECT sum(b)::bigint FROM public.append_plain WHERE a IN (7, 8)"),
            1
        );
    }

    #[pg_test]
    fn append_of_nothing_leaves_an_empty_table() {
        create("append_nothing");
        assert!(lock_empty(public("append_nothing")).unwrap());
        assert_eq!(append("append_nothing", 0).unwrap(), 0);
        assert_eq!(number("SELECT pg_relation_size('public.append_nothing')"), 0);
    }

    #[pg_test]
    fn append_goes_on_after_its_last_page() {
        create("append_chunks");
        Spi::run("ALTER TABLE public.append_chunks DROP CONSTRAINT append_chunks_pkey").unwrap();
        assert!(lock_empty(public("append_chunks")).unwrap());
        assert_eq!(
            append("append_chunks", 100).unwrap() + append("append_chunks", 100).unwrap(),
            200
        );
        assert_eq!(number("SELECT count(*) FROM public.append_chunks"), 200);
    }

    #[pg_test(error = "could not create unique index \"append_double_pkey\"")]
    fn append_of_a_key_twice_is_an_error() {
        create("append_double");
        Spi::run("SELECT tests.append_twice('append_double')").unwrap();
    }

    #[pg_test]
    fn append_is_not_for_tables_that_look_at_each_row() {
        let cases = [
            ("INSERT INTO public.append_case VALUES (1)", "a table with a row"),
            ("INSERT INTO public.append_case VALUES (1); DELETE FROM public.append_case", "a table with a page"),
            ("ALTER TABLE public.append_case ADD CHECK (a > 0)", "a check"),
            ("ALTER TABLE public.append_case ADD f int GENERATED ALWAYS AS (a + 1) STORED", "a generated column"),
            ("ALTER TABLE public.append_case ENABLE ROW LEVEL SECURITY", "row-level security"),
            (
                "CREATE TRIGGER t BEFORE INSERT ON public.append_case FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                "a trigger",
            ),
            ("DROP TABLE public.append_case; CREATE VIEW public.append_case AS SELECT 1 AS a", "a view"),
            (
                "DROP TABLE public.append_case; CREATE TABLE public.append_case (a int) PARTITION BY LIST (a)",
                "a partitioned table",
            ),
        ];
        for (statements, what) in cases {
            create("append_case");
            assert!(lock_empty(public("append_case")).unwrap(), "before {what}");
            Spi::run(statements).unwrap();
            assert!(!lock_empty(public("append_case")).unwrap(), "{what}");
            Spi::run(if what == "a view" {
                "DROP VIEW public.append_case"
            } else {
                "DROP TABLE public.append_case"
            })
            .unwrap();
        }
    }

    #[pg_test(error = "new row for relation \"append_part_1\" violates partition constraint")]
    fn append_of_another_partition_s_row_is_an_error() {
        Spi::run("CREATE TABLE public.append_part (a int, b bigint, c text, d float8, e date) PARTITION BY LIST (a); CREATE TABLE public.append_part_1 PARTITION OF public.append_part FOR VALUES IN (1)").unwrap();
        assert!(lock_empty(public("append_part_1")).unwrap());
        let _ = append("append_part_1", 3);
    }

    #[pg_test]
    fn append_builds_indexes_of_every_kind() {
        Spi::run(
            "CREATE TABLE public.append_kinds (a int NOT NULL, b bigint NOT NULL, c text, d float8, e date NOT NULL, PRIMARY KEY (a, e));
             CREATE INDEX append_falling ON public.append_kinds (b); CREATE INDEX append_text ON public.append_kinds (c);
             CREATE INDEX append_desc ON public.append_kinds (a DESC); CREATE INDEX append_some ON public.append_kinds (a) WHERE a > 3;
             CREATE INDEX append_sum ON public.append_kinds ((a + 1)); CREATE INDEX append_hash ON public.append_kinds USING hash (a);
             CREATE INDEX append_loose ON public.append_kinds (e, a) WITH (fillfactor = 50)",
        )
        .unwrap();
        assert!(lock_empty(public("append_kinds")).unwrap());
        assert_eq!(append("append_kinds", 60_000).unwrap(), 60_000);
        Spi::run("SET LOCAL enable_seqscan = off").unwrap();
        // b falls, so that its index is built from the table when all rows are there
        for (condition, rows) in [
            ("a BETWEEN 100 AND 199", 100),
            ("b BETWEEN -3000000000 * 199 AND -3000000000 * 100", 100),
            ("c = 'short'", 20_000),
            ("a + 1 BETWEEN 101 AND 200", 100),
            ("e BETWEEN date '2000-01-01' + 100 AND date '2000-01-01' + 199", 100),
            ("a > 59989", 10),
        ] {
            let count = number(&format!("SELECT count(*) FROM public.append_kinds WHERE {condition}"));
            assert_eq!(count, rows, "{condition}");
        }
        // an entry of a date and a number takes 20 bytes with its line: half a leaf holds some 200
        let pages = number("SELECT pg_relation_size('append_loose') / 8192");
        assert!((270..330).contains(&pages), "{pages} pages that are to stay half empty");
        assert_eq!(
            number("SELECT reltuples::bigint FROM pg_class WHERE relname = 'append_kinds_pkey'"),
            60_000
        );
        assert_eq!(
            number("SELECT reltuples::bigint FROM pg_class WHERE relname = 'append_kinds'"),
            60_000
        );
    }

    #[pg_test(error = "permission denied for table append_denied")]
    fn append_needs_the_right_to_insert() {
        create("append_denied");
        Spi::run("CREATE ROLE append_nobody; SET LOCAL ROLE append_nobody").unwrap();
        let _ = append("append_denied", 1);
    }
}
