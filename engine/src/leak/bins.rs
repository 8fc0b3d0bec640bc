//! Columns as small codes: a bin of numbers or a level each.

use crate::data::{Values, MISSING};

/// Codes of a column's rows; 0 is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    pub of_row: Vec<u32>,
    /// One more than the largest.
    pub n: usize,
}

impl Codes {
    /// Numbers of at most `most` distinct values keep them, others fall into `bins` of about equally many rows; levels keep
    /// their code.
    pub fn new(values: &Values, rows: &[u32], most: usize, bins: usize) -> Self {
        match values {
            Values::Numeric(values) => {
                let values: Vec<f64> = rows.iter().map(|row| values[*row as usize]).collect();
                Self::of_numbers(&values, most, bins)
            }
            Values::Category { codes, levels } => Self {
                of_row: rows
                    .iter()
                    .map(|row| match codes[*row as usize] {
                        MISSING => 0,
                        code => code + 1,
                    })
                    .collect(),
                n: levels.len() + 1,
            },
        }
    }

    /// As [`Codes::new`], of numbers.
    pub fn of_numbers(values: &[f64], most: usize, bins: usize) -> Self {
        let mut sorted: Vec<f64> = values
            .iter()
            .copied()
            .filter(|x| !x.is_nan())
            .map(|x| x + 0.0)
            .collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        let mut distinct = sorted.clone();
        distinct.dedup();
        let uppers: Vec<f64> = if distinct.len() <= most {
            distinct
        } else {
            let mut uppers: Vec<f64> = (1..=bins).map(|bin| sorted[(bin * n / bins).max(1) - 1]).collect();
            uppers.dedup();
            uppers
        };
        let code = |x: &f64| {
            if x.is_nan() {
                0
            } else {
                uppers.partition_point(|upper| upper < x) as u32 + 1
            }
        };
        Self {
            of_row: values.iter().map(code).collect(),
            n: uppers.len() + 1,
        }
    }

    /// Only whether there is a value.
    pub fn presence(&self) -> Self {
        Self {
            of_row: self.of_row.iter().map(|code| u32::from(*code > 0)).collect(),
            n: 2,
        }
    }

    /// The codes of two columns as one.
    pub fn joined(&self, other: &Self) -> Self {
        let width = other.n as u64;
        let pairs = self.of_row.iter().zip(&other.of_row);
        let keys: Vec<u64> = pairs.map(|(a, b)| u64::from(*a) * width + u64::from(*b)).collect();
        let n = self.n.saturating_mul(other.n);
        if n <= 1 << 12 {
            return Self {
                of_row: keys.into_iter().map(|key| key as u32).collect(),
                n,
            };
        }
        let mut known = keys.clone();
        known.sort_unstable();
        known.dedup();
        Self {
            of_row: keys
                .iter()
                .map(|key| known.partition_point(|k| k < key) as u32)
                .collect(),
            n: known.len(),
        }
    }

    /// Whether it tells any two rows apart.
    pub fn is_constant(&self) -> bool {
        self.of_row.windows(2).all(|pair| pair[0] == pair[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_keep_theirs_and_many_fall_into_even_bins() {
        let few = Codes::of_numbers(&[3.0, 1.0, f64::NAN, 3.0, -0.0, 0.0], 5, 2);
        assert_eq!((few.of_row, few.n), (vec![3, 2, 0, 3, 1, 1], 4));
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let codes = Codes::of_numbers(&many, 10, 4);
        assert_eq!(codes.n, 5);
        assert!((1..=4).all(|bin| codes.of_row.iter().filter(|code| **code == bin).count() == 25));
    }

    #[test]
    fn joined_codes_tell_apart_what_either_tells_apart_however_many_there_are() {
        let (a, b) = (
            Codes {
                of_row: vec![0, 1, 1, 2],
                n: 3,
            },
            Codes {
                of_row: vec![5, 5, 0, 5],
                n: 6,
            },
        );
        let wide = Codes {
            of_row: b.of_row.clone(),
            n: 1 << 20,
        };
        for joined in [a.joined(&b), a.joined(&wide)] {
            let mut distinct = joined.of_row.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 4);
            assert!(joined.of_row.iter().all(|code| (*code as usize) < joined.n));
        }
    }
}
