-- The words that reasons are put in: data, so that a school says it in its own. How a text is filled is in engine/src/words.

CREATE TABLE empatia.feature_text (
    feature text NOT NULL,
    language text NOT NULL CHECK (language IN ('pt', 'en')),
    format text NOT NULL DEFAULT 'count' CHECK (format IN ('count', 'decimal', 'percent', 'signed', 'rank', 'since')),
    name text,
    zero text,
    low text,
    middle text NOT NULL,
    high text,
    missing text,
    PRIMARY KEY (feature, language)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.feature_text', '');
COMMENT ON TABLE empatia.feature_text IS 'words for the features of classifiers, from which the reasons in cubo_engajamento are made; run classify() after a change';
COMMENT ON COLUMN empatia.feature_text.feature IS 'a feature; or _lag1, _lag, _sum: around the {phrase} of a measure of earlier periods, _activity_in: for the use of a kind of lectures, _despite: around what speaks against the class, _other: a feature without a row, _class_NAME: what a class is called';
COMMENT ON COLUMN empatia.feature_text.format IS 'how the number is written and when it is little or much: count, decimal, percent (of 0..1), signed, rank (percentile), since (periods)';
COMMENT ON COLUMN empatia.feature_text.name IS 'plural noun, for {name}';
COMMENT ON COLUMN empatia.feature_text.zero IS 'for 0; null: as any other number';
COMMENT ON COLUMN empatia.feature_text.low IS 'for little; null: middle';
COMMENT ON COLUMN empatia.feature_text.middle IS 'for what is neither little nor much. {value} is the number, {value|one|many} a word by it, [text] only after "despite", <text> only where its holes are known';
COMMENT ON COLUMN empatia.feature_text.high IS 'for much; null: middle';
COMMENT ON COLUMN empatia.feature_text.missing IS 'where there is no value; null: middle';

CREATE FUNCTION empatia._fill_feature_text() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO empatia.feature_text (language, feature, format, name, zero, low, middle, high, missing) VALUES
        ('pt', 'posts', 'count', 'postagens', 'nenhuma postagem', 'poucas postagens ({value})', '{value} {value|postagem|postagens}', 'muitas postagens ({value})', NULL),
        ('pt', 'post_replies', 'count', 'respostas a postagens', 'nenhuma resposta a postagens', 'poucas respostas a postagens ({value})', '{value} {value|resposta|respostas} a postagens', 'muitas respostas a postagens ({value})', NULL),
        ('pt', 'help_requests', 'count', 'pedidos de ajuda', 'nenhum pedido de ajuda', 'poucos pedidos de ajuda ({value})', '{value} {value|pedido|pedidos} de ajuda', 'muitos pedidos de ajuda ({value})', NULL),
        ('pt', 'help_request_replies', 'count', 'respostas a pedidos de ajuda', 'nenhuma resposta a pedidos de ajuda', 'poucas respostas a pedidos de ajuda ({value})', '{value} {value|resposta|respostas} a pedidos de ajuda', 'muitas respostas a pedidos de ajuda ({value})', NULL),
        ('pt', 'accesses', 'count', 'acessos', 'nenhum acesso', 'poucos acessos ({value})', '{value} {value|acesso|acessos}', 'muitos acessos ({value})', NULL),
        ('pt', 'active_days', 'count', 'dias ativos', 'nenhum dia ativo', 'poucos dias ativos ({value})', '{value} {value|dia ativo|dias ativos}', 'muitos dias ativos ({value})', NULL),
        ('pt', 'assigned_exercises', 'count', 'exercícios atribuídos', 'nenhum exercício atribuído', 'poucos exercícios atribuídos ({value})', '{value} {value|exercício atribuído|exercícios atribuídos}', 'muitos exercícios atribuídos ({value})', NULL),
        ('pt', 'submitted_exercises', 'count', 'exercícios entregues', 'nenhum exercício entregue< (0 de {assigned})>', 'poucos exercícios entregues ({value}< de {assigned}>)', 'exercícios entregues ({value}< de {assigned}>)', 'muitos exercícios entregues ({value}< de {assigned}>)', NULL),
        ('pt', 'late_exercises', 'count', 'entregas atrasadas', 'nenhuma entrega atrasada', 'poucas entregas atrasadas ({value})', '{value} {value|entrega atrasada|entregas atrasadas}', 'muitas entregas atrasadas ({value})', NULL),
        ('pt', 'grade_avg', 'percent', 'notas', 'nota média zero', 'nota média baixa ({value})', 'nota média de {value}', 'nota média alta ({value})', '[estar ]sem nota'),
        ('pt', 'conclusion', 'percent', NULL, 'conclusão de 0 % dos exercícios', 'conclusão baixa dos exercícios ({value})', 'conclusão de {value} dos exercícios', 'conclusão alta dos exercícios ({value})', 'nenhum exercício a entregar'),
        ('pt', 'late_share', 'percent', NULL, 'nenhum atraso nas entregas', 'poucas entregas com atraso ({value})', '{value} das entregas com atraso', 'muitas entregas com atraso ({value})', 'nenhuma entrega recente'),
        ('pt', 'active_share', 'percent', NULL, 'nenhum período ativo entre os últimos {window}', 'atividade rara ({value} dos períodos)', 'atividade em {value} dos períodos', 'atividade frequente ({value} dos períodos)', NULL),
        ('pt', 'periods_since_active', 'since', NULL, 'atividade neste período', NULL, '[estar ]sem atividade há {value} {value|período|períodos}<{capped} ou mais>', NULL, '[estar ]sem atividade até agora'),
        ('pt', 'activity_slope', 'signed', NULL, 'atividade estável', 'atividade em queda ({value} por período)', 'atividade estável', 'atividade em alta ({value} por período)', 'atividade sem tendência conhecida'),
        ('pt', 'activity_rank', 'rank', NULL, NULL, 'atividade abaixo de {complement} da turma', 'atividade no meio da turma', 'atividade acima de {value} da turma', NULL),
        ('pt', 'sum_rank', 'rank', NULL, NULL, 'atividade abaixo de {complement} da turma nos últimos {window} períodos', 'atividade no meio da turma nos últimos {window} períodos', 'atividade acima de {value} da turma nos últimos {window} períodos', NULL),
        ('pt', 'unit_size', 'count', NULL, NULL, 'turma pequena ({value} {value|estudante|estudantes})', 'turma de {value} {value|estudante|estudantes}', 'turma grande ({value} estudantes)', NULL),
        ('pt', 'unit_mean_activity', 'decimal', NULL, 'turma sem atividade no período', 'turma pouco ativa (média {value})', 'turma com atividade média de {value}', 'turma muito ativa (média {value})', NULL),
        ('pt', 'unit_active_share', 'percent', NULL, '[não haver ]ninguém ativo na turma', 'poucos colegas ativos ({value})', '{value} da turma com atividade', 'muitos colegas ativos ({value})', NULL),
        ('pt', 'unit_age', 'count', NULL, '[ser o ]primeiro período ativo da turma', NULL, 'turma ativa há {value} {value|período|períodos}', NULL, 'turma ainda sem atividade'),
        ('pt', 'due_exercises', 'count', NULL, 'nenhum exercício vencido até aqui', 'poucos exercícios vencidos até aqui ({value})', '{value} {value|exercício vencido|exercícios vencidos} até aqui', 'muitos exercícios vencidos até aqui ({value})', NULL),
        ('pt', 'missing_exercises', 'count', NULL, 'nenhum exercício vencido sem entrega', '{value} {value|exercício vencido|exercícios vencidos} sem entrega', '{value} {value|exercício vencido|exercícios vencidos} sem entrega', 'muitos exercícios vencidos sem entrega ({value})', NULL),
        ('pt', 'credited_exercises', 'count', NULL, 'nenhum resultado aproveitado de outra turma', NULL, '{value} {value|resultado aproveitado|resultados aproveitados} de outra turma', NULL, NULL),
        ('pt', 'days_early', 'signed', NULL, 'entregas no dia do prazo, em média', 'entregas depois do prazo, em média ({value} {value|dia|dias})', 'entregas no dia do prazo, em média', 'entregas antes do prazo, em média ({value} {value|dia|dias})', 'nenhuma entrega com prazo até aqui'),
        ('pt', 'last_days_early', 'signed', NULL, 'última entrega no dia do prazo', 'última entrega depois do prazo ({value} {value|dia|dias})', 'última entrega no dia do prazo', 'última entrega antes do prazo ({value} {value|dia|dias})', 'nenhuma entrega com prazo até aqui'),
        ('pt', 'due_grade', 'percent', NULL, 'nota zero no que já venceu', 'nota baixa no que já venceu ({value})', 'nota de {value} no que já venceu', 'nota alta no que já venceu ({value})', 'nada vencido que valha nota'),
        ('pt', 'last_grade', 'percent', NULL, 'nota zero na última entrega', 'nota baixa na última entrega ({value})', 'nota de {value} na última entrega', 'nota alta na última entrega ({value})', 'nenhuma entrega com nota até aqui'),
        ('pt', 'lowest_grade', 'percent', NULL, 'menor nota zero', 'menor nota baixa ({value})', 'menor nota de {value}', 'menor nota alta ({value})', 'nenhuma entrega com nota até aqui'),
        ('pt', '_activity_in', 'count', NULL, 'nenhuma atividade em {name} nos últimos {window} períodos', 'pouca atividade em {name} nos últimos {window} períodos ({value})', 'atividade em {name} nos últimos {window} períodos ({value})', 'muita atividade em {name} nos últimos {window} períodos ({value})', NULL),
        ('pt', 'lectures_used', 'count', NULL, 'nenhuma aula acessada até aqui', 'poucas aulas acessadas até aqui ({value})', '{value} {value|aula acessada|aulas acessadas} até aqui', 'muitas aulas acessadas até aqui ({value})', NULL),
        ('pt', 'lecture_coverage', 'percent', NULL, 'nenhuma das aulas que a turma acessa', 'poucas das aulas que a turma acessa ({value})', '{value} das aulas que a turma acessa', 'muitas das aulas que a turma acessa ({value})', 'nenhuma aula que a turma acesse'),
        ('pt', 'enrolled_days', 'signed', NULL, 'matrícula no dia do início', 'matrícula depois do início ({value} {value|dia|dias})', 'matrícula no dia do início', 'matrícula antes do início ({value} {value|dia|dias})', 'dia da matrícula sem informação'),
        ('pt', 'course', 'decimal', NULL, NULL, NULL, 'curso {value}', NULL, 'curso sem informação'),
        ('pt', '_lag1', 'count', NULL, NULL, NULL, '{phrase} no período anterior', NULL, '[estar ]sem registro de {name} no período anterior'),
        ('pt', '_lag', 'count', NULL, NULL, NULL, '{phrase} {lag} períodos antes', NULL, '[estar ]sem registro de {name} {lag} períodos antes'),
        ('pt', '_sum', 'count', NULL, NULL, NULL, '{phrase} nos últimos {window} períodos', NULL, NULL),
        ('pt', '_despite', 'count', NULL, NULL, NULL, 'apesar de {phrase}', NULL, NULL),
        ('pt', '_other', 'decimal', NULL, NULL, NULL, '{name}: {value}', NULL, '{name} sem informação'),
        ('pt', '_class_active', 'count', NULL, NULL, NULL, 'atividade esperada', NULL, NULL),
        ('pt', '_class_inactive', 'count', NULL, NULL, NULL, 'risco de inatividade', NULL, NULL),
        ('en', 'posts', 'count', 'posts', 'no posts', 'few posts ({value})', '{value} {value|post|posts}', 'many posts ({value})', NULL),
        ('en', 'post_replies', 'count', 'replies to posts', 'no replies to posts', 'few replies to posts ({value})', '{value} {value|reply|replies} to posts', 'many replies to posts ({value})', NULL),
        ('en', 'help_requests', 'count', 'requests for help', 'no requests for help', 'few requests for help ({value})', '{value} {value|request|requests} for help', 'many requests for help ({value})', NULL),
        ('en', 'help_request_replies', 'count', 'replies to requests for help', 'no replies to requests for help', 'few replies to requests for help ({value})', '{value} {value|reply|replies} to requests for help', 'many replies to requests for help ({value})', NULL),
        ('en', 'accesses', 'count', 'accesses', 'no accesses', 'few accesses ({value})', '{value} {value|access|accesses}', 'many accesses ({value})', NULL),
        ('en', 'active_days', 'count', 'active days', 'no active days', 'few active days ({value})', '{value} active {value|day|days}', 'many active days ({value})', NULL),
        ('en', 'assigned_exercises', 'count', 'exercises assigned', 'no exercises assigned', 'few exercises assigned ({value})', '{value} {value|exercise|exercises} assigned', 'many exercises assigned ({value})', NULL),
        ('en', 'submitted_exercises', 'count', 'exercises handed in', 'no exercise handed in< (0 of {assigned})>', 'few exercises handed in ({value}< of {assigned}>)', 'exercises handed in ({value}< of {assigned}>)', 'many exercises handed in ({value}< of {assigned}>)', NULL),
        ('en', 'late_exercises', 'count', 'exercises handed in late', 'no exercise handed in late', 'few exercises handed in late ({value})', '{value} {value|exercise|exercises} handed in late', 'many exercises handed in late ({value})', NULL),
        ('en', 'grade_avg', 'percent', 'grades', 'mean grade of zero', 'low mean grade ({value})', 'mean grade of {value}', 'high mean grade ({value})', '[having ]no grade'),
        ('en', 'conclusion', 'percent', NULL, 'completion of 0% of the exercises', 'low completion of the exercises ({value})', 'completion of {value} of the exercises', 'high completion of the exercises ({value})', 'no exercise to hand in'),
        ('en', 'late_share', 'percent', NULL, 'nothing late among what was handed in', 'little handed in late ({value})', '{value} handed in late', 'much handed in late ({value})', 'nothing handed in recently'),
        ('en', 'active_share', 'percent', NULL, 'no active period among the last {window}', 'rare activity ({value} of the periods)', 'activity in {value} of the periods', 'frequent activity ({value} of the periods)', NULL),
        ('en', 'periods_since_active', 'since', NULL, 'activity in this period', NULL, '[having ]no activity for {value} {value|period|periods}<{capped} or more>', NULL, 'no activity so far'),
        ('en', 'activity_slope', 'signed', NULL, 'steady activity', 'falling activity ({value} per period)', 'steady activity', 'rising activity ({value} per period)', 'no known trend of activity'),
        ('en', 'activity_rank', 'rank', NULL, NULL, 'activity below {complement} of the class', 'activity in the middle of the class', 'activity above {value} of the class', NULL),
        ('en', 'sum_rank', 'rank', NULL, NULL, 'activity below {complement} of the class over the last {window} periods', 'activity in the middle of the class over the last {window} periods', 'activity above {value} of the class over the last {window} periods', NULL),
        ('en', 'unit_size', 'count', NULL, NULL, 'small class ({value} {value|student|students})', 'class of {value} {value|student|students}', 'large class ({value} students)', NULL),
        ('en', 'unit_mean_activity', 'decimal', NULL, 'no activity in the class', 'little activity in the class (mean {value})', 'mean activity of the class {value}', 'much activity in the class (mean {value})', NULL),
        ('en', 'unit_active_share', 'percent', NULL, 'nobody active in the class', 'few classmates active ({value})', '{value} of the class active', 'many classmates active ({value})', NULL),
        ('en', 'unit_age', 'count', NULL, '[being the ]first active period of the class', NULL, 'class active for {value} {value|period|periods}', NULL, 'no activity of the class yet'),
        ('en', 'due_exercises', 'count', NULL, 'no exercise due so far', 'few exercises due so far ({value})', '{value} {value|exercise|exercises} due so far', 'many exercises due so far ({value})', NULL),
        ('en', 'missing_exercises', 'count', NULL, 'no exercise due and missing', '{value} {value|exercise|exercises} due and missing', '{value} {value|exercise|exercises} due and missing', 'many exercises due and missing ({value})', NULL),
        ('en', 'credited_exercises', 'count', NULL, 'no result credited from elsewhere', NULL, '{value} {value|result|results} credited from elsewhere', NULL, NULL),
        ('en', 'days_early', 'signed', NULL, 'handing in on the day due, on average', 'handing in after the day due, on average ({value} {value|day|days})', 'handing in on the day due, on average', 'handing in before the day due, on average ({value} {value|day|days})', 'nothing handed in that had a date'),
        ('en', 'last_days_early', 'signed', NULL, 'last work handed in on the day due', 'last work handed in after the day due ({value} {value|day|days})', 'last work handed in on the day due', 'last work handed in before the day due ({value} {value|day|days})', 'nothing handed in that had a date'),
        ('en', 'due_grade', 'percent', NULL, 'grade of zero in what was due', 'low grade in what was due ({value})', 'grade of {value} in what was due', 'high grade in what was due ({value})', 'nothing due that counts'),
        ('en', 'last_grade', 'percent', NULL, 'last grade of zero', 'low last grade ({value})', 'last grade of {value}', 'high last grade ({value})', 'no grade so far'),
        ('en', 'lowest_grade', 'percent', NULL, 'lowest grade of zero', 'low lowest grade ({value})', 'lowest grade of {value}', 'high lowest grade ({value})', 'no grade so far'),
        ('en', '_activity_in', 'count', NULL, 'no activity in {name} over the last {window} periods', 'little activity in {name} over the last {window} periods ({value})', 'activity in {name} over the last {window} periods ({value})', 'much activity in {name} over the last {window} periods ({value})', NULL),
        ('en', 'lectures_used', 'count', NULL, 'no lecture used so far', 'few lectures used so far ({value})', '{value} {value|lecture|lectures} used so far', 'many lectures used so far ({value})', NULL),
        ('en', 'lecture_coverage', 'percent', NULL, 'none of the lectures that the class uses', 'few of the lectures that the class uses ({value})', '{value} of the lectures that the class uses', 'many of the lectures that the class uses ({value})', 'no lecture that the class uses'),
        ('en', 'enrolled_days', 'signed', NULL, 'enrolled on the first day', 'enrolled after the first day ({value} {value|day|days})', 'enrolled on the first day', 'enrolled before the first day ({value} {value|day|days})', 'day of enrolment unknown'),
        ('en', 'course', 'decimal', NULL, NULL, NULL, 'course {value}', NULL, 'course unknown'),
        ('en', '_lag1', 'count', NULL, NULL, NULL, '{phrase} in the period before', NULL, 'no record of {name} in the period before'),
        ('en', '_lag', 'count', NULL, NULL, NULL, '{phrase} {lag} periods before', NULL, 'no record of {name} {lag} periods before'),
        ('en', '_sum', 'count', NULL, NULL, NULL, '{phrase} over the last {window} periods', NULL, NULL),
        ('en', '_despite', 'count', NULL, NULL, NULL, 'despite {phrase}', NULL, NULL),
        ('en', '_other', 'decimal', NULL, NULL, NULL, '{name}: {value}', NULL, '{name} unknown'),
        ('en', '_class_active', 'count', NULL, NULL, NULL, 'activity expected', NULL, NULL),
        ('en', '_class_inactive', 'count', NULL, NULL, NULL, 'risk of inactivity', NULL, NULL)
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION empatia._fill_feature_text() IS 'the default words, in Portuguese and English; called by create_warehouse()';
