//! Training on a part of the cube: limits and interrupts. What is trained on is compared with SQL by
//! tests/regress/sql/train_cube.sql.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use pgrx::prelude::*;

    use crate::pg_tests::text;

    /// The tables that a training reads, in a schema of their own: `users` members of one unit over 40 weeks.
    fn part(schema: &str, users: i64) {
        Spi::run(&format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.cube_build (client_id int, level text, grain text, assignment_basis text, stored_rows bigint);
             CREATE TABLE {schema}.cube_period (client_id int, level text, grain text, period_start date, period_end date);
             CREATE TABLE {schema}.cube_unit (client_id int, level text, unit_id bigint, member_level text, member_unit_id bigint);
             CREATE TABLE {schema}.cube_member (client_id int, level text, unit_id bigint, user_id bigint);
             CREATE TABLE {schema}.cube_assigned (client_id int, level text, user_id bigint, unit_id bigint, assigned_exercises bigint);
             CREATE TABLE {schema}.cube_spa_week (client_id int, user_id bigint, unit_id bigint, period_start date, posts bigint, post_replies bigint,
                 help_requests bigint, help_request_replies bigint, accesses bigint, active_days int, assigned_exercises int, submitted_exercises int,
                 late_exercises int, grade_sum float8, grade_count int);
             INSERT INTO {schema}.cube_unit VALUES (1, 'SPA', 1, 'SPA', 1);
             INSERT INTO {schema}.cube_period SELECT 1, 'SPA', 'WEEK', date '2024-01-07' + 7 * i, date '2024-01-13' + 7 * i FROM generate_series(0, 39) i;
             INSERT INTO {schema}.cube_member SELECT 1, 'SPA', 1, u FROM generate_series(1, {users}) u;
             INSERT INTO {schema}.cube_spa_week SELECT 1, u, 1, date '2024-01-07' + 7 * i, (u * i) % 3, 0, 0, 0, 1 + (u + i * i) % 97, 1, 0, 0, 0, 0, 0
                 FROM generate_series(1, {users}) u, generate_series(0, 39) i WHERE (u * 31 + i * 17) % 11 < 2 + u % 8;
             INSERT INTO {schema}.cube_build SELECT 1, 'SPA', 'WEEK', 'universe', count(*) FROM {schema}.cube_spa_week;"
        ))
        .unwrap();
    }

    fn call(schema: &str, training: &str, most: i64) -> String {
        format!(
            "empatia._train_cube('{schema}', 'SPA', 'WEEK', 1, NULL, '{training}', '{{\"kind\": \"inactive_next\", \"horizon\": 2, \"max_rows\": {most}}}')"
        )
    }

    const QUICK: &str = r#"{"algorithm": "decision_tree", "split": {"hold_out": {"share": 0.3}}, "calibrate": false}"#;

    /// Guards against a training that fails, or takes what it must not, where memory is short.
    #[pg_test]
    fn where_memory_is_short_a_part_of_the_students_is_trained_on() {
        part("train_memory", 1_000);
        let share = |limit: &str| {
            Spi::run(&format!("SET LOCAL empatia.memory_limit = '{limit}'")).unwrap();
            let sql = format!(
                "SELECT (t.report #>> '{{cube,student_share}}') || ' ' || (t.students < 1000)::text FROM {} t",
                call("train_memory", QUICK, 1_000_000)
            );
            text(&sql).unwrap().unwrap()
        };
        assert_eq!(share("1GB"), "1.0 false");
        let small = share("32MB");
        assert!(
            ["0.5 true", "0.25 true", "0.125 true", "0.0625 true"].contains(&small.as_str()),
            "{small}"
        );
    }

    #[pg_test]
    fn where_students_are_drawn_the_rows_of_those_drawn_are_whole() {
        part("train_share", 400);
        let sql = format!(
            "SELECT (t.rows < 4000 AND t.rows > 300) || ' ' || (t.report #>> '{{cube,student_share}}')::float8 FROM {} t",
            call("train_share", QUICK, 4_000)
        );
        let whole = "SELECT count(*)::text FROM train_share.cube_spa_week";
        assert!(text(whole).unwrap().unwrap().parse::<i64>().unwrap() > 6_000);
        let found = text(&sql).unwrap().unwrap();
        assert!(["true 0.5", "true 0.25"].contains(&found.as_str()), "{found}");
    }

    /// Guards against a training that goes on for minutes after Ctrl-C.
    #[pg_test]
    fn training_is_cancelled_at_once() {
        part("train_cancel", 3_000);
        let mut killer = Command::new("sh")
            .args(["-c", &format!("sleep 0.5; kill -INT {}", std::process::id())])
            .spawn()
            .unwrap();
        let began = Instant::now();
        let training = r#"{"algorithm": "random_forest", "search": {"candidates": 50}}"#;
        Spi::run(&format!(
            "DO $do$ BEGIN PERFORM {}; RAISE 'not cancelled'; EXCEPTION WHEN query_canceled THEN NULL; END $do$",
            call("train_cancel", training, 1_000_000)
        ))
        .unwrap();
        let elapsed = began.elapsed();
        killer.wait().unwrap();
        assert!(elapsed < Duration::from_millis(1_500), "ended after {elapsed:?}");
    }

    /// Guards against a model that a time budget leaves unfinished.
    #[pg_test]
    fn a_time_budget_that_runs_out_gives_what_was_found_until_then() {
        part("train_budget", 300);
        let sql = r#"SELECT (t.report ->> 'time_up') || ' ' || (length(t.encoded) > 0)::text FROM empatia._train_cube('train_budget', 'SPA', 'WEEK', 1, NULL,
            '{"algorithm": "random_forest", "parameters": {"trees": 20}, "search": {"candidates": 1000}}', '{"kind": "inactive_next", "horizon": 2}', 1) t"#;
        assert_eq!(text(sql).unwrap().as_deref(), Some("true true"));
    }
}
