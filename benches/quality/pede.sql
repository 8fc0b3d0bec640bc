-- The tasks of PEDE. Variables: rows (CSV of pede_rows.py). Out of fold; folds by student, seed 42.
\set ON_ERROR_STOP on
\pset format aligned
SET client_min_messages = warning;
CREATE TEMPORARY TABLE pede (ra text, ano integer, fase double precision, turma text, idade double precision, genero text, ano_ingresso integer, instituicao text,
    pedra_20 text, pedra_21 text, pedra_22 text, pedra_23 text, inde_22 double precision, inde_23 double precision, pedra text, inde double precision,
    cg double precision, cf double precision, ct double precision, n_av double precision, rec_av1 text, rec_av2 text, rec_av3 text, rec_av4 text,
    iaa double precision, ieg double precision, ips double precision, rec_psicologia text, ida double precision, mat double precision, por double precision, ing double precision,
    indicado text, atingiu_pv text, ipv double precision, ipp double precision, ian double precision, fase_ideal double precision, defasagem double precision,
    destaque_ieg text, destaque_ida text, destaque_ipv text, ativo text);
\copy pede FROM pstdin CSV HEADER
ANALYZE pede;
