//! Models of any table: the numbers behind the SQL of `sql/risk/`.
mod drift;
mod expression;
mod loaded;
mod predict;
mod source;
mod train_table;
