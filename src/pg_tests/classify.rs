//! The native classification of a part: ranges of users, limits, interrupts. What it computes is compared with the query by
//! tests/regress/sql/classify.sql.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use pgrx::prelude::*;

    use crate::pg::write::running_copies;
    use crate::pg_tests::{bigint, text};

    /// The tables that the pass works on, without keys, in a schema of their own, and a model of three segments of posts
    /// and assignments; `rows` cells of `users` users, in an order that is not that of the stored assignments.
    fn part(schema: &str, users: i64, rows: i64) {
        Spi::run(&format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.cube_spa_week (client_id int, user_id bigint, unit_id bigint, period_start date, posts bigint, assigned_exercises int);
             CREATE TABLE {schema}.cube_class_spa_week (client_id int, level text, grain text, user_id bigint, unit_id bigint, period_start date, class smallint);
             CREATE TABLE {schema}.cube_assigned (client_id int, level text, user_id bigint, unit_id bigint, assigned_exercises bigint);
             INSERT INTO {schema}.cube_spa_week SELECT 1, 1 + i % {users}, i / {users} % 40, date '2024-01-01' + (i / {users} / 40)::int * 7, (i % 169) * (i % 169) % 13, 0 FROM generate_series(0, {rows} - 1) i;
             INSERT INTO {schema}.cube_assigned SELECT 1, 'SPA', u, n, (u + n) % 4 FROM generate_series(0, 39) n, generate_series(1, {users}) u WHERE n % 2 = 0;
             CREATE TABLE {schema}.model AS SELECT * FROM empatia._fit_segments('SELECT p::float8, a::float8, 1::float8 FROM generate_series(0, 12) p, generate_series(0, 3) a WHERE $1::int IS NULL', NULL,
                 '{{posts,assigned_exercises}}', '{{1,1}}', 3, 1, 10, 300, 0);"
        ))
        .unwrap();
    }

    fn call(schema: &str) -> String {
        format!(
            "empatia._classify_cells(1, '{schema}', 'SPA', 'WEEK', true, '{{posts,assigned_exercises}}', (SELECT encoded FROM {schema}.model))"
        )
    }

    #[pg_test]
    fn classes_beyond_the_memory_limit_are_taken_in_ranges_of_users() {
        part("classify_parts", 500, 600_000);
        let classify = |limit: &str| {
            Spi::run(&format!("SET LOCAL empatia.memory_limit = '{limit}'")).unwrap();
            let found = text(&format!("SELECT c::text FROM {} c", call("classify_parts")))
                .unwrap()
                .unwrap();
            let content = "SELECT count(*) || ' ' || sum(hashtextextended(k::text, 0)::numeric) FROM classify_parts.cube_class_spa_week k";
            (found, text(content).unwrap())
        };
        let (first, whole) = classify("512MB");
        assert!(first.starts_with("(600000,"), "{first}");
        let wrong = "SELECT count(*) FROM classify_parts.cube_spa_week x JOIN classify_parts.cube_class_spa_week k USING (user_id, unit_id, period_start)
             LEFT JOIN classify_parts.cube_assigned a USING (user_id, unit_id) CROSS JOIN classify_parts.model m
             WHERE k.class <> empatia._segment_rank(m.encoded, ARRAY[x.posts, coalesce(a.assigned_exercises, 0)]::float8[])";
        assert_eq!(bigint(wrong).unwrap(), Some(0));
        // 36 bytes of each class and an index, so 16 MB make ranges; the zero classes are those of all of them
        Spi::run("UPDATE classify_parts.cube_class_spa_week SET class = 4 - class WHERE class <> 2 AND user_id % 7 = 0; DELETE FROM classify_parts.cube_class_spa_week WHERE user_id % 7 = 1;
                  INSERT INTO classify_parts.cube_class_spa_week SELECT 1, 'SPA', 'WEEK', u, 1, '2030-01-01', 1 FROM generate_series(-3, 510) u").unwrap();
        let damaged = bigint("SELECT 600000 - count(*) FROM classify_parts.cube_spa_week x JOIN classify_parts.cube_class_spa_week k USING (user_id, unit_id, period_start)
             LEFT JOIN classify_parts.cube_assigned a USING (user_id, unit_id) CROSS JOIN classify_parts.model m
             WHERE k.class = empatia._segment_rank(m.encoded, ARRAY[x.posts, coalesce(a.assigned_exercises, 0)]::float8[])").unwrap().unwrap();
        assert!(damaged > 100_000);
        let repaired = (first.replace("(600000,", &format!("({damaged},")), whole.clone());
        assert_eq!(classify("16MB"), repaired);
        assert_eq!(classify("16MB"), (first.replace("(600000,", "(0,"), whole));
    }

    #[pg_test]
    fn classes_of_one_user_beyond_the_memory_limit_are_refused_with_a_remedy() {
        part("classify_memory", 1, 500_000);
        Spi::run(&format!("SELECT FROM {}", call("classify_memory"))).unwrap();
        Spi::run("SET LOCAL empatia.memory_limit = '16MB'").unwrap();
        Spi::run(&format!(
            "DO $do$ DECLARE hint text; BEGIN
               BEGIN
                 PERFORM {};
                 RAISE 'not refused';
               EXCEPTION WHEN out_of_memory THEN
                 GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                 IF hint NOT LIKE 'Raise empatia.memory_limit%' THEN RAISE 'hint is %', hint; END IF;
               END;
             END $do$",
            call("classify_memory")
        ))
        .unwrap();
    }

    #[pg_test]
    fn classifying_is_cancelled_at_once_and_leaves_nothing() {
        part("classify_cancel", 1000, 2_000_000);
        let mut killer = Command::new("sh")
            .args(["-c", &format!("sleep 0.3; kill -INT {}", std::process::id())])
            .spawn()
            .unwrap();
        let began = Instant::now();
        // the second of them at the latest
        Spi::run(&format!(
            "DO $do$ BEGIN FOR i IN 1..50 LOOP PERFORM {}; END LOOP; RAISE 'not cancelled';
             EXCEPTION WHEN query_canceled THEN NULL; END $do$",
            call("classify_cancel")
        ))
        .unwrap();
        let elapsed = began.elapsed();
        killer.wait().unwrap();
        assert!(elapsed < Duration::from_millis(800), "ended after {elapsed:?}");
        assert_eq!(running_copies(), 0);
        assert_eq!(
            bigint("SELECT count(*) FROM classify_cancel.cube_class_spa_week").unwrap(),
            Some(0)
        );
    }
}
