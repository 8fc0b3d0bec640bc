//! Which features the rows of a model have.

use serde::{Deserialize, Serialize};

use super::{coverage, work};
use crate::error::{EngineError, Result};

/// Measures of a cell that are counts, in the order of [`Cell::counts`](super::Cell::counts).
pub const COUNTS: [&str; 9] = [
    "posts",
    "post_replies",
    "help_requests",
    "help_request_replies",
    "accesses",
    "active_days",
    "assigned_exercises",
    "submitted_exercises",
    "late_exercises",
];
/// The tenth measure: mean grade of the window.
pub const GRADE_AVG: &str = "grade_avg";
/// What names of features of a kind of lectures begin with.
pub const ACTIVITY_IN: &str = "activity_in_";
/// Longest history accepted: two years of weeks.
pub const MAX_HISTORY: usize = 104;

pub(super) const ASSIGNED: usize = 6;
pub(super) const SUBMITTED: usize = 7;
pub(super) const LATE: usize = 8;
/// Counts whose sum is a row's activity: posts, replies, help, accesses and, where they are of the period, submissions.
pub(super) const ACTIVITY: [usize; 6] = [0, 1, 2, 3, 4, SUBMITTED];

/// What the number of assignments of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// All that the member has in the unit, whatever their dates, those of later periods too.
    Universe,
    /// Those due in the period, counted in the cell, as handed in whenever they were.
    Due,
}

impl Basis {
    /// Measures that count what lies in later periods too.
    fn looking_ahead(self) -> &'static [&'static str] {
        match self {
            Self::Universe => &[COUNTS[ASSIGNED]],
            Self::Due => &[COUNTS[SUBMITTED], COUNTS[LATE], GRADE_AVG],
        }
    }
}

/// The features of a row. The window is the row's period and the `history` periods before it, as far as there are any.
///
/// | part | features |
/// |---|---|
/// | `measures` | each of the period; `conclusion` (submitted in the window / assigned), `late_share` (late / submitted), `grade_avg` (mean over the window) where their measures are among them |
/// | `history` | `<measure>_lag1`.. (missing before the first period of the cube), `<measure>_sum` over the window |
/// | `trend` | `active_share`, `periods_since_active` (at most history + 1), `activity_slope` (least squares) |
/// | `rank` | `activity_rank` of the period and `sum_rank` of the window: share of the unit's members below, and half of those alike |
/// | `context` | `unit_size`, `unit_mean_activity`, `unit_active_share` |
/// | `age` | `unit_age` (periods since the unit's first activity); not unless asked for: where all units began together it is the number of the period, and says nothing of those to come |
/// | `assignments` | of all that were due or handed in by the end of the period, whenever: `due_exercises`, `missing_exercises` (due and not handed in), `credited_exercises` (results of an earlier run), `days_early` (mean of those due and handed in, negative is late), `last_days_early`, `due_grade` (weighted mean over those due, what is missing as 0), `last_grade`, `lowest_grade`; not unless asked for: they make every row one of its own |
/// | `kinds` | `activity_in_<kind>`: interactions with lectures of that kind in the window |
/// | `coverage` | by the end of the period: `lectures_used` (different ones) and `lecture_coverage` (share of those that one in four members has used by then); not unless asked for, as `assignments` |
/// | `attributes` | of the student or the enrolment, by name |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureRecipe {
    pub measures: Vec<String>,
    pub history: usize,
    /// How many lags each measure has, at most `history`; null: as many.
    pub lags: Option<usize>,
    pub trend: bool,
    pub rank: bool,
    pub context: bool,
    pub age: bool,
    pub assignments: bool,
    /// Kinds of lectures.
    pub kinds: Vec<String>,
    pub coverage: bool,
    pub attributes: Vec<String>,
}

impl Default for FeatureRecipe {
    fn default() -> Self {
        Self {
            measures: COUNTS.iter().chain([&GRADE_AVG]).map(|name| (*name).into()).collect(),
            history: 4,
            lags: None,
            trend: true,
            rank: true,
            context: true,
            age: false,
            assignments: false,
            kinds: Vec::new(),
            coverage: false,
            attributes: Vec::new(),
        }
    }
}

impl FeatureRecipe {
    /// Whether the names are known and distinct, and the numbers in their domains.
    ///
    /// # Errors
    /// [`EngineError::InvalidParameter`].
    pub fn check(&self) -> Result<()> {
        if self.history > MAX_HISTORY {
            let expected = format!("between 0 and {MAX_HISTORY}");
            return Err(EngineError::invalid("history", expected, self.history));
        }
        if self.lags() > self.history {
            let expected = format!("at most the history, {}", self.history);
            return Err(EngineError::invalid("lags", expected, self.lags()));
        }
        let known = |name: &&String| !COUNTS.contains(&name.as_str()) && name.as_str() != GRADE_AVG;
        if let Some(bad) = self.measures.iter().find(known) {
            let expected = format!("one of {}, {GRADE_AVG}", COUNTS.join(", "));
            return Err(EngineError::invalid("measure", expected, format!("\"{bad}\"")));
        }
        let mut names = self.numbers(Basis::Due);
        names.extend(self.attributes.iter().cloned());
        if names.is_empty() {
            return Err(EngineError::invalid("features", "at least one", 0));
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let found = format!("\"{}\" twice", pair[0]);
                Err(EngineError::invalid("names of features", "distinct", found))
            }
            None => Ok(()),
        }
    }

    /// The measures of a row that count what lies in later periods too.
    pub fn looking_ahead(&self, basis: Basis) -> Vec<String> {
        let ahead = basis.looking_ahead();
        let named = self.measures.iter().filter(|name| ahead.contains(&name.as_str()));
        named.cloned().collect()
    }

    /// Takes out the measures that count what lies in later periods too.
    pub fn leave_out_looking_ahead(&mut self, basis: Basis) {
        let ahead = basis.looking_ahead();
        self.measures.retain(|name| !ahead.contains(&name.as_str()));
    }

    pub(super) fn lags(&self) -> usize {
        self.lags.unwrap_or(self.history)
    }

    /// The counts among the measures, as positions in [`COUNTS`].
    pub(super) fn counts(&self) -> Vec<usize> {
        let position = |name: &String| COUNTS.iter().position(|count| count == name);
        self.measures.iter().filter_map(position).collect()
    }

    pub(super) fn has(&self, count: usize) -> bool {
        self.measures.iter().any(|name| name == COUNTS[count])
    }

    pub(super) fn has_grade(&self) -> bool {
        self.measures.iter().any(|name| name == GRADE_AVG)
    }

    /// Whether a count has lags and a sum: the assignments of a member that are the same in each period have not.
    pub(super) fn has_past(count: usize, basis: Basis) -> bool {
        count != ASSIGNED || basis == Basis::Due
    }

    /// Names of the features that are numbers of the cube, in the order of a vector; attributes come after them.
    pub fn numbers(&self, basis: Basis) -> Vec<String> {
        let counts = self.counts();
        let mut names: Vec<String> = counts.iter().map(|count| COUNTS[*count].into()).collect();
        for count in counts.iter().filter(|count| Self::has_past(**count, basis)) {
            let name = COUNTS[*count];
            names.extend((1..=self.lags()).map(|lag| format!("{name}_lag{lag}")));
            if self.history > 0 {
                names.push(format!("{name}_sum"));
            }
        }
        let mut add = |wanted: bool, more: &[&str]| {
            if wanted {
                names.extend(more.iter().map(|name| (*name).to_owned()));
            }
        };
        add(self.has(ASSIGNED) && self.has(SUBMITTED), &["conclusion"]);
        add(self.has(LATE) && self.has(SUBMITTED), &["late_share"]);
        add(self.has_grade(), &[GRADE_AVG]);
        let window = self.history > 0;
        add(
            self.trend && window,
            &["active_share", "periods_since_active", "activity_slope"],
        );
        add(self.rank, &["activity_rank"]);
        add(self.rank && window, &["sum_rank"]);
        add(self.context, &["unit_size", "unit_mean_activity", "unit_active_share"]);
        add(self.age, &["unit_age"]);
        add(self.assignments, &work::NAMES);
        names.extend(self.kinds.iter().map(|kind| format!("{ACTIVITY_IN}{kind}")));
        if self.coverage {
            names.extend(coverage::NAMES.map(String::from));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_small_recipe_are_these_in_this_order() {
        let recipe: FeatureRecipe = serde_json::from_str(
            r#"{"measures":["submitted_exercises","assigned_exercises","late_exercises","grade_avg"],"history":2,"lags":1}"#,
        )
        .unwrap();
        recipe.check().unwrap();
        let expected =
            "submitted_exercises assigned_exercises late_exercises submitted_exercises_lag1 submitted_exercises_sum \
                        late_exercises_lag1 late_exercises_sum conclusion late_share grade_avg active_share \
                        periods_since_active activity_slope activity_rank sum_rank unit_size unit_mean_activity \
                        unit_active_share";
        assert_eq!(recipe.numbers(Basis::Universe).join(" "), expected);
        assert_eq!(
            recipe.numbers(Basis::Due).len(),
            recipe.numbers(Basis::Universe).len() + 2
        );
    }

    #[test]
    fn without_history_nothing_repeats_the_period() {
        let recipe = FeatureRecipe {
            history: 0,
            context: false,
            ..FeatureRecipe::default()
        };
        let expected = COUNTS.join(" ") + " conclusion late_share grade_avg activity_rank";
        assert_eq!(recipe.numbers(Basis::Universe).join(" "), expected);
    }

    #[test]
    fn unknown_measures_repeated_names_and_numbers_out_of_range_are_refused() {
        let with = |change: &dyn Fn(&mut FeatureRecipe)| {
            let mut recipe = FeatureRecipe::default();
            change(&mut recipe);
            recipe.check().unwrap_err().to_string()
        };
        assert!(with(&|r| r.measures.push("clicks".into())).contains("not \"clicks\""));
        assert!(with(&|r| r.measures.push("posts".into())).contains("\"posts\" twice"));
        assert!(with(&|r| r.attributes.push("unit_size".into())).contains("\"unit_size\" twice"));
        assert!(with(&|r| r.history = 105).contains("between 0 and 104"));
        assert!(with(&|r| r.lags = Some(5)).contains("at most the history, 4"));
        let empty = r#"{"measures":[],"history":0,"rank":false,"context":false}"#;
        assert!(serde_json::from_str::<FeatureRecipe>(empty).unwrap().check().is_err());
        assert!(serde_json::from_str::<FeatureRecipe>(r#"{"histroy":3}"#).is_err());
    }
}
