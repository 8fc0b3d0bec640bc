//! A classifier of the cube, ready to be used.

use empatia_engine::classifier::ColumnKind;
use empatia_engine::context::Context;
use empatia_engine::feature::CubeModel;
use empatia_engine::words::Judge;

use super::reason_texts::ReasonTexts;
use super::student_attributes::StudentAttributes;
use crate::error::Result;

/// The classifier with the words for its reasons.
pub(super) fn judge<'a>(cube_model: &'a CubeModel, texts: &ReasonTexts) -> Judge<'a> {
    let window = cube_model.recipe.history + 1;
    Judge::new(&cube_model.model, texts.language, &texts.texts, window)
}

/// The attributes that it looks at, of the students of a client or of all, or of one, of the kinds that it was trained on.
///
/// # Errors
/// As [`StudentAttributes::read`].
pub(super) fn attributes(
    ctx: &Context,
    level: &str,
    client_id: Option<i32>,
    user_id: Option<i64>,
    cube_model: &CubeModel,
) -> Result<StudentAttributes> {
    let names = &cube_model.recipe.attributes;
    let columns = cube_model.model.columns();
    let is_numeric = |name: &String| {
        let column = columns.iter().find(|column| column.name == *name);
        column.is_some_and(|column| column.kind == ColumnKind::Numeric)
    };
    let numeric: Vec<bool> = names.iter().map(is_numeric).collect();
    StudentAttributes::read(ctx, level, client_id, user_id, names, Some(&numeric))
}
