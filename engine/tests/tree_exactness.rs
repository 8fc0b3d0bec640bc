//! What the trees promise to the last bit: weights are repeats, order and threads do not matter, contributions add up.

use empatia_engine::context::Context;
use empatia_engine::tree::{
    BoostingParams, ClassWeight, DecisionTree, FeatureTable, ForestParams, GradientBoosting, Growth, MaxFeatures,
    TrainingSet, TreeParams,
};
use linfa::ParamGuard;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Data {
    rows: Vec<f64>,
    p: usize,
    labels: Vec<u32>,
    classes: usize,
    weights: Vec<f64>,
}

impl Data {
    fn table(&self) -> FeatureTable {
        FeatureTable::from_rows(&self.rows, self.p).unwrap()
    }

    /// Rows in another order and as often as `times` says, with the weights that `weight` gives them.
    fn taken(&self, order: &[usize], weight: impl Fn(usize) -> f64) -> Data {
        let row = |at: &usize| self.rows[at * self.p..(at + 1) * self.p].to_vec();
        Data {
            rows: order.iter().flat_map(row).collect(),
            labels: order.iter().map(|at| self.labels[*at]).collect(),
            weights: order.iter().map(|at| weight(*at)).collect(),
            ..self.clone()
        }
    }

    fn repeated(&self) -> Data {
        let copies = |at: usize| std::iter::repeat_n(at, self.weights[at] as usize);
        let order: Vec<usize> = (0..self.labels.len()).flat_map(copies).collect();
        self.taken(&order, |_| 1.0)
    }

    fn shuffled(&self) -> Data {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15)) % 1_000_003);
        self.taken(&order, |at| self.weights[at])
    }

    fn tree(&self, threads: usize, params: &TreeParams) -> DecisionTree {
        let ctx = Context::builder().threads(threads).build().unwrap();
        let table = self.table();
        let set = TrainingSet::new(&table, &self.labels, self.classes, &self.weights).unwrap();
        params.check_ref().unwrap().fit(&ctx, &set).unwrap()
    }

    fn boost(&self, threads: usize, params: &BoostingParams) -> GradientBoosting {
        let ctx = Context::builder().threads(threads).build().unwrap();
        let table = self.table();
        let set = TrainingSet::new(&table, &self.labels, self.classes, &self.weights).unwrap();
        params.check_ref().unwrap().fit(&ctx, &set, None).unwrap().model
    }
}

/// Rows of few distinct values, some missing, with weights 0..4 and labels that have something to do with them.
fn data() -> impl Strategy<Value = Data> {
    (1usize..5, 2usize..5, 2usize..60, any::<u64>()).prop_map(|(p, classes, n, seed)| made(p, classes, n, seed, 7))
}

fn made(p: usize, classes: usize, n: usize, seed: u64, values: u64) -> Data {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut data = Data {
        rows: Vec::new(),
        p,
        labels: Vec::new(),
        classes,
        weights: Vec::new(),
    };
    for _ in 0..n {
        let row: Vec<f64> = (0..p)
            .map(|_| {
                if next(8) == 0 {
                    f64::NAN
                } else {
                    next(values) as f64 * 0.37 - 1.0
                }
            })
            .collect();
        let signal = if row[0].is_nan() { 2.0 } else { row[0] };
        let label = if next(4) == 0 {
            next(classes as u64)
        } else {
            (signal.abs() * 3.0) as u64 % classes as u64
        };
        data.labels.push(label as u32);
        data.weights.push(next(5) as f64);
        data.rows.extend(row);
    }
    data.weights[0] = 1.0;
    data
}

fn boosting() -> BoostingParams {
    BoostingParams::new(5).min_leaf(2.0).max_leaves(6).l2(0.5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn weighted_rows_give_the_tree_of_repeated_rows(data in data()) {
        let repeated = data.repeated();
        for params in [TreeParams::new(6), TreeParams::new(9).min_leaf(3.0).class_weight(ClassWeight::Balanced)] {
            prop_assert_eq!(data.tree(1, &params), repeated.tree(1, &params));
        }
    }

    #[test]
    fn weighted_rows_give_the_boosted_trees_of_repeated_rows(data in data()) {
        let repeated = data.repeated();
        for params in [boosting(), boosting().growth(Growth::DepthWise).class_weight(ClassWeight::Balanced)] {
            prop_assert_eq!(data.boost(1, &params), repeated.boost(1, &params));
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(data in data()) {
        let shuffled = data.shuffled();
        prop_assert_eq!(data.tree(1, &TreeParams::new(8)), shuffled.tree(1, &TreeParams::new(8)));
        prop_assert_eq!(data.boost(1, &boosting()), shuffled.boost(1, &boosting()));
    }

    #[test]
    fn a_monotone_change_of_a_feature_changes_no_prediction(data in data()) {
        let ctx = Context::builder().build().unwrap();
        // Of values that were not trained on, the ones between two that were are not told where to go by order alone.
        let data = data.repeated();
        let mut changed = data.clone();
        changed.rows.iter_mut().for_each(|x| *x = (*x * 1.7).exp() * 10.0 - 3.0);
        let (before, after) = (data.tree(1, &TreeParams::new(8)), changed.tree(1, &TreeParams::new(8)));
        prop_assert_eq!(
            before.predict_probabilities(&ctx, &data.table()).unwrap(),
            after.predict_probabilities(&ctx, &changed.table()).unwrap()
        );
        let (before, after) = (data.boost(1, &boosting()), changed.boost(1, &boosting()));
        prop_assert_eq!(
            before.predict_margins(&ctx, &data.table()).unwrap(),
            after.predict_margins(&ctx, &changed.table()).unwrap()
        );
    }

    #[test]
    fn contributions_add_up_to_the_prediction(data in data()) {
        let ctx = Context::builder().build().unwrap();
        let table = data.table();
        let k = data.classes;
        let tree = data.tree(1, &TreeParams::new(12));
        let (explanation, probabilities) =
            (tree.explain(&ctx, &table).unwrap(), tree.predict_probabilities(&ctx, &table).unwrap());
        for (at, expected) in probabilities.iter().enumerate() {
            let found = explanation.base()[at % k] + explanation.of(at / k, at % k).iter().sum::<f64>();
            prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
        }
        let model = data.boost(1, &boosting());
        let (explanation, margins) = (model.explain(&ctx, &table).unwrap(), model.predict_margins(&ctx, &table).unwrap());
        let outputs = model.base().len();
        for (at, expected) in margins.iter().enumerate() {
            let found = explanation.base()[at % outputs] + explanation.of(at / outputs, at % outputs).iter().sum::<f64>();
            prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
        }
    }
}

/// Shapley values from their definition: all subsets of features, the value of each from the covers.
fn shapley(model: &GradientBoosting, row: &[f64]) -> Vec<f64> {
    use empatia_engine::tree::TreeNode;
    fn value(nodes: &[TreeNode], at: usize, row: &[f64], known: usize) -> f64 {
        match &nodes[at] {
            TreeNode::Leaf { values, .. } => values[0],
            TreeNode::Split {
                feature,
                threshold,
                missing_left,
                left,
                right,
                cover,
            } => {
                let (a, b) = (value(nodes, *left, row, known), value(nodes, *right, row, known));
                let x = row[*feature];
                if known >> feature & 1 == 1 {
                    let goes_left = if x.is_nan() { *missing_left } else { x <= *threshold };
                    return if goes_left { a } else { b };
                }
                let weight = |at: usize| match &nodes[at] {
                    TreeNode::Leaf { cover, .. } | TreeNode::Split { cover, .. } => *cover,
                };
                (weight(*left) * a + weight(*right) * b) / cover
            }
        }
    }
    let p = row.len();
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let trees: Vec<_> = (0..model.ensemble().n_trees())
        .map(|tree| model.ensemble().nodes(tree))
        .collect();
    let of_set = |known: usize| trees.iter().map(|nodes| value(nodes, 0, row, known)).sum::<f64>();
    let of_feature = |feature: usize| {
        let without = (0..1usize << p).filter(|set| set >> feature & 1 == 0);
        without
            .map(|set| {
                let size = set.count_ones() as usize;
                let weight = factorial(size) * factorial(p - 1 - size) / factorial(p);
                weight * (of_set(set | 1 << feature) - of_set(set))
            })
            .sum()
    };
    (0..p).map(of_feature).collect()
}

#[test]
fn contributions_are_the_shapley_values_of_the_definition() {
    let data = made(6, 2, 400, 5, 40);
    let model = data.boost(2, &BoostingParams::new(8).min_leaf(1.0).max_leaves(40));
    let ctx = Context::builder().build().unwrap();
    let table = data.table();
    // few rows, many, and rows that come one at a time are computed on different paths
    let few = table.select(&[0, 1, 2, 3]).unwrap();
    let (all, alone) = (model.explain(&ctx, &table).unwrap(), model.single_row_explainer());
    let alone = model.explain_with(&ctx, alone.as_ref(), &few).unwrap();
    let few = model.explain(&ctx, &few).unwrap();
    for row in 0..4 {
        for (feature, expected) in shapley(&model, &data.rows[row * 6..(row + 1) * 6])
            .into_iter()
            .enumerate()
        {
            for found in [
                all.of(row, 0)[feature],
                few.of(row, 0)[feature],
                alone.of(row, 0)[feature],
            ] {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{row} {feature}: {found}, not {expected}"
                );
            }
        }
    }
}

/// Paths of more features than the nodes of one batch of the quadrature stand for, rows that go where no row of the training went.
#[test]
fn few_rows_and_many_have_the_same_contributions_on_deep_paths() {
    let data = made(40, 2, 3_000, 11, 1_000);
    let table = data.table();
    let set = TrainingSet::new(&table, &data.labels, 2, &data.weights).unwrap();
    let ctx = Context::builder().build().unwrap();
    let forest = ForestParams::new(6).min_leaf(1.0).seed(1).check().unwrap();
    let model = forest.fit(&ctx, &set).unwrap().model;
    let other = made(40, 2, 60, 12, 1_000);
    for table in [table.select(&(0..60).collect::<Vec<usize>>()).unwrap(), other.table()] {
        let all = model.explain(&ctx, &table).unwrap();
        for row in 0..12usize {
            let alone = model.explain(&ctx, &table.select(&[row]).unwrap()).unwrap();
            let pairs = all.of(row, 1).iter().zip(alone.of(0, 1));
            let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-13, "{row}: {apart}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    // More rows than a shard, more features than a tree sees.
    let data = made(7, 3, 40_000, 9, 1_000);
    let table = data.table();
    let set = TrainingSet::new(&table, &data.labels, 3, &data.weights).unwrap();
    let forest = ForestParams::new(7)
        .out_of_bag(true)
        .min_leaf(5.0)
        .seed(3)
        .check()
        .unwrap();
    let boosting = BoostingParams::new(4)
        .row_fraction(0.7)
        .column_fraction(0.6)
        .seed(3)
        .check()
        .unwrap();
    let fit = |threads: usize| {
        let ctx = Context::builder().threads(threads).build().unwrap();
        let fitted = forest.fit(&ctx, &set).unwrap();
        let boosted = boosting.fit(&ctx, &set, Some(&set)).unwrap();
        let losses: Vec<u64> = boosted.validation_loss.iter().map(|loss| loss.to_bits()).collect();
        let seen: Vec<u64> = fitted.out_of_bag.unwrap().iter().map(|p| p.to_bits()).collect();
        let explanation = boosted.model.explain(&ctx, &table.select(&[1, 5, 9]).unwrap()).unwrap();
        (
            fitted.model.encode().unwrap(),
            boosted.model.encode().unwrap(),
            losses,
            seen,
            explanation,
        )
    };
    let alone = fit(1);
    assert!(alone == fit(3) && alone == fit(4));
}

#[test]
fn a_forest_without_sampling_is_its_single_tree() {
    let data = made(4, 3, 500, 2, 9);
    let table = data.table();
    let ctx = Context::builder().threads(2).build().unwrap();
    let set = TrainingSet::new(&table, &data.labels, 3, &data.weights).unwrap();
    let params = ForestParams::new(3)
        .bootstrap(false)
        .max_features(MaxFeatures::All)
        .max_depth(6);
    let forest = params.check().unwrap().fit(&ctx, &set).unwrap().model;
    let tree = data.tree(1, &TreeParams::new(6));
    let (many, one) = (
        forest.predict_probabilities(&ctx, &table).unwrap(),
        tree.predict_probabilities(&ctx, &table).unwrap(),
    );
    assert!(many.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn out_of_bag_probabilities_are_those_of_unseen_rows_not_of_seen_ones() {
    // Labels that are pure chance: a full-depth forest knows the rows that it saw, and can know nothing of others.
    let mut data = made(4, 2, 3_000, 4, 1_000_000);
    data.labels
        .iter_mut()
        .enumerate()
        .for_each(|(at, label)| *label = (at.wrapping_mul(2_654_435_761) >> 7 & 1) as u32);
    data.weights.fill(1.0);
    data.weights[5] = 0.0;
    let table = data.table();
    let set = TrainingSet::new(&table, &data.labels, 2, &data.weights).unwrap();
    let ctx = Context::builder().threads(2).build().unwrap();
    let fitted = ForestParams::new(60)
        .out_of_bag(true)
        .check()
        .unwrap()
        .fit(&ctx, &set)
        .unwrap();
    let right = |probabilities: &[f64]| {
        let pairs = probabilities.chunks(2).zip(&data.labels);
        pairs.filter(|(pair, label)| pair[**label as usize] > 0.5).count() as f64 / 3_000.0
    };
    let out_of_bag = fitted.out_of_bag.unwrap();
    let seen = fitted.model.predict_probabilities(&ctx, &table).unwrap();
    assert!(right(&seen) > 0.95, "{}", right(&seen));
    assert!((right(&out_of_bag) - 0.5).abs() < 0.04, "{}", right(&out_of_bag));
    assert_eq!(out_of_bag[10..12], seen[10..12], "a row of weight 0 is in no sample");
    assert!(out_of_bag.chunks(2).all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-9));
}

/// What is said of a row must not depend on the rows beside it, on threads, or on what was prepared: the reasons that are stored of a million
/// rows are compared with those of each alone. 31 leaves are more splits than one part has, a forest of full depth has whole trees.
#[test]
fn a_row_alone_is_explained_as_among_many_to_the_last_bit() {
    for classes in [2, 3] {
        let data = made(6, classes, 700, 11, 40);
        let table = data.table();
        let set = TrainingSet::new(&table, &data.labels, classes, &data.weights).unwrap();
        let context = |threads| Context::builder().threads(threads).build().unwrap();
        let (one, four) = (context(1), context(4));
        let params = BoostingParams::new(12).min_leaf(1.0).max_leaves(31);
        let boosted = params.check().unwrap().fit(&four, &set, None).unwrap().model;
        let forest = ForestParams::new(10).check().unwrap().fit(&four, &set).unwrap().model;
        let (boosted_explainer, forest_explainer) = (boosted.explainer(), forest.explainer());
        assert!(boosted_explainer.is_some() && forest_explainer.is_some());
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for (model, explain) in [
            (
                "boosting",
                &(|ctx: &Context, kept: bool, table: &FeatureTable| {
                    boosted.explain_with(ctx, boosted_explainer.as_ref().filter(|_| kept), table)
                }) as &dyn Fn(&Context, bool, &FeatureTable) -> _,
            ),
            ("forest", &|ctx, kept, table| {
                forest.explain_with(ctx, forest_explainer.as_ref().filter(|_| kept), table)
            }),
        ] {
            let all = explain(&four, false, &table).unwrap();
            for (ctx, kept) in [(&one, false), (&one, true), (&four, true)] {
                let again = explain(ctx, kept, &table).unwrap();
                assert_eq!(bits(again.values()), bits(all.values()), "{model}, kept: {kept}");
            }
            for row in (0..data.labels.len()).step_by(7) {
                let alone = table.select(&[row]).unwrap();
                for kept in [false, true] {
                    let found = explain(&four, kept, &alone).unwrap();
                    for output in 0..all.base().len() {
                        assert_eq!(
                            bits(found.of(0, output)),
                            bits(all.of(row, output)),
                            "{model}, row {row}, kept: {kept}"
                        );
                    }
                }
            }
        }
    }
}
