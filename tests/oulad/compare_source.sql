-- Cells of the level LEC computed from the rows of OULAD's own tables, and those that build_cube() stored: truth.compare_source().
-- OULAD's assessments hang on a presentation, so at the level of its sites there are clicks only, all of kind access.
CREATE FUNCTION truth.compare_source(client text, grain text, OUT cells bigint, OUT differences bigint)
LANGUAGE plpgsql SET client_min_messages = error AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp.source_cell, pg_temp.stored_cell;
    CREATE TEMP TABLE source_cell AS
        SELECT d.id_site::bigint AS unit_id, d.id_student::bigint AS user_id,
               CASE compare_source.grain WHEN 'WEEK' THEN d.day - extract(dow FROM d.day)::integer ELSE date_trunc('month', d.day)::date END AS period_start,
               sum(d.clicks)::bigint AS accesses, count(*) AS active_days
        FROM (SELECT s.id_site, s.id_student, sum(s.sum_click) AS clicks,
                     make_date(left(s.code_presentation, 4)::integer, CASE right(s.code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1) + s.date AS day
              FROM oulad.studentvle s
              JOIN oulad.vle v ON (v.id_site, v.code_module, v.code_presentation) = (s.id_site, s.code_module, s.code_presentation)
              JOIN oulad.studentregistration r ON (r.id_student, r.code_module, r.code_presentation) = (s.id_student, s.code_module, s.code_presentation)
              GROUP BY 1, 2, 4) d
        GROUP BY 1, 2, 3;
    GET DIAGNOSTICS cells = ROW_COUNT;
    CREATE TEMP TABLE stored_cell AS
        SELECT x.unit_id, x.user_id, x.period_start, x.accesses, x.active_days::bigint AS active_days
        FROM analytics.cube x JOIN dw.client c USING (client_id)
        WHERE c.code = client AND x.level = 'LEC' AND x.grain = compare_source.grain
          -- a cell with anything else in it is missing here, and so a difference
          AND (x.posts, x.post_replies, x.help_requests, x.help_request_replies, x.assigned_exercises, x.submitted_exercises, x.late_exercises,
               x.grade_count) = (0, 0, 0, 0, 0, 0, 0, 0);
    ANALYZE pg_temp.source_cell, pg_temp.stored_cell;
    SELECT (SELECT count(*) FROM (TABLE pg_temp.source_cell EXCEPT ALL TABLE pg_temp.stored_cell) x)
         + (SELECT count(*) FROM (TABLE pg_temp.stored_cell EXCEPT ALL TABLE pg_temp.source_cell) x) INTO differences;
END
$$;
