//! Rows found and changed without a statement, and deleted by place.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::error::Result;
    use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8};
    use crate::pg::column::Tid;
    use crate::pg::delete::delete_rows;
    use crate::pg::edit::{edit_rows, Editor};
    use crate::pg::read::query;
    use crate::pg::value::Value;
    use crate::pg::write::Relation;
    use crate::pg_tests::{bigint, text};

    const KEY: [(&str, ColumnType); 2] = [("a", Int8), ("d", Date)];
    const COLUMNS: [(&str, ColumnType); 2] = [("n", Int4), ("f", Float8)];

    fn relation(table: &str) -> Relation<'_> {
        Relation::Named {
            schema: "public",
            table,
        }
    }

    /// Columns in another order than the editor's, one dropped, one that it does not name, one generated; 100 rows.
    fn table(name: &str) {
        Spi::run(&format!(
            "CREATE TABLE public.{name} (note text DEFAULT 'kept', f float8, gone int, n int CHECK (n < 1000), d date, a bigint,
                 twice int GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (a, d)) WITH (fillfactor = 50);
             ALTER TABLE public.{name} DROP COLUMN gone;
             INSERT INTO public.{name} (a, d, n, f) SELECT i, date '2024-01-01' + i, i, i / 2.0 FROM generate_series(1, 100) i"
        ))
        .unwrap();
    }

    fn key(a: i64) -> [Value; 2] {
        // 2024-01-01 is day 8766
        [Value::Int8(a), Value::Date(8766 + a as i32)]
    }

    fn find(editor: &mut Editor<'_>, key: &[Value]) -> Result<bool> {
        editor.announce(key)?;
        editor.find_announced()
    }

    fn places(name: &str, condition: &str) -> Vec<Tid> {
        let mut places = Vec::new();
        let sql = format!("SELECT ctid FROM public.{name} WHERE {condition} ORDER BY a");
        query(&sql, &[], &[ColumnType::Tid], |row| {
            places.extend(row.tid(0));
            Ok(())
        })
        .unwrap();
        places
    }

    /// Fault guarded against: the row at a place that is wrong or out of date taken for the one with the key.
    #[pg_test]
    fn edit_hint_of_a_place_is_no_more_than_a_hint() {
        table("edit_hint");
        let of = |a: i64| places("edit_hint", &format!("a = {a}")).first().copied();
        let (seven, eight, nine) = (of(7), of(8), of(9));
        Spi::run("DELETE FROM public.edit_hint WHERE a = 9; UPDATE public.edit_hint SET a = 300 WHERE a = 8").unwrap();
        let nowhere = |block, position| Some(Tid { block, position });
        let hints = [
            seven,
            eight,
            nine,
            None,
            nowhere(0, 0),
            nowhere(0, 2000),
            nowhere(1 << 30, 1),
            nowhere(u32::MAX, 1),
        ];
        edit_rows(relation("edit_hint"), &KEY, &COLUMNS, |editor| {
            for hint in hints {
                for (a, there) in [(7, true), (6, true), (8, false), (9, false), (200, false)] {
                    assert_eq!(editor.find_hinted(&key(a), hint)?, there, "key {a} by {hint:?}");
                    if there {
                        let expected = [Value::Int4(a as i32), Value::Float8(a as f64 / 2.0)];
                        assert_eq!(editor.get(), Some(expected), "key {a} by {hint:?}");
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    }

    #[pg_test]
    fn edit_changes_exactly_the_named_columns_of_the_rows_found() {
        table("edit_found");
        let found = edit_rows(relation("edit_found"), &KEY, &COLUMNS, |editor| {
            let mut found = 0;
            for a in [7, 3, 200] {
                if find(editor, &key(a))? {
                    found += 1;
                    assert_eq!(
                        editor.get(),
                        Some([Value::Int4(a as i32), Value::Float8(a as f64 / 2.0)])
                    );
                    editor.set(&[Value::Int4(500), Value::Float8(-0.0)])?;
                }
            }
            assert!(find(editor, &key(9))?);
            editor.delete();
            Ok(found)
        });
        assert_eq!(found.unwrap(), 2);
        assert_eq!(
            text("SELECT string_agg(format('%s %s %s %s %s', a, n, f, note, twice), ', ' ORDER BY a) FROM public.edit_found WHERE n = 500").unwrap(),
            Some("3 500 -0 kept 1000, 7 500 -0 kept 1000".into())
        );
        assert_eq!(
            bigint("SELECT sum(n)::bigint FROM public.edit_found").unwrap(),
            Some(5050 - 3 - 7 - 9 + 2 * 500)
        );
        // found through the index, too
        Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").unwrap();
        assert_eq!(
            bigint("SELECT count(*) FROM public.edit_found WHERE (a, d) = (3, '2024-01-04')").unwrap(),
            Some(1)
        );
    }

    /// Guards against a new index entry for each row changed, and against a changed value that its index does not know.
    #[pg_test]
    fn edit_stays_on_the_page_unless_an_index_has_the_column() {
        for (name, index) in [("edit_hot", false), ("edit_indexed", true)] {
            table(name);
            if index {
                Spi::run(&format!("CREATE INDEX ON public.{name} (n)")).unwrap();
            }
            edit_rows(relation(name), &KEY, &COLUMNS, |editor| {
                for a in 1..=10 {
                    assert!(find(editor, &key(a))?);
                    editor.set(&[Value::Int4(700), Value::Float8(0.0)])?;
                }
                Ok(())
            })
            .unwrap();
            let counted = |what: &str| {
                bigint(&format!(
                    "SELECT pg_stat_get_xact_tuples_{what}('public.{name}'::regclass)"
                ))
            };
            assert_eq!(counted("updated").unwrap(), Some(10));
            assert_eq!(
                counted("hot_updated").unwrap(),
                Some(if index { 0 } else { 10 }),
                "{name}"
            );
        }
        Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").unwrap();
        for (n, rows) in [(700, 10), (5, 0), (11, 1)] {
            assert_eq!(
                bigint(&format!("SELECT count(*) FROM public.edit_indexed WHERE n = {n}")).unwrap(),
                Some(rows)
            );
        }
        // by the key, too, which no new entry was made for
        assert_eq!(
            bigint("SELECT sum(n)::bigint FROM public.edit_hot WHERE a IN (3, 20) AND d > '2024-01-01'").unwrap(),
            Some(720)
        );
    }

    #[pg_test]
    fn edit_by_place_reaches_rows_that_this_transaction_wrote() {
        table("edit_place");
        let all = places("edit_place", "a <= 3");
        edit_rows(relation("edit_place"), &KEY, &COLUMNS, |editor| {
            for place in &all {
                editor.at(*place)?;
                editor.set(&[Value::Int4(900), Value::Float8(0.0)])?;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(
            bigint("SELECT count(*) FROM public.edit_place WHERE n = 900 AND twice = 1800").unwrap(),
            Some(3)
        );
    }

    #[pg_test]
    fn edit_of_a_row_that_went_is_an_error() {
        table("edit_gone");
        let all = places("edit_gone", "a = 1");
        Spi::run("DELETE FROM public.edit_gone WHERE a = 1").unwrap();
        let outcome = edit_rows(relation("edit_gone"), &KEY, &COLUMNS, |editor| editor.at(all[0]));
        assert!(outcome.unwrap_err().to_string().contains("changed by another session"));
    }

    #[pg_test]
    fn edit_fires_row_triggers_and_checks_constraints() {
        table("edit_trigger");
        Spi::run(
            "CREATE TABLE public.edit_trigger_log (old int, new int);
             CREATE FUNCTION public.edit_trigger_note() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO public.edit_trigger_log VALUES (OLD.n, NEW.n); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER UPDATE ON public.edit_trigger FOR EACH ROW EXECUTE FUNCTION public.edit_trigger_note()",
        )
        .unwrap();
        edit_rows(relation("edit_trigger"), &KEY, &COLUMNS, |editor| {
            assert!(find(editor, &key(5))?);
            editor.set(&[Value::Int4(55), Value::Float8(0.0)])
        })
        .unwrap();
        assert_eq!(
            text("SELECT string_agg(l::text, ',') FROM public.edit_trigger_log l").unwrap(),
            Some("(5,55)".into())
        );
    }

    #[pg_test(error = "new row for relation \"edit_check\" violates check constraint \"edit_check_n_check\"")]
    fn edit_beyond_a_check_is_refused() {
        table("edit_check");
        let _ = edit_rows(relation("edit_check"), &KEY, &COLUMNS, |editor| {
            assert!(find(editor, &key(5))?);
            editor.set(&[Value::Int4(1000), Value::Float8(0.0)])
        });
    }

    #[pg_test]
    fn edit_refuses_what_it_cannot_do_right() {
        table("edit_refused");
        // a failed call leaves its table open until the transaction ends, so this one is altered before
        table("edit_secured");
        Spi::run("ALTER TABLE public.edit_secured ENABLE ROW LEVEL SECURITY").unwrap();
        let message = |relation, key: &[(&str, ColumnType)], columns: &[(&str, ColumnType)]| {
            edit_rows(relation, key, columns, |_| Ok(())).unwrap_err().to_string()
        };
        let refused = relation("edit_refused");
        assert!(message(refused, &[("d", Date), ("a", Int8)], &COLUMNS).contains("no unique index"));
        assert!(message(refused, &KEY, &[("n", Int8)]).contains("must be of type bigint, not integer"));
        assert!(message(refused, &KEY, &[("gone", Int4)]).contains("does not exist"));
        Spi::run("CREATE VIEW public.edit_view AS SELECT * FROM public.edit_refused").unwrap();
        assert!(message(relation("edit_view"), &KEY, &COLUMNS).contains("ordinary table"));
        Spi::run(
            "CREATE ROLE edit_nobody; GRANT SELECT, UPDATE ON public.edit_refused TO edit_nobody; SET LOCAL ROLE edit_nobody",
        )
        .unwrap();
        assert!(message(refused, &KEY, &COLUMNS).contains("permission denied"));
        Spi::run(
            "RESET ROLE; GRANT SELECT, UPDATE, DELETE ON public.edit_secured TO edit_nobody; SET LOCAL ROLE edit_nobody",
        )
        .unwrap();
        assert!(message(relation("edit_secured"), &KEY, &COLUMNS).contains("row-level security"));
    }

    #[pg_test]
    fn delete_takes_the_rows_at_these_places_and_no_others() {
        table("edit_delete");
        let even = places("edit_delete", "a % 2 = 0");
        assert_eq!(even.len(), 50);
        assert_eq!(delete_rows("public", "edit_delete", &even).unwrap(), 50);
        assert_eq!(delete_rows("public", "edit_delete", &[]).unwrap(), 0);
        assert_eq!(
            bigint(
                "SELECT count(*) FILTER (WHERE a % 2 = 1) - count(*) FILTER (WHERE a % 2 = 0) FROM public.edit_delete"
            )
            .unwrap(),
            Some(50)
        );
    }
}
