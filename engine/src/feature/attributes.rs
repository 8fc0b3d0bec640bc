//! What is known of students apart from the cube.

use std::sync::Arc;

use crate::data::Column;
use crate::error::{EngineError, Result};

/// An attribute: a number, or a category by the position of its level.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub name: String,
    /// None for a number.
    pub levels: Option<Arc<[String]>>,
}

/// Distinct combinations of attribute values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes {
    columns: Vec<Attribute>,
    /// Row-major; NaN is missing.
    values: Vec<f64>,
}

impl Attributes {
    /// Takes the combinations, row-major: numbers, positions of levels, NaN where a value is missing.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::InvalidParameter`] for a position without level.
    pub fn new(columns: Vec<Attribute>, values: Vec<f64>) -> Result<Self> {
        let width = columns.len();
        if width == 0 && values.is_empty() {
            return Ok(Self::default());
        }
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(EngineError::Dimension {
                what: "values of attributes",
                expected: width,
                found: values.len(),
            });
        }
        for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let Some(levels) = &columns[index % width].levels else {
                continue;
            };
            if value.fract() != 0.0 || !(0.0..levels.len() as f64).contains(value) {
                let expected = format!("a position below {}", levels.len());
                return Err(EngineError::invalid("level of an attribute", expected, value));
            }
        }
        Ok(Self { columns, values })
    }

    /// The attributes.
    pub fn columns(&self) -> &[Attribute] {
        &self.columns
    }

    /// Combination `number`.
    pub fn row(&self, number: u32) -> &[f64] {
        let width = self.columns.len();
        &self.values[number as usize * width..][..width]
    }

    /// Number of combinations.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Attribute {
    /// The column of a table with these values, as [`Attributes`] hold them.
    pub(super) fn column(&self, values: impl Iterator<Item = f64>) -> Column {
        use crate::data::{Values, MISSING};
        match &self.levels {
            None => Column::numeric(self.name.clone(), values.collect()),
            Some(levels) => Column {
                name: self.name.clone(),
                values: Values::Category {
                    levels: Arc::clone(levels),
                    codes: values
                        .map(|value| if value.is_nan() { MISSING } else { value as u32 })
                        .collect(),
                },
            },
        }
    }
}
