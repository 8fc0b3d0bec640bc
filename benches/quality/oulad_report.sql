-- AUC out of fold: of all predictions together, and over the folds.
select t.name, t.rows, t.features, round(t.pooled::numeric, 4) as auc, round(t.mean::numeric, 4) as mean, round(t.sd::numeric, 4) as sd, round(t.brier::numeric, 4) as brier,
       t.bar, t.pooled >= t.bar as met, round(t.seconds::numeric, 1) as seconds
from tried t order by t.place;
