//! The native pass over the facts of a client: parts, limits, interrupts. What it computes is compared with the query by
//! tests/regress/sql/native_cube.sql.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use pgrx::prelude::*;

    use crate::pg::write::running_copies;
    use crate::pg_tests::{bigint, text};

    /// The tables that the pass works on, without keys, in a schema of their own; `facts` interactions of `users` users,
    /// of which fact `i` hangs on lecture `lecture`.
    fn warehouse(schema: &str, users: i64, facts: i64, lecture: &str) {
        Spi::run(&format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.cube_member (client_id int, level text, unit_id bigint, user_id bigint);
             CREATE TABLE {schema}.cube_unit (client_id int, level text, unit_id bigint);
             CREATE TABLE {schema}.interaction_type (interaction_type_id smallint, measure text);
             CREATE TABLE {schema}.fact_interaction (client_id int, user_id bigint, interaction_type_id smallint, amount bigint,
                 day date, environment_id bigint, course_id bigint, space_id bigint, subject_id bigint, lecture_id bigint);
             CREATE TABLE {schema}.fact_assignment (client_id int, user_id bigint, assigned_day date, due_day date,
                 submitted_day date, submitted_at timestamptz, due_at timestamptz, grade float8, max_grade float8,
                 environment_id bigint, course_id bigint, space_id bigint, subject_id bigint, lecture_id bigint);
             CREATE TABLE {schema}.cube (client_id int, level text, grain text, user_id bigint, unit_id bigint,
                 period_start date, posts bigint, post_replies bigint, help_requests bigint, help_request_replies bigint,
                 accesses bigint, active_days int, assigned_exercises int, submitted_exercises int, late_exercises int,
                 grade_sum float8, grade_count int);
             INSERT INTO {schema}.interaction_type VALUES (1, 'posts'), (2, 'accesses');
             INSERT INTO {schema}.cube_unit SELECT 1, l, 1 FROM unnest('{{ENV,CRS,SPA}}'::text[]) l;
             INSERT INTO {schema}.cube_unit SELECT 1, l, u FROM unnest('{{SUB,LEC}}'::text[]) l, generate_series(0, 99) u;
             INSERT INTO {schema}.cube_member SELECT 1, 'SPA', 1, u FROM generate_series(1, {users}) u;
             INSERT INTO {schema}.fact_interaction
                 SELECT 1, 1 + i % {users}, 1 + i % 2, 1, date '2024-01-01' + (i / {users} % 300)::int, 1, 1, 1, {lecture}, {lecture}
                 FROM generate_series(0, {facts} - 1) i;"
        ))
        .unwrap();
        for level in ["env", "crs", "spa", "sub", "lec"] {
            for grain in ["week", "month", "all"] {
                Spi::run(&format!(
                    "CREATE TABLE {schema}.cube_{level}_{grain} (LIKE {schema}.cube)"
                ))
                .unwrap();
            }
        }
    }

    /// A call for 15 combinations.
    fn call(schema: &str) -> String {
        format!(
            "empatia._build_cells(1, '{schema}', '{schema}',
                 ARRAY(SELECT l FROM unnest('{{ENV,CRS,SPA,SUB,LEC}}'::text[]) l, generate_series(1, 3)),
                 ARRAY(SELECT g FROM generate_series(1, 5), unnest('{{WEEK,MONTH,ALL}}'::text[]) g),
                 array_fill(null::bigint, ARRAY[15]), array_fill(0::bigint, ARRAY[15]), '2024-01-01', '2024-12-31', 0, 'universe')"
        )
    }

    #[pg_test]
    fn cube_facts_beyond_the_memory_limit_are_set_aside() {
        // every student is in one lecture, on 300 days: 43 weeks from Sunday, 10 months
        warehouse("cube_parts", 2000, 900_000, "i % 100");
        let build = |limit: &str| {
            Spi::run(&format!("SET LOCAL empatia.memory_limit = '{limit}'")).unwrap();
            // 21.6 MB of facts, so some of them wait in a file where there are 16 MB
            let written = bigint(&format!(
                "SELECT sum(inserted_rows)::bigint FROM {}",
                call("cube_parts")
            ))
            .unwrap();
            let cells = "SELECT count(*) || ' ' || sum(hashtextextended(c::text, 0)::numeric) FROM (
                 SELECT * FROM cube_parts.cube_lec_week UNION ALL SELECT * FROM cube_parts.cube_env_all
                 UNION ALL SELECT * FROM cube_parts.cube_sub_month) c";
            let found = (written, text(cells).unwrap());
            Spi::run("TRUNCATE cube_parts.cube_lec_week, cube_parts.cube_env_all, cube_parts.cube_sub_month").unwrap();
            found
        };
        let whole = build("512MB");
        assert_eq!(whole.0, Some(5 * 2000 * (43 + 10 + 1)));
        // the other twelve parts hold their cells already
        assert_eq!(build("16MB"), (Some(2000 * (43 + 10 + 1)), whole.1));
    }

    /// The two parts that the next tests look at: cells of 43 weeks and of everything, with their key.
    fn two_parts(schema: &str, since: &str) -> String {
        format!(
            "empatia._build_cells(1, '{schema}', '{schema}', '{{LEC,ENV}}', '{{WEEK,ALL}}', ARRAY[{since}, {since}]::bigint[], '{{0,0}}',
                 '2024-01-01', '2024-12-31', 0, 'universe')"
        )
    }

    fn done(call: &str) -> Option<String> {
        text(&format!(
            "SELECT string_agg(inserted_rows || '+' || deleted_rows || '-' || coalesce(all_rows::text, ''), ' ') FROM {call}"
        ))
        .unwrap()
    }

    #[pg_test]
    fn cube_rebuilt_beyond_the_memory_limit_repairs_what_is_wrong_and_writes_nothing_else() {
        warehouse("cube_diff", 2000, 900_000, "i % 100");
        for part in ["lec_week", "env_all"] {
            Spi::run(&format!(
                "ALTER TABLE cube_diff.cube_{part} ADD PRIMARY KEY (client_id, user_id, unit_id, period_start)"
            ))
            .unwrap();
        }
        Spi::run("SET LOCAL empatia.memory_limit = '16MB'").unwrap(); // 21.6 MB of facts
        let call = two_parts("cube_diff", "null");
        assert_eq!(done(&call), Some("86000+0-86000 2000+0-2000".into()));
        assert_eq!(done(&call), Some("0+0-86000 0+0-2000".into()));
        // wrong, missing, and of students who are none: before all, between two, after all
        Spi::run(
            "UPDATE cube_diff.cube_lec_week SET accesses = accesses + 1 WHERE user_id % 400 = 7 AND period_start = '2024-03-03';
             DELETE FROM cube_diff.cube_lec_week WHERE user_id IN (1, 1000, 2000);
             INSERT INTO cube_diff.cube_lec_week SELECT 1, 'LEC', 'WEEK', u, 5, '2024-03-03', 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0
                 FROM unnest('{-5,2001,9999}'::bigint[]) u;
             INSERT INTO cube_diff.cube_lec_week SELECT 1, 'LEC', 'WEEK', 900, 500 + i, '2024-03-03', 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0
                 FROM generate_series(1, 20000) i",
        )
        .unwrap();
        assert_eq!(done(&call), Some("134+20008-86000 0+0-2000".into()));
        assert_eq!(done(&call), Some("0+0-86000 0+0-2000".into()));
    }

    #[pg_test]
    fn cube_refresh_beyond_the_memory_limit_goes_by_students() {
        warehouse("cube_refresh", 2000, 900_000, "i % 100");
        Spi::run(
            "CREATE TABLE cube_refresh.change (client_id int, change_id bigint, user_id bigint, day date, only_added boolean NOT NULL DEFAULT false,
                 source_id int, added bigint[]);
             CREATE TABLE cube_refresh.cube_build (client_id int, level text, grain text, seen_change_id bigint)",
        )
        .unwrap();
        for part in ["lec_week", "env_all"] {
            Spi::run(&format!(
                "ALTER TABLE cube_refresh.cube_{part} ADD PRIMARY KEY (client_id, user_id, unit_id, period_start)"
            ))
            .unwrap();
        }
        let whole = two_parts("cube_refresh", "null");
        let refresh = two_parts("cube_refresh", "10");
        assert_eq!(done(&whole), Some("86000+0-86000 2000+0-2000".into()));
        // every student: one more access on one day, and one fact less on another, for a third of them told as a change of all days
        Spi::run(
            "INSERT INTO cube_refresh.fact_interaction SELECT 1, u, 2, 3, '2024-03-06', 1, 1, 1, 7, 7 FROM generate_series(1, 2000) u;
             DELETE FROM cube_refresh.fact_interaction WHERE day = '2024-07-10';
             INSERT INTO cube_refresh.change SELECT 1, 11, u, d FROM generate_series(1, 2000) u, unnest('{2024-03-06,2024-07-10}'::date[]) d
                 WHERE u % 3 > 0;
             INSERT INTO cube_refresh.change SELECT 1, 11, u, null FROM generate_series(1, 2000) u WHERE u % 3 = 0;
             CREATE INDEX ON cube_refresh.fact_interaction (user_id, day); ANALYZE cube_refresh.fact_interaction",
        )
        .unwrap();
        Spi::run("SET LOCAL empatia.memory_limit = '16MB'").unwrap();
        // a week of lecture 7 is new, or another, for everybody; the week of the fact that went is another; so is everything
        let lecture_7 = 20; // students who were in lecture 7 before
        let expected = format!("{}+{}- 2000+2000-", 4000, 2000 + lecture_7);
        assert_eq!(done(&refresh), Some(expected));
        assert_eq!(done(&refresh), Some("0+0- 0+0-".into()));
        assert_eq!(
            done(&whole),
            Some(format!("0+0-{} 0+0-2000", 86_000 + 2000 - lecture_7))
        );
    }

    #[pg_test]
    fn cube_student_beyond_the_memory_limit_is_refused_with_a_remedy_and_nothing_written() {
        warehouse("cube_memory", 1, 900_000, "i % 100");
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
            call("cube_memory")
        ))
        .unwrap();
        assert_eq!(
            bigint("SELECT count(*) FROM cube_memory.cube_env_all").unwrap(),
            Some(0)
        );
    }

    #[pg_test]
    fn cube_unknown_measure_is_refused() {
        warehouse("cube_measure", 1, 1, "1");
        Spi::run("UPDATE cube_measure.interaction_type SET measure = 'likes'").unwrap();
        Spi::run(&format!(
            "DO $do$ BEGIN PERFORM {}; RAISE 'not refused';
             EXCEPTION WHEN invalid_parameter_value THEN NULL; END $do$",
            call("cube_measure")
        ))
        .unwrap();
    }

    #[pg_test]
    fn cube_cancel_while_writing_ends_it_at_once_and_leaves_nothing() {
        warehouse("cube_cancel", 2000, 600_000, "i / 2000 % 100");
        // whole, it writes several million rows: seconds
        let mut killer = Command::new("sh")
            .args(["-c", &format!("sleep 0.8; kill -INT {}", std::process::id())])
            .spawn()
            .unwrap();
        let began = Instant::now();
        Spi::run(&format!(
            "DO $do$ BEGIN PERFORM {}; RAISE 'not cancelled';
             EXCEPTION WHEN query_canceled THEN NULL; END $do$",
            call("cube_cancel")
        ))
        .unwrap();
        let elapsed = began.elapsed();
        killer.wait().unwrap();
        assert!(elapsed < Duration::from_millis(1300), "ended after {elapsed:?}");
        assert_eq!(running_copies(), 0);
        assert_eq!(
            bigint("SELECT count(*) FROM cube_cancel.cube_lec_week").unwrap(),
            Some(0)
        );
    }
}
