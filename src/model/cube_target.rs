//! What a classifier of the cube is to tell: decoded from what SQL says, labels read.

use std::collections::BTreeSet;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{FeatureRecipe, SegmentClasses, Target, ACTIVE_CLASSES};
use empatia_engine::segment::SegmentModel;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cube_structure::push;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Date, Int4, Int8, Text};
use crate::pg::read::query;

/// As SQL says it.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum CubeTarget {
    /// Rows that a query labels: client_id integer, user_id bigint, unit_id bigint, period_start date, class text.
    Labels { query: String },
    /// Whether the member is active in one of the next periods.
    InactiveNext {
        horizon: usize,
        #[serde(default)]
        population: Population,
        /// What the classes are called: active, inactive.
        #[serde(default)]
        names: Option<[String; 2]>,
    },
    /// Segment of the row; `encoded` as bytea is written in JSON, `labels` by rank.
    Segment {
        encoded: String,
        #[serde(default)]
        labels: Map<String, Value>,
    },
}

/// Which rows take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Population {
    /// Those of members who were active in the window.
    #[default]
    Active,
    All,
}

/// A labelled row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label {
    pub client: i32,
    pub unit: i64,
    pub user: i64,
    pub day: i32,
    pub class: u32,
}

/// What the rows are given as class.
#[derive(Debug)]
pub(super) enum Classes {
    /// Ascending.
    Labels(Vec<Label>, Reservation),
    OfCube(Target),
}

impl CubeTarget {
    /// # Errors
    /// 22023 when it is none.
    pub fn decode(value: Value) -> Result<Self> {
        let found: Self = serde_json::from_value(value).map_err(|e| {
            Error::invalid_parameter("target", "an object with kind labels, inactive_next or segment", e).hint(
                "For example {\"kind\": \"inactive_next\", \"horizon\": 2}, {\"kind\": \"labels\", \"query\": \"...\"} or \
                 {\"kind\": \"segment\", \"encoded\": \"\\\\x...\"}.",
            )
        })?;
        match &found {
            Self::InactiveNext { horizon, .. } if !(1..=1_000).contains(horizon) => Err(Error::invalid_parameter(
                "horizon",
                "between 1 and 1000 periods",
                horizon,
            )),
            _ => Ok(found),
        }
    }

    /// How many periods after its row the target looks.
    pub fn horizon(&self) -> usize {
        match self {
            Self::InactiveNext { horizon, .. } => *horizon,
            _ => 0,
        }
    }

    /// Whether the class is known only after the row's period; a segment is known with it.
    pub fn foresees(&self) -> bool {
        !matches!(self, Self::Segment { .. })
    }

    /// The features unless others are asked for. A segment is a function of the period's measures: more would only hide it.
    pub fn default_recipe(&self) -> FeatureRecipe {
        match self {
            Self::Segment { .. } => FeatureRecipe {
                history: 0,
                rank: false,
                context: false,
                ..FeatureRecipe::default()
            },
            _ => FeatureRecipe::default(),
        }
    }

    /// The classes of the rows, and their names.
    ///
    /// # Errors
    /// Those of the query; 22023 and XX001 for a segment model that is none.
    pub fn classes(&self, ctx: &Context) -> Result<(Classes, Vec<String>)> {
        match self {
            Self::Labels { query } => labels(ctx, query),
            Self::InactiveNext {
                horizon,
                population,
                names,
            } => {
                let target = Target::InactiveNext {
                    horizon: *horizon,
                    everybody: *population == Population::All,
                };
                let names = names.clone().unwrap_or_else(|| ACTIVE_CLASSES.map(String::from));
                Ok((Classes::OfCube(target), names.to_vec()))
            }
            Self::Segment { encoded, labels } => {
                let model = SegmentModel::from_bytes(&bytes(encoded)?).map_err(Error::from)?;
                let segments = SegmentClasses::new(ctx, model)?;
                let name = |rank: &u32| match labels.get(&rank.to_string()) {
                    Some(Value::String(label)) => label.clone(),
                    _ => format!("segmento {rank}"),
                };
                let names = segments.ranks().iter().map(name).collect();
                Ok((Classes::OfCube(Target::Segment(Box::new(segments))), names))
            }
        }
    }
}

/// Runs the query of labels; classes are numbered in the order of their names.
fn labels(ctx: &Context, sql: &str) -> Result<(Classes, Vec<String>)> {
    let mut reserved = ctx.reserve(0)?;
    let mut found: Vec<Label> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    query(sql, &[], &[Int4, Int8, Int8, Date, Text], |row| {
        let (Some(client), Some(user), Some(unit), Some(day), Some(class)) =
            (row.i32(0), row.i64(1), row.i64(2), row.date(3), row.text(4)?)
        else {
            return Ok(()); // nothing is said of such a row
        };
        // few names: most often the one before
        let known = names.iter().position(|name| name == class);
        let class = known.unwrap_or_else(|| {
            names.push(class.to_owned());
            names.len() - 1
        }) as u32;
        if names.len() > empatia_engine::data::MAX_CLASSES {
            let expected = format!("at most {}", empatia_engine::data::MAX_CLASSES);
            return Err(Error::invalid_parameter("number of classes", expected, names.len()));
        }
        push(
            &mut found,
            Label {
                client,
                unit,
                user,
                day,
                class,
            },
            &mut reserved,
        )
    })?;
    let sorted: Vec<String> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let rank: Vec<u32> = names
        .iter()
        .map(|name| sorted.binary_search(name).unwrap_or(0) as u32)
        .collect();
    found
        .iter_mut()
        .for_each(|label| label.class = rank[label.class as usize]);
    found.sort_unstable();
    Ok((Classes::Labels(found, reserved), sorted))
}

/// A bytea as JSON has it: `\x` and hexadecimal digits.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let wrong = || Error::invalid_parameter("encoded model", "\\x and pairs of hexadecimal digits", "something else");
    let digits = text.strip_prefix("\\x").ok_or_else(wrong)?;
    let digit = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().ok_or_else(wrong)
}
