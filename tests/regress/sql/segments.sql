-- kmeans_segments(), segment_profile(), choose_k() on a class whose segments can be worked out by hand. Faults guarded against: a crash
-- or a NaN where there are fewer rows than segments; a centroid in the wrong scale; sizes that leave the silent students out; a fit that
-- changes from run to run; a model that the registry does not describe.
\set SHOW_CONTEXT never
create extension empatia;
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_class.sql'
\set ECHO none
\i :fixture
\set ECHO all
set extra_float_digits = 0;
-- nothing is built yet
select * from empatia.kmeans_segments('SPA', 'WEEK');
select * from empatia.choose_k('SPA', 'WEEK');
select * from empatia.segment_profile('SPA', 'WEEK');
select level, grain, mode, dense_rows, stored_rows, left_out from empatia.build_cube();
select * from empatia.segment_profile('SPA', 'WEEK');
select * from empatia.classify();

-- k = 3: the three groups, nothing left over
select rank, label, size, share, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', 3);
select rank, size, inertia, silhouette, silhouette_sample, davies_bouldin from empatia.segment_profile('SPA', 'WEEK');
-- mean of log 4 units 2/3, variance 30/54: standardised, the groups are at -0.894, 0.447, 1.789
select rank, standardised from empatia.segment_profile('SPA', 'WEEK');
-- k = 2: {0, 0, 0} and {1, 1, 2}; the second centroid is 4^(4/3) - 1 = 5.3496 posts, inertia (2/9 + 4/9) / (30/54) = 1.2
select rank, label, size, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', 2);
select distinct inertia from empatia.segment_profile('SPA', 'WEEK');
-- k = 1: everybody, at 4^(2/3) - 1 = 1.5198 posts; inertia = rows x features; one segment has no silhouette
select rank, label, size, share, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', 1);
select inertia, silhouette, davies_bouldin, calinski_harabasz from empatia.segment_profile('SPA', 'WEEK');
-- k = 4 (the configuration's): three different rows make three segments, and say so
select rank, label, size, centroid from empatia.kmeans_segments();
select level, grain, written_rows, dense_rows from empatia.classify();
select categoria_engajamento, count(*), min(posts_amount), max(posts_amount) from analytics.cubo_engajamento group by 1 order by 4 desc;
-- a constant feature changes nothing
update empatia.pipeline set features = '{posts,help_requests}' where active;
select rank, size, centroid from empatia.kmeans_segments('SPA', 'WEEK', 2);
select distinct inertia from empatia.segment_profile('SPA', 'WEEK');
-- nothing but constant features: all rows are alike
update empatia.pipeline set features = '{help_requests}' where active;
select rank, size, share, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', 3);
select silhouette, davies_bouldin, calinski_harabasz from empatia.segment_profile('SPA', 'WEEK');
update empatia.pipeline set features = '{posts}' where active;
-- sizes are those of the dense cube
select b.level, b.grain, sum(s.size) = b.dense_rows as whole from analytics.cube_build b, lateral empatia.kmeans_segments(b.level, b.grain, 2) s group by b.level, b.grain, b.dense_rows;

-- weights decide the order
insert into empatia.score_weight values ('late_exercises', -1);
update empatia.score_weight set weight = -1 where measure = 'posts';
select rank, label, size, score from empatia.kmeans_segments('SPA', 'WEEK', 3);
update empatia.score_weight set weight = 1 where measure = 'posts';

-- the same seed: the same model, but for its version
select count(*) from empatia.kmeans_segments('SPA', 'WEEK', 2, seed => 7);
select count(*) from empatia.kmeans_segments('SPA', 'WEEK', 2, seed => 7);
select count(*) as models, count(distinct encoded) as different, count(distinct fingerprint) as fingerprints from empatia.model where seed = 7;
select level, grain, client, algorithm, target, features, parameters, metrics - '{iterations,spread,inertia}'::text[] as metrics, date_from, date_to, rows, distinct_rows, seconds >= 0 as seconds,
       seed, length(fingerprint), extension_version = empatia.version() as extension_version, created_by = current_user as created_by, encoded is not null as encoded
from empatia.model order by version desc limit 1;
-- other data, another fingerprint
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, space_id) values (1, 1, 99, 1, 1, 1, '2025-03-03 12:00Z', '2025-03-03', 1);
select mode from empatia.build_cube(full_build => true);
select count(*) from empatia.kmeans_segments('SPA', 'WEEK', 2, seed => 7);
select count(distinct fingerprint) as fingerprints from empatia.model where seed = 7;
delete from dw.fact_interaction where interaction_id = 99;
select mode from empatia.build_cube(full_build => true);

-- choose_k
select k, segments, round(inertia::numeric, 6) as inertia, round(silhouette::numeric, 4) as silhouette, silhouette_sample, recommended from empatia.choose_k('SPA', 'WEEK', 1, 3);
select k, segments, recommended from empatia.choose_k('SPA', 'WEEK', 2, 5);
select * from empatia.choose_k('SPA', 'WEEK', 0, 3);
select * from empatia.choose_k('SPA', 'WEEK', 4, 3);
select * from empatia.choose_k('SPA', 'WEEK', 2, 101);
select * from empatia.choose_k('SPA', 'WEEK', n_init => 0);
select * from empatia.choose_k('SPA', 'WEEK', k_min => null);
select * from empatia.choose_k('SPA', 'YEAR');
-- what kmeans_segments refuses
select count(*) as models from empatia.model \gset
select * from empatia.kmeans_segments('SPA', 'WEEK', 0);
select * from empatia.kmeans_segments('SPA', 'WEEK', 1001);
select * from empatia.kmeans_segments('SPA', 'WEEK', n_init => 0);
select * from empatia.kmeans_segments('SPA', 'WEEK', max_iter => -1);
select * from empatia.kmeans_segments('SPA', 'WEEK', tolerance => -1);
select * from empatia.kmeans_segments('SPA', 'WEEK', tolerance => 'NaN');
select * from empatia.kmeans_segments('SPA', 'WEEK', seed => null);
select * from empatia.kmeans_segments('SPA', 'WEEK', client => 'b');
select * from empatia.kmeans_segments('SPA', 'MONTH');
select * from empatia.kmeans_segments('TURMA', 'WEEK');
select * from empatia.kmeans_segments('SPA', 'DAY');
-- none of them left a model behind
select count(*) - :models as new_models from empatia.model;

-- a part of the cube without a row
update empatia.excluded_role set role = 'member' where role = 'tutor';
select dense_rows, stored_rows from empatia.build_cube();
select * from empatia.kmeans_segments('SPA', 'WEEK', 2);
select * from empatia.choose_k('SPA', 'WEEK', 2, 3);
select dense_rows, written_rows from empatia.classify();
select count(*) from analytics.cubo_engajamento;
