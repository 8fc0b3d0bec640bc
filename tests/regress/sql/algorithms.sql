-- kmeans_segments(algorithm => 'gmm' and 'dbscan') on a class whose segments can be worked out by hand: posts 0 (3 rows), 3 (2 rows), 15 (1 row),
-- standardised -0.894, 0.447, 1.789, so neighbours are 1.342 apart. Faults guarded against: repeats that do not count; noise that takes the
-- label of a segment or is lost; a row of a later load that no class has; an option that is misspelt and ignored; a refusal without a remedy.
\set SHOW_CONTEXT never
create extension empatia;
\getenv srcdir PG_ABS_SRCDIR
\set fixture :srcdir '/fixture/small_class.sql'
\set ECHO none
\i :fixture
\set ECHO all
set extra_float_digits = 0;
select level, grain, dense_rows, stored_rows from empatia.build_cube();

-- a component per vector
select rank, label, size, share, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', 3, algorithm => 'gmm');
select algorithm, parameters, metrics - '{iterations,log_likelihood,bic,inertia}'::text[] as metrics, (metrics ->> 'inertia')::float8 < 1e-20 as no_inertia from empatia.model order by version desc limit 1;
-- density of each vector: weight / sqrt(2 pi 0.01)
select round((metrics ->> 'log_likelihood')::numeric, 6) = round(((3 * ln(0.5) + 2 * ln(1 / 3.0) + ln(1 / 6.0)) / 6 - 0.5 * ln(2 * pi()::numeric * 0.01)), 6) as by_hand from empatia.model order by version desc limit 1;
select rank, round(silhouette::numeric, 6) as silhouette, standardised from empatia.segment_profile('SPA', 'WEEK');
select written_rows, dense_rows from empatia.classify();
select categoria_engajamento, count(*), min(posts_amount), max(posts_amount) from analytics.cubo_engajamento group by 1 order by 4 desc;
-- more components than vectors
select rank, size from empatia.kmeans_segments('SPA', 'WEEK', 5, algorithm => 'gmm');
-- one component: everybody, at 4^(2/3) - 1 = 1.5198 posts; inertia = rows
select rank, size, centroid from empatia.kmeans_segments('SPA', 'WEEK', 1, algorithm => 'gmm', options => '{"regularisation": 1e-6, "covariance": "full"}');
select inertia, silhouette from empatia.segment_profile('SPA', 'WEEK');

-- nobody has neighbours within 0.5: a vector is core by its own repeats
select rank, label, size, share, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"eps": 0.5, "min_points": 2}');
select algorithm, parameters, metrics - 'inertia' as metrics, seed from empatia.model order by version desc limit 1;
select rank, round(silhouette::numeric, 6) as silhouette, inertia, standardised from empatia.segment_profile('SPA', 'WEEK');
select written_rows, dense_rows from empatia.classify();
select categoria_engajamento, count(*), min(posts_amount), max(posts_amount) from analytics.cubo_engajamento group by 1 order by 4 desc;
-- a class for vectors that the fit has not met: 4 posts are near the core row of 3, 40 near none
insert into dw.fact_interaction (client_id, source_id, interaction_id, user_id, interaction_type_id, amount, occurred_at, day, space_id)
    select 1, 1, 99 + x.posts, min(x.user_id), 1, case x.posts when 3 then 1 else 25 end, '2025-03-03 12:00Z', '2025-03-03', 1 from analytics.cube_spa_week x group by x.posts;
select mode from empatia.build_cube(full_build => true);
select written_rows from empatia.classify();
select categoria_engajamento, posts_amount, count(*) from analytics.cubo_engajamento group by 1, 2 order by 2 desc;
delete from dw.fact_interaction where interaction_id >= 99;
select mode from empatia.build_cube(full_build => true);
-- within 1.35 all are neighbours of the next; of the rows around them, the last vector has three: with four it is a border, not a core
select rank, size from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"eps": 1.35, "min_points": 4}');
select metrics - 'inertia' as metrics from empatia.model order by version desc limit 1;
-- all is noise; it may have a label of its own
insert into empatia.label_rank (rank, label) values (0, 'fora do padrão');
select rank, label, size, centroid from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"eps": 0.5, "min_points": 4}');
select silhouette, davies_bouldin, inertia from empatia.segment_profile('SPA', 'WEEK');
-- nothing is
select rank, size, score, centroid from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"eps": 0.5, "min_points": 1}');
-- equal arguments: equal models
select count(*) from empatia.kmeans_segments('SPA', 'WEEK', 2, seed => 7, algorithm => 'gmm');
select count(*) from empatia.kmeans_segments('SPA', 'WEEK', 2, seed => 7, algorithm => 'gmm');
select count(*) as models, count(distinct encoded) as different from empatia.model where seed = 7;
-- choose_k() is about K-Means, whatever the model in use was found with
select k, segments, recommended from empatia.choose_k('SPA', 'WEEK', 2, 3);

-- what is refused
select count(*) as models from empatia.model \gset
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'optics');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => null);
select * from empatia.kmeans_segments('SPA', 'WEEK', options => null);
select * from empatia.kmeans_segments('SPA', 'WEEK', options => '{"eps": 1}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'gmm', options => '{"reg": 1}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'gmm', options => '{"regularisation": 0}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'gmm', options => '{"regularisation": "much"}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'gmm', options => '{"covariance": "tied"}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'gmm', tolerance => -1);
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"epsilon": 1}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"eps": -1}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"min_points": 0}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '{"min_points": 1.5}');
select * from empatia.kmeans_segments('SPA', 'WEEK', algorithm => 'dbscan', options => '[1]');
select * from empatia.kmeans_segments('SPA', 'WEEK', 3, algorithm => 'dbscan');
-- beyond a limit: the vectors of a query, as if the cube were larger
select total_rows, distinct_rows, n_clusters from empatia._fit_segments('SELECT v::float8, 25000::float8 FROM generate_series(1, 4) v WHERE $1::integer IS NULL', NULL, '{posts}', '{1}', 4, 42, 1, 300, 1e-4, 'gmm');
select n_clusters from empatia._fit_segments('SELECT v::float8, 25001::float8 FROM generate_series(1, 4) v WHERE $1::integer IS NULL', NULL, '{posts}', '{1}', 1, 42, 1, 300, 1e-4, 'gmm');
select n_clusters from empatia._fit_segments('SELECT v::float8, 10000::float8 FROM generate_series(1, 9) v WHERE $1::integer IS NULL', NULL, '{posts}', '{1}', 5, 42, 1, 300, 1e-4, 'gmm');
select n_clusters from empatia._fit_segments('SELECT v::float8, 1::float8 FROM generate_series(1, 50001) v WHERE $1::integer IS NULL', NULL, '{posts}', '{1}', 1, 42, 1, 300, 1e-4, 'dbscan');
select n_clusters from empatia._fit_segments('SELECT v::float8, 1::float8 FROM generate_series(1, 2000) v WHERE $1::integer IS NULL', NULL, '{posts}', '{1}', 1, 42, 1, 300, 1e-4, 'dbscan', '{"eps": 1e-6, "min_points": 1}');
-- none of them left a model behind
select count(*) - :models as new_models from empatia.model;
