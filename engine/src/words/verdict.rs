//! What a classifier says of rows: the class, how probable it is, and the strongest reasons, in words.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;

use super::phrasebook::{FeatureText, Phrasebook, Typical, Value};
use super::Language;
use crate::classifier::{Bins, ClassifierExplainer, ClassifierModel, Contributions, Histogram};
use crate::context::Context;
use crate::data::{Table, Values, MISSING};
use crate::error::Result;

/// Reasons given.
pub const REASONS: usize = 3;
/// Words that a thread remembers, about.
const MOST_WORDS: usize = 1 << 16;
/// Rows that a thread takes at a time.
const CHUNK: usize = 2_048;

/// What is said of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    pub class: u32,
    /// Of that class, calibrated.
    pub probability: f64,
    /// The strongest contributions, strongest first, as [`reason_id`]; 0: there are no more.
    pub reasons: [i64; REASONS],
}

/// The reasons that were given, by their ids.
pub type Dictionary = HashMap<i64, String>;

/// A hash of the words (FNV-1a, 64 bits), never 0. Never to be changed: it is stored.
pub fn reason_id(words: &str) -> i64 {
    let hash = words.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1) as i64
}

/// A classifier with the words for its columns.
#[derive(Debug)]
pub struct Judge<'a> {
    model: &'a ClassifierModel,
    explainer: OnceLock<ClassifierExplainer>,
    book: Phrasebook,
    /// Of each column, see [`family`].
    families: Vec<u8>,
    /// Of each thread.
    words: Mutex<Vec<Words>>,
}

impl<'a> Judge<'a> {
    /// `window`: periods that a window of the features has.
    pub fn new(model: &'a ClassifierModel, language: Language, texts: &[FeatureText], window: usize) -> Self {
        let columns: Vec<String> = model.columns().iter().map(|column| column.name.clone()).collect();
        let histograms: HashMap<&str, &Histogram> = model
            .histograms()
            .iter()
            .map(|found| (found.name.as_str(), found))
            .collect();
        let typical: Vec<Option<Typical>> = columns
            .iter()
            .map(|name| histograms.get(name.as_str()).and_then(|found| typical(found)))
            .collect();
        let book = Phrasebook::new(language, texts, &columns, &typical, window);
        Self {
            families: columns.iter().map(|name| family(name)).collect(),
            model,
            explainer: OnceLock::new(),
            book,
            words: Mutex::default(),
        }
    }

    /// A verdict per row of `table`; the words of its reasons go into `dictionary`, unless an earlier call gave them: all tables that are judged
    /// have the same columns, levels included.
    ///
    /// # Errors
    /// As [`ClassifierModel::explain`].
    pub fn judge(&self, ctx: &Context, table: &Table, dictionary: &mut Dictionary) -> Result<Vec<Verdict>> {
        let k = self.model.classes().len();
        let probabilities = self.model.predict(ctx, table)?;
        let _probabilities = ctx.reserve_for::<f64>(probabilities.len())?;
        let classes: Vec<u32> = probabilities
            .chunks_exact(k)
            .map(|row| self.model.decide(row))
            .collect();
        let _explainer = ctx.reserve(self.model.explainer_bytes())?;
        let explainer = self.explainer.get_or_init(|| self.model.explainer());
        let found = self.model.explain_with(ctx, explainer, table, &classes)?;
        let _found = ctx.reserve_for::<f64>(found.values.len())?;
        let columns = self.columns(table);
        let chunk = |rows: std::ops::Range<usize>| {
            ctx.check()?;
            let mut words = self.lent().pop().unwrap_or_default();
            let verdicts: Vec<Verdict> = rows
                .map(|row| Verdict {
                    class: classes[row],
                    probability: probabilities[row * k + classes[row] as usize],
                    reasons: self.reasons(&columns, &found, row, &mut words),
                })
                .collect();
            let texts = std::mem::take(&mut words.texts);
            if words.known.len() < MOST_WORDS {
                self.lent().push(words);
            }
            Ok((verdicts, texts))
        };
        let starts: Vec<usize> = (0..table.n_rows()).step_by(CHUNK).collect();
        let range = |start: &usize| *start..table.n_rows().min(start + CHUNK);
        let chunks: Vec<(Vec<Verdict>, Dictionary)> = ctx.run(|| {
            starts
                .par_iter()
                .map(|start| chunk(range(start)))
                .collect::<Result<_>>()
        })?;
        let mut verdicts = Vec::with_capacity(table.n_rows());
        for (part, texts) in chunks {
            verdicts.extend(part);
            dictionary.extend(texts);
        }
        Ok(verdicts)
    }

    fn lent(&self) -> MutexGuard<'_, Vec<Words>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The words for what each column contributes to row `row` of a table: `contributions`, one per column.
    pub fn words(&self, table: &Table, row: usize, contributions: &[f64]) -> Vec<String> {
        let columns = self.columns(table);
        let number = |other: usize| {
            let values = columns.get(other).and_then(|values| *values);
            values.map_or(f64::NAN, |values| number(values, row))
        };
        let words = |(column, contribution): (usize, &f64)| {
            let value = columns[column].map_or(Value::Number(f64::NAN), |values| value_of(values, row));
            self.book.reason(column, value, &number, *contribution >= 0.0)
        };
        contributions
            .iter()
            .take(columns.len())
            .enumerate()
            .map(words)
            .collect()
    }

    /// The values of the model's columns in a table.
    fn columns<'t>(&self, table: &'t Table) -> Vec<Option<&'t Values>> {
        let columns = self.model.columns().iter().enumerate();
        columns
            .map(|(at, column)| table.values_near(at, &column.name).ok())
            .collect()
    }

    fn reasons(
        &self,
        columns: &[Option<&Values>],
        found: &Contributions,
        row: usize,
        words: &mut Words,
    ) -> [i64; REASONS] {
        let mut reasons = [0; REASONS];
        for (reason, (column, contribution)) in reasons.iter_mut().zip(strongest(found.of(row), &self.families)) {
            let supports = contribution > 0.0;
            let value = columns[column].map_or(Value::Number(f64::NAN), |values| value_of(values, row));
            let bits = match (value, columns[column]) {
                (Value::Number(number), _) => number.to_bits(),
                (_, Some(Values::Category { codes, .. })) => u64::from(codes[row]),
                _ => 0,
            };
            let numbers = |other: usize| columns[other].map_or(f64::NAN, |values| number(values, row));
            let beside = self.book.companion(column).map_or(0, |other| numbers(other).to_bits());
            *reason = *words.known.entry((column, bits, beside, supports)).or_insert_with(|| {
                let text = self.book.reason(column, value, &numbers, supports);
                let id = reason_id(&text);
                words.texts.insert(id, text);
                id
            });
        }
        reasons
    }
}

/// What was put into words already: the same number of the same column reads the same.
#[derive(Debug, Default)]
struct Words {
    known: HashMap<(usize, u64, u64, bool), i64>,
    /// What is new since they were lent.
    texts: Dictionary,
}

/// Columns that say the same where there is little to tell, as the grades of who was graded once: of each family one reason is enough.
/// 0: a family of its own.
fn family(column: &str) -> u8 {
    match column {
        "grade_avg" | "due_grade" | "last_grade" | "lowest_grade" => 1,
        "days_early" | "last_days_early" => 2,
        _ => 0,
    }
}

/// The contributions that are largest, whatever their sign, largest first; the first column of equal ones, one of each family.
fn strongest<'f>(contributions: &[f64], families: &'f [u8]) -> impl Iterator<Item = (usize, f64)> + 'f {
    let mut top = [(usize::MAX, 0.0f64); REASONS];
    for (column, value) in contributions.iter().enumerate() {
        let Some(place) = top.iter().position(|(_, other)| value.abs() > other.abs()) else {
            continue;
        };
        let own = families.get(column).copied().unwrap_or(0);
        let is_alike = |(other, _): &(usize, f64)| own > 0 && families.get(*other) == Some(&own);
        match top.iter().position(is_alike) {
            // a stronger one of the family is there
            Some(alike) if alike < place => continue,
            // takes its place
            Some(alike) => top[place..=alike].rotate_right(1),
            None => top[place..].rotate_right(1),
        }
        top[place] = (column, *value);
    }
    top.into_iter().take_while(|(column, _)| *column != usize::MAX)
}

fn number(values: &Values, row: usize) -> f64 {
    match values {
        Values::Numeric(values) => values[row],
        Values::Category { .. } => f64::NAN,
    }
}

fn value_of(values: &Values, row: usize) -> Value<'_> {
    match values {
        Values::Numeric(values) => Value::Number(values[row]),
        Values::Category { codes, .. } if codes[row] == MISSING => Value::Category(None),
        Values::Category { levels, codes } => Value::Category(levels.get(codes[row] as usize).map(String::as_str)),
    }
}

/// Terciles, to the next end of a bin; none for a column without two different values. Where most values are the largest there is no
/// much, only less than that.
fn typical(histogram: &Histogram) -> Option<Typical> {
    let Bins::Numeric { edges, .. } = &histogram.bins else {
        return None;
    };
    let known = 1.0 - histogram.missing_share();
    if edges.is_empty() || known <= 0.0 {
        return None;
    }
    // the end of the first bin at which so much of the weight lies at or below; the last bin has none
    let upto = |share: f64| {
        let mut below = 0.0;
        let ends = edges.iter().zip(&histogram.shares);
        let mut ends = ends.skip_while(|(_, weight)| {
            below += **weight;
            below < share * known - 1e-9
        });
        ends.next().map(|(edge, _)| *edge)
    };
    Some(Typical {
        low: upto(1.0 / 3.0).or(edges.last().copied())?,
        high: upto(2.0 / 3.0).unwrap_or(f64::INFINITY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(edges: &[f64], shares: &[f64]) -> Histogram {
        Histogram {
            name: "x".into(),
            bins: Bins::Numeric {
                edges: edges.to_vec(),
                tenths: None,
            },
            shares: shares.to_vec(),
        }
    }

    #[test]
    fn what_is_usual_lies_between_the_terciles() {
        // a third of the known values is at most 1, two thirds at most 3
        let even = typical(&histogram(&[1.0, 3.0], &[0.3, 0.3, 0.3, 0.1])).unwrap();
        assert_eq!(even, Typical { low: 1.0, high: 3.0 });
        // mostly nothing: anything is much
        let zeros = typical(&histogram(&[0.0, 2.0], &[0.9, 0.05, 0.05, 0.0])).unwrap();
        assert_eq!(zeros, Typical { low: 0.0, high: 0.0 });
        // mostly the largest: what is less is little, nothing is much
        let full = typical(&histogram(&[4.0], &[0.1, 0.9, 0.0])).unwrap();
        assert_eq!((full.low, full.high), (4.0, f64::INFINITY));
        assert_eq!(typical(&histogram(&[], &[1.0, 0.0])), None);
    }

    #[test]
    fn the_strongest_are_the_largest_whatever_their_sign() {
        let of = |values: &[f64]| strongest(values, &[]).collect::<Vec<_>>();
        assert_eq!(of(&[0.1, -0.5, 0.0, 0.3, 0.2]), [(1, -0.5), (3, 0.3), (4, 0.2)]);
        assert_eq!(of(&[0.0, -0.0, 0.2]), [(2, 0.2)]);
        assert_eq!(of(&[1.0, -1.0, 1.0, -1.0]), [(0, 1.0), (1, -1.0), (2, 1.0)]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn of_columns_that_say_the_same_only_the_strongest_is_a_reason() {
        // who was graded once has four columns with that one grade; they were all three reasons
        let names = [
            "posts",
            "grade_avg",
            "due_grade",
            "last_grade",
            "accesses",
            "days_early",
        ];
        let families = names.map(family);
        let of = |values: [f64; 6]| {
            strongest(&values, &families)
                .map(|(at, _)| names[at])
                .collect::<Vec<_>>()
        };
        let grades_first = of([0.1, 0.5, 0.7, -0.6, 0.2, 0.0]);
        assert_eq!(grades_first, ["due_grade", "accesses", "posts"]);
        // a stronger one takes the place of a weaker one that was among the three
        assert_eq!(of([0.4, 0.3, 0.0, 0.6, 0.5, 0.2]), ["last_grade", "accesses", "posts"]);
        assert_eq!(of([0.4, 0.3, 0.0, 0.35, 0.5, 0.2]), ["accesses", "posts", "last_grade"]);
        // of equal ones the first
        assert_eq!(of([0.0, 0.3, 0.3, -0.3, 0.0, 0.3]), ["grade_avg", "days_early"]);
    }

    #[test]
    fn ids_of_reasons_keep_their_meaning() {
        // FNV-1a of the bytes, from its published test vectors
        assert_eq!(reason_id("a") as u64, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(reason_id("foobar") as u64, 0x8594_4171_f739_67e8);
    }
}
