//! Distinct feature vectors: many rows share one, and a model sees each once.

use super::{Attribute, Basis, FeatureRecipe};
use crate::context::Context;
use crate::data::{Column, Table, VectorSet};
use crate::error::Result;

/// Distinct vectors of a recipe, numbered in the order of their first appearance. Missing numbers are alike.
#[derive(Debug)]
pub struct FeatureVectors {
    numbers: Vec<String>,
    attributes: Vec<Attribute>,
    /// Bits of the numbers.
    known: VectorSet,
    bits: Vec<i64>,
}

impl FeatureVectors {
    /// An empty set; what it grows to counts against the budget of `ctx`. `attributes`: what the columns of the vectors'
    /// attributes are, from [`Attributes::columns`](super::Attributes::columns).
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn new(ctx: &Context, recipe: &FeatureRecipe, basis: Basis, attributes: &[Attribute]) -> Result<Self> {
        let numbers = recipe.numbers(basis);
        Ok(Self {
            known: VectorSet::new(ctx, numbers.len() + attributes.len())?,
            bits: Vec::with_capacity(numbers.len() + attributes.len()),
            attributes: attributes.to_vec(),
            numbers,
        })
    }

    /// Names of the features.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let attributes = self.attributes.iter().map(|attribute| attribute.name.as_str());
        self.numbers.iter().map(String::as_str).chain(attributes)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of `vector`, which is added if it is new.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory) when there is no room for a new one; the set is what
    /// it was before.
    pub fn insert(&mut self, vector: &[f64]) -> Result<usize> {
        self.bits.clear();
        self.bits.extend(vector.iter().map(|value| canonical(*value) as i64));
        self.known.insert(&self.bits)
    }

    /// Forgets all vectors and keeps their memory for others.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Feature `column` of vector `number`.
    pub fn value(&self, number: usize, column: usize) -> f64 {
        f64::from_bits(self.known.get(number)[column] as u64)
    }

    /// Name of the level of vector `number` in `column`, where that is a category and not missing.
    pub fn level(&self, number: usize, column: usize) -> Option<&str> {
        let attribute = self.attributes.get(column.checked_sub(self.numbers.len())?)?;
        let value = self.value(number, column);
        let levels = attribute.levels.as_ref().filter(|_| !value.is_nan())?;
        levels.get(value as usize).map(String::as_str)
    }

    /// The vectors numbered `from..to` as a table, which is not reserved for.
    ///
    /// # Errors
    /// Those of [`Table::new`]: a number beyond what an algorithm takes.
    pub fn table(&self, from: usize, to: usize) -> Result<Table> {
        let values = |column: usize| (from..to).map(move |number| self.value(number, column));
        let numbers = self.numbers.iter().enumerate();
        let numbers = numbers.map(|(column, name)| Column::numeric(name.clone(), values(column).collect()));
        let attributes = self.attributes.iter().enumerate();
        let attributes = attributes.map(|(at, attribute)| attribute.column(values(self.numbers.len() + at)));
        Table::new(numbers.chain(attributes).collect())
    }

    /// A number for vector `number` that depends on its values alone, levels by their names: the same in every session
    /// and version. Vectors that differ may share one, if very seldom: 64 bits.
    pub fn stable_hash(&self, number: usize) -> i64 {
        let vector = self.known.get(number);
        let (numbers, attributes) = vector.split_at(self.numbers.len());
        let state = numbers.iter().fold(0, |state, bits| mix(state, *bits as u64));
        let values = attributes.iter().zip(&self.attributes);
        values.fold(state, |state, (bits, attribute)| {
            let value = f64::from_bits(*bits as u64);
            match &attribute.levels {
                Some(levels) if !value.is_nan() => levels[value as usize]
                    .bytes()
                    .fold(mix(state, 1), |state, byte| mix(state, u64::from(byte))),
                _ => mix(state, *bits as u64),
            }
        }) as i64
    }
}

/// Bits of `value`: one pattern for all NaN, one for both zeros.
fn canonical(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        (value + 0.0).to_bits()
    }
}

/// Takes `value` into `state` (the finaliser of SplitMix64 over a running sum). Never to be changed: it is stored.
fn mix(state: u64, value: u64) -> u64 {
    let mut z = (state ^ value).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).rotate_left(17).wrapping_add(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn small() -> FeatureRecipe {
        serde_json::from_str(
            r#"{"measures":["posts","grade_avg"],"history":0,"rank":false,"context":false,"attributes":["region"]}"#,
        )
        .unwrap()
    }

    fn set(levels: [&str; 2]) -> FeatureVectors {
        let ctx = Context::builder().build().unwrap();
        let region = Attribute {
            name: "region".into(),
            levels: Some(Arc::from(levels.map(String::from).to_vec())),
        };
        FeatureVectors::new(&ctx, &small(), Basis::Universe, &[region]).unwrap()
    }

    #[test]
    fn missing_numbers_and_both_zeros_are_alike() {
        let mut known = set(["a", "b"]);
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        assert_eq!(known.insert(&[0.0, f64::NAN, 1.0]).unwrap(), 0);
        assert_eq!(known.insert(&[-0.0, other_nan, 1.0]).unwrap(), 0);
        assert_eq!(known.insert(&[0.0, 0.0, 1.0]).unwrap(), 1);
        let table = known.table(1, 2).unwrap();
        assert_eq!(table.n_rows(), 1);
        assert_eq!(known.names().collect::<Vec<_>>(), ["posts", "grade_avg", "region"]);
    }

    #[test]
    fn the_hash_is_that_of_the_names_and_of_the_values_and_never_changes() {
        let (mut one, mut two) = (set(["north", "south"]), set(["south", "north"]));
        one.insert(&[3.0, 0.5, 0.0]).unwrap();
        two.insert(&[3.0, 0.5, 1.0]).unwrap();
        assert_eq!(one.stable_hash(0), two.stable_hash(0));
        two.insert(&[3.0, 0.5, 0.0]).unwrap();
        two.insert(&[0.5, 3.0, 1.0]).unwrap();
        two.insert(&[3.0, 0.5, f64::NAN]).unwrap();
        let mut all: Vec<i64> = (0..4).map(|number| two.stable_hash(number)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);
    }
}
