//! Rows found along the leaves of an index: the pages of a btree are read here, so every way that a key can lie on them has to come up.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::error::Result;
    use crate::pg::buffers::{self, Pinned};
    use crate::pg::column::ColumnType::{self, Date, Float8, Int4, Int8};
    use crate::pg::edit::edit_rows;
    use crate::pg::find::find_rows;
    use crate::pg::scout::Scout;
    use crate::pg::value::Value;
    use crate::pg::write::Relation;
    use crate::pg_tests::bigint;

    const KEY: [(&str, ColumnType); 4] = [("c", Int4), ("u", Int8), ("v", Int8), ("d", Date)];
    const N: [(&str, ColumnType); 1] = [("n", Int4)];

    fn relation(table: &str) -> Relation<'_> {
        Relation::Named {
            schema: "public",
            table,
        }
    }

    /// Keys of three clients, some below zero, one in three missing; enough for three levels of pages.
    fn table(name: &str, rows: i64) {
        Spi::run(&format!(
            "CREATE TABLE public.{name} (c int, u bigint, v bigint, d date, n int, PRIMARY KEY (c, u, v, d));
             INSERT INTO public.{name} SELECT i % 3, i / 50 - 100, (i % 7) * 5000000000 - 9, date '2000-01-01' + (i % 11)::int - 5, i
             FROM generate_series(1, {rows}) i WHERE i % 3 <> 1 OR i % 5 = 0 ORDER BY hashint8(i)"
        ))
        .unwrap();
    }

    fn key(i: i64) -> [Value; 4] {
        [
            Value::Int4((i % 3) as i32),
            Value::Int8(i / 50 - 100),
            Value::Int8((i % 7) * 5_000_000_000 - 9),
            Value::Date((i % 11) as i32 - 5),
        ]
    }

    fn is_there(i: i64) -> bool {
        i % 3 != 1 || i % 5 == 0
    }

    /// What is found for keys in this order: each key's own number, or none.
    fn check(name: &str, numbers: &[i64], there: impl Fn(i64) -> bool) {
        let mut found = vec![None; numbers.len()];
        let keys = numbers.iter().map(|i| key(*i));
        let rows = find_rows(relation(name), &KEY, &N, keys, |position, _, values| {
            found[position] = Some(values[0]);
            Ok(())
        });
        let expected: Vec<Option<Value>> = numbers
            .iter()
            .map(|i| there(*i).then_some(Value::Int4(*i as i32)))
            .collect();
        assert_eq!(rows.unwrap(), expected.iter().flatten().count() as u64);
        assert_eq!(found, expected);
    }

    /// The order of the index.
    fn ascending(numbers: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut numbers: Vec<i64> = numbers.collect();
        numbers.sort_by_key(|i| (i % 3, i / 50, i % 7, i % 11));
        numbers
    }

    /// Fault guarded against: hints that lead nowhere, so that every row is looked up after all. The tests beside this one use the same
    /// buffers, and pages that they drove out would have no hints.
    #[pg_test]
    fn find_scout_says_where_rows_are_and_where_none_is() {
        table("find_scout", 120_000);
        let scout = || Scout::new(relation("find_scout"), &KEY).unwrap();
        assert!(scout().is_none(), "nobody looked where pages are");
        let index = Spi::get_one::<pg_sys::Oid>("SELECT 'public.find_scout_pkey'::regclass::oid").unwrap();
        let _pinned = Pinned::all_of(index.unwrap());
        let _known = buffers::look();
        let numbers = ascending(1..=120_000);
        let keys = || numbers.iter().map(|i| key(*i));
        let mut places = vec![None; numbers.len()];
        find_rows(relation("find_scout"), &KEY, &N, keys(), |position, place, _| {
            places[position] = Some(place);
            Ok(())
        })
        .unwrap();
        let found = scout().unwrap().look(keys(), || Ok::<(), ()>(())).unwrap();
        assert_eq!(found, places);
        assert_eq!(scout().unwrap().look(keys(), || Err("stopped")), Err("stopped"));
    }

    #[pg_test]
    fn find_gives_each_key_its_row_and_no_other() {
        table("find_all", 120_000);
        assert!(bigint("SELECT pg_relation_size('public.find_all_pkey') / 8192").unwrap() > Some(300));
        check("find_all", &ascending(1..=120_500), |i| i <= 120_000 && is_there(i));
        let sparse = ascending((1..=120_000).step_by(997));
        check("find_all", &sparse, is_there);
        // another order is slower, not wrong
        let backwards: Vec<i64> = sparse.iter().rev().copied().collect();
        check("find_all", &backwards, is_there);
        check("find_all", &[77, 77, 5, 77, 119_999, 77], is_there);
        check("find_all", &[], is_there);
    }

    #[pg_test]
    fn find_sees_what_the_transaction_wrote_and_not_what_it_deleted() {
        table("find_own", 20_000);
        // pages lose their rows, others are split; every row gets a second entry in the index
        Spi::run(
            "DELETE FROM public.find_own WHERE n BETWEEN 5000 AND 9000;
             CREATE INDEX ON public.find_own (n);
             UPDATE public.find_own SET n = -n;
             UPDATE public.find_own SET n = -n",
        )
        .unwrap();
        let there = |i: i64| is_there(i) && !(5000..=9000).contains(&i);
        check("find_own", &ascending(1..=20_000), there);
    }

    /// Guards against versions of one row that fill pages: the entries of a key go on to the right.
    #[pg_test]
    fn find_takes_the_present_one_of_thousands_of_versions() {
        table("find_versions", 3000);
        Spi::run(
            "CREATE INDEX ON public.find_versions (n);
             DO $$ BEGIN FOR i IN 1 .. 1500 LOOP UPDATE public.find_versions SET n = n + 1 WHERE (c, u, v, d) IN (SELECT c, u, v, d FROM public.find_versions
                 WHERE c = 0 AND u = -80 LIMIT 2); END LOOP; END $$",
        )
        .unwrap();
        let sum = bigint("SELECT sum(n)::bigint FROM public.find_versions").unwrap();
        let mut found = 0;
        let keys = ascending(1..=3000).into_iter().map(key);
        find_rows(relation("find_versions"), &KEY, &N, keys, |_, _, values| {
            let Value::Int4(n) = values[0] else { unreachable!() };
            found += i64::from(n);
            Ok(())
        })
        .unwrap();
        assert_eq!(Some(found), sum);
    }

    /// Guards against a leaf that is kept while it is split: what was on it is to the right then.
    #[pg_test]
    fn find_follows_rows_to_pages_that_were_split_off() {
        Spi::run(
            "CREATE TABLE public.find_split (c int, u bigint, v bigint, d date, n int, PRIMARY KEY (c, u, v, d));
             INSERT INTO public.find_split SELECT 1, i * 1000, 0, '2000-01-01', i FROM generate_series(1, 500) i",
        )
        .unwrap();
        let key = |u: i64| [Value::Int4(1), Value::Int8(u), Value::Int8(0), Value::Date(0)];
        edit_rows(relation("find_split"), &KEY, &N, |editor| {
            for i in 1..=500 {
                editor.announce(&key(i * 1000))?;
                assert!(editor.find_announced()?, "{i}");
                assert_eq!(editor.get(), Some([Value::Int4(i as i32)]));
                if i % 100 == 3 {
                    Spi::run(&format!(
                        "INSERT INTO public.find_split SELECT 1, {i} * 1000 + j, 0, '2000-01-01', 0 FROM generate_series(1, 900) j"
                    ))
                    .unwrap();
                }
            }
            Ok(())
        })
        .unwrap();
    }

    #[pg_test]
    fn find_works_with_indexes_of_other_types_and_orders() {
        Spi::run(
            "CREATE TABLE public.find_float (f float8 PRIMARY KEY, n int);
             INSERT INTO public.find_float SELECT i / 4.0, i FROM generate_series(1, 1000) i;
             CREATE TABLE public.find_down (a bigint, n int);
             CREATE UNIQUE INDEX ON public.find_down (a DESC);
             INSERT INTO public.find_down SELECT i, i FROM generate_series(1, 1000) i;
             CREATE TEMP TABLE find_temp (a bigint PRIMARY KEY, n int);
             INSERT INTO find_temp SELECT i, i FROM generate_series(1, 1000) i;
             CREATE TABLE public.find_empty (a bigint PRIMARY KEY, n int)",
        )
        .unwrap();
        let count = |relation, key: (&str, ColumnType), values: Vec<Value>| -> Result<u64> {
            find_rows(
                relation,
                &[key],
                &N,
                values.into_iter().map(|value| [value]),
                |_, _, _| Ok(()),
            )
        };
        let whole = || vec![Value::Int8(1), Value::Int8(500), Value::Int8(1001)];
        let floats = vec![Value::Float8(0.25), Value::Float8(0.3), Value::Float8(250.0)];
        assert_eq!(count(relation("find_float"), ("f", Float8), floats).unwrap(), 2);
        assert_eq!(count(relation("find_down"), ("a", Int8), whole()).unwrap(), 2);
        assert_eq!(count(relation("find_empty"), ("a", Int8), whole()).unwrap(), 0);
        let temporary = Relation::Named {
            schema: "pg_temp",
            table: "find_temp",
        };
        assert_eq!(count(temporary, ("a", Int8), whole()).unwrap(), 2);
        let message = count(relation("find_down"), ("n", Int4), vec![])
            .unwrap_err()
            .to_string();
        assert!(message.contains("no unique index"), "{message}");
        let message = count(relation("find_down"), ("a", Int8), vec![Value::Int4(1)]);
        assert!(message.unwrap_err().to_string().contains("types of the index"));
    }

    #[pg_test]
    fn find_needs_the_privilege_to_select_and_no_other() {
        table("find_rights", 10);
        let find = || {
            find_rows(
                relation("find_rights"),
                &KEY,
                &N,
                [key(3)].into_iter(),
                |_, _, _| Ok(()),
            )
        };
        Spi::run("CREATE ROLE find_nobody; SET LOCAL ROLE find_nobody").unwrap();
        assert!(find().unwrap_err().to_string().contains("permission denied"));
        Spi::run("RESET ROLE; GRANT SELECT ON public.find_rights TO find_nobody; SET LOCAL ROLE find_nobody").unwrap();
        assert_eq!(find().unwrap(), 1);
        Spi::run("RESET ROLE").unwrap();
    }
}
