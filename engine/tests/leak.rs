//! The leak guard on made-up pupils whose lag is known to come from their phase, its code and an index.
//!
//! Guards against: a leak that stays in (a code, a pair, a difference, an index through its part, a rank of that index), an honest
//! column that is thrown out, an identifier taken for knowledge, a search that takes ages over hundreds of columns.

use empatia_engine::context::Context;
use empatia_engine::data::{Column, Labels, Table};
use empatia_engine::leak::{LeakGuard, LeakKind, LeakReport};

/// A stream of numbers in 0..1.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Pupils {
    columns: Vec<Column>,
    labels: Labels,
}

/// Lag = phase - ideal phase; the code says how large it is; the index is a weighted mean of the code and three honest parts.
fn pupils(n: usize) -> Pupils {
    let mut chance = Chance(7);
    let (mut phase, mut ideal, mut code, mut effort, mut learning, mut social, mut index, mut stone) =
        (vec![], vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
    let mut late = vec![];
    for _ in 0..n {
        let should = (chance.next() * 8.0).floor();
        let behind = if chance.next() < 0.45 {
            1.0 + (chance.next() * 2.0).floor()
        } else {
            0.0
        };
        let lags = behind > 0.0;
        let parts = [7.0, 6.0, 8.0].map(|mean: f64| mean + 4.0 * (chance.next() - 0.5) - if lags { 0.3 } else { 0.0 });
        let of_code = if lags { 5.0 } else { 10.0 };
        let whole = 0.1 * of_code + 0.3 * parts[0] + 0.3 * parts[1] + 0.3 * parts[2];
        phase.push(should - behind);
        ideal.push(should);
        code.push(of_code);
        effort.push(parts[0]);
        learning.push(parts[1]);
        social.push(parts[2]);
        index.push(whole);
        stone.push(if whole < 6.3 {
            "quartz"
        } else if whole < 7.2 {
            "agate"
        } else {
            "topaz"
        });
        late.push(u32::from(lags));
    }
    let columns = vec![
        Column::numeric("phase", phase),
        Column::numeric("ideal", ideal),
        Column::numeric("code", code),
        Column::numeric("effort", effort),
        Column::numeric("learning", learning),
        Column::numeric("social", social),
        Column::numeric("index", index),
        Column::category("stone", stone.into_iter().map(Some)),
    ];
    let labels = Labels::unweighted(late, 2).unwrap();
    Pupils { columns, labels }
}

fn look(columns: Vec<Column>, labels: &Labels, allowed: &[&str]) -> LeakReport {
    let ctx = Context::builder().threads(2).build().unwrap();
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    LeakGuard::default()
        .look(&ctx, &Table::new(columns).unwrap(), labels, &[], &allowed)
        .unwrap()
}

fn kind_of(report: &LeakReport, column: &str) -> Option<LeakKind> {
    report
        .leaks
        .iter()
        .find(|leak| leak.columns.iter().any(|c| c == column))
        .map(|leak| leak.kind)
}

#[test]
fn code_difference_index_and_its_rank_are_found_and_honest_columns_stay() {
    let Pupils { columns, labels } = pupils(1_500);
    let report = look(columns, &labels, &[]);
    assert_eq!(
        report.excluded,
        ["phase", "ideal", "code", "index", "stone"],
        "{report:#?}"
    );
    assert_eq!(kind_of(&report, "code"), Some(LeakKind::Code));
    assert_eq!(kind_of(&report, "phase"), Some(LeakKind::Difference));
    assert_eq!(kind_of(&report, "index"), Some(LeakKind::Carrier));
    assert_eq!(kind_of(&report, "stone"), Some(LeakKind::Derived));
    let index = report.leaks.iter().find(|leak| leak.columns == ["index"]).unwrap();
    assert_eq!(index.through.as_deref(), Some("code"));
    assert!(index.en.contains("index contains code"), "{}", index.en);
    let pair = report
        .leaks
        .iter()
        .find(|leak| leak.kind == LeakKind::Difference)
        .unwrap();
    assert!(pair.pt.contains("a diferença phase - ideal"), "{}", pair.pt);
    // 8 columns less the code: 7 x 6 / 2
    assert_eq!((report.pairs_tested, report.pairs_left_out), (21, 0));
    // what is left says little, and the guard says how much
    assert!(report.joint_auc.unwrap() < 0.75, "{:?}", report.joint_auc);
}

#[test]
fn an_allowed_column_stays_and_is_reported() {
    let Pupils { columns, labels } = pupils(1_000);
    let report = look(columns, &labels, &["code", "ideal"]);
    assert!(!report.excluded.contains(&"code".to_owned()) && !report.excluded.contains(&"ideal".to_owned()));
    assert!(report.excluded.contains(&"phase".to_owned()));
    assert!(report.leaks.iter().any(|leak| leak.allowed && leak.columns == ["code"]));
}

#[test]
fn a_date_that_only_those_who_left_have_is_found_by_being_there() {
    let mut chance = Chance(3);
    let left: Vec<u32> = (0..800).map(|_| u32::from(chance.next() < 0.3)).collect();
    let day = left
        .iter()
        .map(|left| if *left == 1 { chance.next() * 200.0 } else { f64::NAN })
        .collect();
    let clicks = left
        .iter()
        .map(|left| 100.0 * chance.next() - 20.0 * f64::from(*left))
        .collect();
    let columns = vec![Column::numeric("unregistered", day), Column::numeric("clicks", clicks)];
    let report = look(columns, &Labels::unweighted(left, 2).unwrap(), &[]);
    assert_eq!(report.excluded, ["unregistered"]);
    assert_eq!(kind_of(&report, "unregistered"), Some(LeakKind::Presence));
}

#[test]
fn strong_honest_columns_and_identifiers_are_no_leaks() {
    let mut chance = Chance(11);
    let n = 1_200;
    let ability: Vec<f64> = (0..n).map(|_| chance.next()).collect();
    let failed: Vec<u32> = ability
        .iter()
        .map(|a| u32::from(a + 0.5 * (chance.next() - 0.5) < 0.5))
        .collect();
    let noisy = |scale: f64, chance: &mut Chance| ability.iter().map(|a| a + scale * (chance.next() - 0.5)).collect();
    let names: Vec<String> = (0..n).map(|row| format!("student {row}")).collect();
    let columns = vec![
        Column::numeric("first", noisy(0.3, &mut chance)),
        Column::numeric("second", noisy(0.3, &mut chance)),
        Column::category("name", names.iter().map(|name| Some(name.as_str()))),
    ];
    let report = look(columns, &Labels::unweighted(failed, 2).unwrap(), &[]);
    assert_eq!(report.excluded, Vec::<String>::new(), "{report:#?}");
}

#[test]
fn hundreds_of_columns_are_searched_and_what_the_budget_leaves_out_is_counted() {
    let Pupils { mut columns, labels } = pupils(600);
    let mut chance = Chance(23);
    for extra in 0..292 {
        columns.push(Column::numeric(
            format!("noise {extra}"),
            (0..600).map(|_| chance.next()).collect(),
        ));
    }
    let ctx = Context::builder().threads(4).build().unwrap();
    let table = Table::new(columns).unwrap();
    let guard = LeakGuard {
        max_pairs: 20_000,
        ..LeakGuard::default()
    };
    let report = guard.look(&ctx, &table, &labels, &[], &[]).unwrap();
    // 299 columns are left after the code; 200 x 199 / 2 = 19 900 pairs fit
    assert_eq!(
        (report.pairs_tested, report.pairs_left_out),
        (19_900, 299 * 298 / 2 - 19_900)
    );
    for leak in ["phase", "ideal", "code", "index"] {
        assert!(
            report.excluded.contains(&leak.to_owned()),
            "{leak}: {:?}",
            report.excluded
        );
    }
    assert!(report.excluded.len() <= 6, "{:?}", report.excluded);
}

#[test]
fn the_search_can_be_cancelled_and_its_result_does_not_depend_on_threads() {
    let Pupils { columns, labels } = pupils(500);
    let table = Table::new(columns).unwrap();
    let of = |threads| {
        let ctx = Context::builder().threads(threads).build().unwrap();
        LeakGuard::default().look(&ctx, &table, &labels, &[], &[]).unwrap()
    };
    assert_eq!(of(1), of(4));
    let ctx = Context::builder().build().unwrap();
    ctx.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(LeakGuard::default().look(&ctx, &table, &labels, &[], &[]).is_err());
}
