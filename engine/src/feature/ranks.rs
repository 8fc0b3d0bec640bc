//! Where a value stands among the values of a unit's members, most of which are zero.

/// The values of a period that are not zero, ascending, and how many members there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranks {
    values: Vec<i64>,
    total: i64,
}

impl Ranks {
    pub fn push(&mut self, value: i64) {
        if value != 0 {
            self.values.push(value);
        }
    }

    pub fn sort(&mut self) {
        self.values.sort_unstable();
        self.total = self.values.iter().fold(0, |sum, value| sum.saturating_add(*value));
    }

    /// Sum of the values, known once they are sorted.
    pub fn total(&self) -> i64 {
        self.total
    }

    pub fn values(&self) -> &[i64] {
        &self.values
    }

    /// Share of the `members` that are below `value`, counting half of those alike.
    pub fn rank(&self, value: i64, members: usize) -> f64 {
        let zeros = members - self.values.len();
        let below = self.values.partition_point(|v| *v < value);
        let upto = self.values.partition_point(|v| *v <= value);
        let below_zero = if value > 0 { zeros } else { 0 };
        let alike = if value == 0 { zeros } else { upto - below };
        ((below + below_zero) as f64 + alike as f64 / 2.0) / members as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mid_ranks_of_five_members() {
        let mut ranks = Ranks::default();
        [7, 0, 3, 3].into_iter().for_each(|value| ranks.push(value));
        ranks.sort();
        // members: 0 0 3 3 7
        assert_eq!([0, 3, 7].map(|v| ranks.rank(v, 5)), [0.2, 0.6, 0.9]);
        assert_eq!(ranks.total(), 13);
    }
}
