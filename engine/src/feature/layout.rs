//! Where each feature is in a vector.

use super::recipe::{FeatureRecipe, ASSIGNED, LATE, SUBMITTED};
use super::{coverage, work, Basis};

/// Positions of the features that are there.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Per count that is a feature: which count it is; its own position is its place here.
    pub counts: Vec<usize>,
    /// First lag of each count that has a past.
    pub lags: Vec<(usize, usize)>,
    /// Number of lags.
    pub n_lags: usize,
    /// Sum of each count that has a past.
    pub sums: Vec<(usize, usize)>,
    pub conclusion: Option<usize>,
    pub late_share: Option<usize>,
    pub grade: Option<usize>,
    /// First of three.
    pub trend: Option<usize>,
    pub activity_rank: Option<usize>,
    pub sum_rank: Option<usize>,
    /// First of three.
    pub context: Option<usize>,
    pub age: Option<usize>,
    /// First of [`work::NAMES`].
    pub work: Option<usize>,
    /// First of the kinds.
    pub kinds: Option<usize>,
    pub n_kinds: usize,
    /// First of [`coverage::NAMES`].
    pub coverage: Option<usize>,
    /// Where the attributes begin: number of features that are numbers of the cube.
    pub attributes: usize,
}

impl Layout {
    pub fn new(recipe: &FeatureRecipe, basis: Basis) -> Self {
        let counts = recipe.counts();
        let mut next = counts.len();
        let mut take = |wanted: bool, n: usize| {
            let at = next;
            next += if wanted { n } else { 0 };
            wanted.then_some(at)
        };
        let window = recipe.history > 0;
        let (mut lags, mut sums) = (Vec::new(), Vec::new());
        for count in counts.iter().filter(|count| FeatureRecipe::has_past(**count, basis)) {
            lags.extend(take(recipe.lags() > 0, recipe.lags()).map(|at| (*count, at)));
            sums.extend(take(window, 1).map(|at| (*count, at)));
        }
        let submitted = recipe.has(SUBMITTED);
        Self {
            lags,
            n_lags: recipe.lags(),
            sums,
            conclusion: take(recipe.has(ASSIGNED) && submitted, 1),
            late_share: take(recipe.has(LATE) && submitted, 1),
            grade: take(recipe.has_grade(), 1),
            trend: take(recipe.trend && window, 3),
            activity_rank: take(recipe.rank, 1),
            sum_rank: take(recipe.rank && window, 1),
            context: take(recipe.context, 3),
            age: take(recipe.age, 1),
            work: take(recipe.assignments, work::NAMES.len()),
            kinds: take(!recipe.kinds.is_empty(), recipe.kinds.len()),
            n_kinds: recipe.kinds.len(),
            coverage: take(recipe.coverage, coverage::NAMES.len()),
            attributes: take(true, 0).unwrap_or(0),
            counts,
        }
    }

    /// Whether features tell members apart who did nothing in the window.
    pub fn tells_apart(&self) -> bool {
        self.work.is_some() || self.coverage.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_names() {
        for basis in [Basis::Universe, Basis::Due] {
            for history in [0, 1, 3] {
                let recipe = FeatureRecipe {
                    history,
                    age: true,
                    assignments: true,
                    coverage: true,
                    kinds: vec!["quiz".into(), "page".into()],
                    ..FeatureRecipe::default()
                };
                let (layout, names) = (Layout::new(&recipe, basis), recipe.numbers(basis));
                assert_eq!(layout.attributes, names.len());
                let at = |name: &str| names.iter().position(|n| n == name);
                assert_eq!(layout.trend, at("active_share"));
                assert_eq!(layout.context, at("unit_size"));
                assert_eq!(layout.age, at("unit_age"));
                assert_eq!(layout.work, at("due_exercises"));
                assert_eq!(layout.coverage, at("lectures_used"));
                assert_eq!(layout.kinds, at("activity_in_quiz"));
                assert_eq!(
                    (layout.activity_rank, layout.sum_rank),
                    (at("activity_rank"), at("sum_rank"))
                );
                assert_eq!(layout.grade, at("grade_avg"));
                assert_eq!(
                    (layout.conclusion, layout.late_share),
                    (at("conclusion"), at("late_share"))
                );
                let found = layout.lags.iter().find(|(count, _)| *count == LATE).map(|(_, at)| *at);
                assert_eq!(found, at("late_exercises_lag1"));
                let found = layout
                    .sums
                    .iter()
                    .find(|(count, _)| *count == ASSIGNED)
                    .map(|(_, at)| *at);
                assert_eq!(found, at("assigned_exercises_sum"));
            }
        }
    }
}
