//! A tree as rules that people can read: per leaf the conditions, merged by feature, the weight and the class shares.

use std::fmt::Write;

use super::cuts::ABOVE_ALL;
use super::ensemble::Ensemble;

/// `above < value <= up_to`, and whether a missing value is accepted too.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub feature: usize,
    /// Lower end, excluded; none: no lower end; `f64::MAX`: no value at all, only missing ones.
    pub above: Option<f64>,
    /// Upper end, included; none: no upper end.
    pub up_to: Option<f64>,
    /// Whether rows without a value satisfy it.
    pub missing: bool,
}

/// A leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// In the order in which the features are met from the root; one per feature.
    pub conditions: Vec<Condition>,
    /// Weight of the training rows in the leaf, class weights included.
    pub weight: f64,
    /// Share of each class.
    pub probabilities: Vec<f64>,
    /// The class with the largest share, the first of equals.
    pub class: u32,
}

impl Rule {
    /// For example `posts <= 2 and 7.5 < days <= 30`; `always` without conditions.
    ///
    /// Features without a name are called by their number: `x3`. Where missing values go is said only `with_missing`.
    pub fn describe(&self, names: &[impl AsRef<str>], with_missing: bool) -> String {
        let mut text = String::new();
        for (index, condition) in self.conditions.iter().enumerate() {
            let name = names.get(condition.feature).map(|name| name.as_ref().to_owned());
            let name = name.unwrap_or_else(|| format!("x{}", condition.feature));
            let _ = write!(text, "{}", if index > 0 { " and " } else { "" });
            let _ = match (condition.above, condition.up_to) {
                (Some(above), _) if above >= ABOVE_ALL => write!(text, "{name} is missing"),
                (Some(above), Some(up_to)) => write!(text, "{above} < {name} <= {up_to}"),
                (Some(above), None) => write!(text, "{name} > {above}"),
                (None, Some(up_to)) => write!(text, "{name} <= {up_to}"),
                (None, None) => write!(text, "{name} is known"),
            };
            let bounded =
                condition.above.is_none_or(|above| above < ABOVE_ALL) && condition.above.or(condition.up_to).is_some();
            if with_missing && condition.missing && bounded {
                text.push_str(" or missing");
            }
        }
        if text.is_empty() {
            text.push_str("always");
        }
        text
    }
}

/// The rules of the first tree.
pub(crate) fn rules(ensemble: &Ensemble) -> Vec<Rule> {
    let Some(tree) = ensemble.trees.first() else {
        return Vec::new();
    };
    let mut found = Vec::with_capacity(tree.n_leaves());
    let mut open = vec![(0usize, Vec::<Condition>::new())];
    while let Some((index, conditions)) = open.pop() {
        let node = tree.nodes[index];
        if node.is_leaf() {
            let probabilities = tree.values[node.child as usize * ensemble.width..][..ensemble.width].to_vec();
            let most = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let class = probabilities.iter().position(|p| *p == most).unwrap_or(0) as u32;
            found.push(Rule {
                conditions,
                weight: tree.cover[index],
                probabilities,
                class,
            });
            continue;
        }
        let cut = ensemble.cuts.of(node.feature())[node.cut as usize];
        for left in [false, true] {
            let mut conditions = conditions.clone();
            let at = conditions.iter().position(|c| c.feature == node.feature());
            let at = at.unwrap_or_else(|| {
                conditions.push(Condition {
                    feature: node.feature(),
                    above: None,
                    up_to: None,
                    missing: true,
                });
                conditions.len() - 1
            });
            let condition = &mut conditions[at];
            condition.missing &= node.missing_left() == left;
            if !left {
                condition.above = Some(cut);
            } else if cut < ABOVE_ALL {
                condition.up_to = Some(cut);
            }
            open.push((node.child as usize + usize::from(!left), conditions));
        }
    }
    found
}
