//! Classifiers to ONNX files and back, for `tests/shell/onnx_truth.sh`.
//!
//!     cargo run --release -p empatia-engine --example onnx -- export FOLDER    NAME.onnx, NAME.json of many classifiers
//!     cargo run --release -p empatia-engine --example onnx -- import FOLDER    NAME.import.json for every NAME.onnx
//!
//! NAME.json: `columns` (name -> values, null where missing), and when written here `classes`, `probabilities` (row by row)
//! and `labels`. NAME.import.json: what the imported classifier says of the rows of NAME.json (`probabilities`, and
//! `additivity`, the largest difference between a score and what explains it), or `error`.

use std::error::Error;
use std::path::Path;

use empatia_engine::classifier::{ClassifierModel, Combination, Member, Parts, Training};
use empatia_engine::context::Context;
use empatia_engine::data::{Column, ColumnSpec, Impute, Labels, Preparation, Table, Transform, Treatment, Values};
use empatia_engine::linear::LogisticParams;
use empatia_engine::onnx::{export, import, recount, ExportOptions, ImportOptions};
use serde_json::{json, Map, Value};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The `index`-th number of SplitMix64, as a fraction in [0, 1).
fn fraction(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// `n` rows of numbers and categories with gaps, and a class of `k` each. Numbers are such as 32 bits hold.
fn rows(n: usize, k: usize, seed: u64, unseen: bool) -> Outcome<(Table, Vec<u32>)> {
    let at = |row: usize, column: u64| fraction(seed * 1_000_003 + row as u64 * 16 + column);
    let single = |x: f64| f64::from(x as f32);
    let gap = |row: usize, column: u64, x: f64| if at(row, column) < 0.1 { f64::NAN } else { x };
    let posts: Vec<f64> = (0..n)
        .map(|i| gap(i, 8, (-(1.0 - at(i, 0)).ln() * 4.0).floor()))
        .collect();
    let days: Vec<f64> = (0..n).map(|i| single(at(i, 1) * 40.0 - 10.0)).collect();
    let grade: Vec<f64> = (0..n).map(|i| gap(i, 9, single(at(i, 2) * 10.0))).collect();
    let name = |row: usize, column: u64, levels: usize| match (
        at(row, column + 4),
        (at(row, column) * levels as f64) as usize,
    ) {
        (gap, _) if gap < 0.08 => None,
        (odd, _) if unseen && odd > 0.95 => Some("unseen".to_owned()),
        (_, level) => Some(format!("level {level}")),
    };
    let course: Vec<Option<String>> = (0..n).map(|i| name(i, 3, 4)).collect();
    let city: Vec<Option<String>> = (0..n).map(|i| name(i, 4, 12)).collect();
    let class = |i: usize| {
        let (posts, grade) = (posts[i], grade[i]);
        let known = |x: f64, otherwise: f64| if x.is_nan() { otherwise } else { x };
        let of_course = if course[i].as_deref() == Some("level 2") {
            1.5
        } else {
            0.0
        };
        let signal = 0.5 * known(posts, 6.0) - 0.3 * known(grade, 3.0) + 0.05 * days[i] + of_course + 3.0 * at(i, 5);
        ((signal + 1.0) * k as f64 / 5.0).clamp(0.0, k as f64 - 1.0) as u32
    };
    let classes = (0..n).map(class).collect();
    let of_names = |name: &str, values: &[Option<String>]| Column {
        name: name.to_owned(),
        values: Values::from_names(values.iter().map(Option::as_deref)),
    };
    let columns = vec![
        Column::numeric("posts", posts.clone()),
        of_names("course", &course),
        Column::numeric("days", days),
        Column::numeric("same", vec![3.0; n]),
        of_names("cidade do aluno", &city),
        Column::numeric("label", grade.clone()),
    ];
    Ok((Table::new(columns)?, classes))
}

/// Classifiers of numbers alone, which can be read back.
fn numbers(ctx: &Context, k: usize, folder: &Path) -> Outcome<()> {
    let only = |(table, targets): (Table, Vec<u32>)| -> Outcome<(Table, Vec<u32>)> {
        let numeric = table
            .columns()
            .iter()
            .filter(|column| column.name != "posts" && matches!(column.values, Values::Numeric(_)));
        Ok((Table::new(numeric.cloned().collect())?, targets))
    };
    let ((table, targets), (test, _)) = (only(rows(900, k, 5, false)?)?, only(rows(500, k, 6, false)?)?);
    let classes: Vec<String> = ["a, b", "c", "d"][..k]
        .iter()
        .map(|class| (*class).to_owned())
        .collect();
    let labels =
        Labels::new(targets, k, vec![1.0; table.n_rows()])?.with_groups((0..table.n_rows() as u64).collect())?;
    for algorithm in ["random_forest", "gradient_boosting", "decision_tree"] {
        let objective = if k == 2 {
            json!({"objective": "recall", "target_recall": 0.9})
        } else {
            Value::Null
        };
        let training = json!({"algorithm": algorithm, "calibrate": false, "objective": objective, "positive": "c", "split": {"group": {"folds": 3}}});
        let model = Training::from_json(training)?
            .train(ctx, &table, &labels, &classes, None)?
            .model;
        save(ctx, folder, &format!("numbers_{algorithm}{k}"), &model, &test)?;
    }
    Ok(())
}

/// Classifiers of every kind, two classes and three.
fn classifiers(ctx: &Context, k: usize) -> Outcome<Vec<(String, ClassifierModel)>> {
    let (table, targets) = rows(1200, k, 1, false)?;
    let classes: Vec<String> = ["em risco", "médio", "ativo"][3 - k..]
        .iter()
        .map(|class| (*class).to_owned())
        .collect();
    let labels = Labels::new(targets, k, vec![1.0; table.n_rows()])?;
    let mut all = Vec::new();
    for algorithm in [
        "random_forest",
        "gradient_boosting",
        "logistic_regression",
        "decision_tree",
        "ensemble",
    ] {
        let objective = if k == 2 {
            json!({"objective": "recall", "target_recall": 0.9})
        } else {
            Value::Null
        };
        let split = json!({"group": {"folds": 3}});
        let training = json!({"algorithm": algorithm, "calibrate": false, "objective": objective, "split": split});
        let training = Training::from_json(training)?;
        let labels = labels.clone().with_groups((0..table.n_rows() as u64).collect())?;
        all.push((
            algorithm.to_owned(),
            training.train(ctx, &table, &labels, &classes, None)?.model,
        ));
    }
    let member = |at: usize| all[at].1.members()[0].clone();
    let parts =
        |model: &ClassifierModel, members: Vec<Member>, combination, calibrator: &Value| -> Outcome<ClassifierModel> {
            Ok(ClassifierModel::new(Parts {
                columns: model.columns().to_vec(),
                classes: model.classes().to_vec(),
                positive: model.positive(),
                threshold: model.threshold(),
                members,
                combination,
                calibrator: serde_json::from_value(calibrator.clone())?,
                histograms: Vec::new(),
                score_histograms: Vec::new(),
            })?)
        };
    let platt =
        |class: usize| json!({"platt": {"slope": 0.4 + 0.5 * class as f64, "intercept": 0.3 - 0.2 * class as f64}});
    let curves: Vec<Value> = if k == 2 {
        vec![platt(1)]
    } else {
        (0..k).map(platt).collect()
    };
    let calibrator = json!({"n_classes": k, "curves": curves});
    let mut more = Vec::new();
    for (at, (name, model)) in all.iter().enumerate().take(4) {
        let combination = model.combination().clone();
        more.push((
            format!("{name}_platt"),
            parts(model, vec![member(at)], combination, &calibrator)?,
        ));
    }
    let vote: Combination = serde_json::from_value(json!({"vote": {"weights": [0.3, 0.45, 0.25]}}))?;
    let stack = |at: usize| 0.3 + 0.1 * at as f64;
    let margins = if k == 2 { 1 } else { k };
    let inputs = if k == 2 { 3 } else { 3 * k };
    let stack: Combination = serde_json::from_value(json!({"stack": {"members": 3, "model": {
        "n_classes": k, "classes": (0..k).collect::<Vec<_>>(), "coefficients": (0..margins * inputs).map(stack).collect::<Vec<_>>(),
        "intercepts": (0..margins).map(stack).collect::<Vec<_>>(), "means": vec![0.0; inputs], "iterations": 3, "converged": true}}}))?;
    for (name, combination) in [("vote", vote), ("stack", stack)] {
        let members = || (0..3).map(member).collect();
        more.push((
            name.to_owned(),
            parts(&all[0].1, members(), combination.clone(), &Value::Null)?,
        ));
        more.push((
            format!("{name}_platt"),
            parts(&all[0].1, members(), combination, &calibrator)?,
        ));
    }
    if k == 2 {
        let curve = json!({"isotonic": {"scores": [0.1, 0.3, 0.32, 0.9], "values": [0.05, 0.05, 0.5, 0.97]}});
        let flat = json!({"n_classes": 2, "curves": [curve]});
        more.push((
            "isotonic".to_owned(),
            parts(&all[1].1, vec![member(1)], Combination::Single, &flat)?,
        ));
        let step = json!({"isotonic": {"scores": [0.1, 0.3, 0.3001, 0.9], "values": [0.05, 0.05, 0.5, 0.97]}});
        let steep = json!({"n_classes": 2, "curves": [step]});
        let steep = parts(&all[1].1, vec![member(1)], Combination::Single, &steep)?;
        let refused = export(ctx, &steep, ExportOptions::default()).map(|_| ()).unwrap_err();
        if !refused.to_string().contains("isotonic") {
            return Err(refused.into());
        }
    }
    more.push(("logarithms".to_owned(), logarithms(ctx, &table, &labels, &all[2].1)?));
    all.extend(more);
    Ok(all)
}

/// A logistic regression of the logarithms of counts, without marks of what was missing.
fn logarithms(ctx: &Context, table: &Table, labels: &Labels, like: &ClassifierModel) -> Outcome<ClassifierModel> {
    let spec = |column: &Column| ColumnSpec {
        name: column.name.clone(),
        treatment: match (&column.values, column.name.as_str()) {
            (Values::Numeric(_), name) => Treatment::Numeric {
                transform: if name == "posts" {
                    Transform::Log1p
                } else {
                    Transform::Identity
                },
                impute: Impute::Mean,
                scale: true,
                indicator: name == "posts",
            },
            (_, "course") => Treatment::OneHot {
                min_weight: 310.0,
                max_levels: 3,
            },
            _ => Treatment::TargetMean { smoothing: 2.0 },
        },
    };
    let preparation = Preparation {
        columns: table.columns().iter().map(spec).collect(),
        seed: 1,
    };
    let (fitted, matrix) = preparation.fit(ctx, table, labels)?;
    let model = LogisticParams::default().fit(ctx, &matrix.columns, labels)?;
    let model = serde_json::from_value(json!({ "logistic_regression": model }))?;
    Ok(ClassifierModel::new(Parts {
        columns: like.columns().to_vec(),
        classes: like.classes().to_vec(),
        positive: None,
        threshold: None,
        members: vec![Member::new(fitted, model)?],
        combination: Combination::Single,
        calibrator: None,
        histograms: Vec::new(),
        score_histograms: Vec::new(),
    })?)
}

fn export_all(ctx: &Context, folder: &Path) -> Outcome<()> {
    for k in [2, 3] {
        let (test, _) = rows(700, k, 2, true)?;
        for (name, model) in classifiers(ctx, k)? {
            save(ctx, folder, &format!("{name}{k}"), &model, &test)?;
        }
        numbers(ctx, k, folder)?;
    }
    Ok(())
}

/// Writes a classifier, and what it says of the rows of `test`.
fn save(ctx: &Context, folder: &Path, name: &str, model: &ClassifierModel, test: &Table) -> Outcome<()> {
    let file = folder.join(name);
    std::fs::write(
        file.with_extension("onnx"),
        export(ctx, model, ExportOptions::default())?,
    )?;
    let p = model.predict(ctx, test)?;
    let rows: Vec<&[f64]> = p.chunks_exact(model.classes().len()).collect();
    let decided: Vec<u32> = rows.iter().map(|row| model.decide(row)).collect();
    let labels: Vec<&String> = decided.iter().map(|class| &model.classes()[*class as usize]).collect();
    let explained = if rows.first().is_some_and(|row| row.len() == 2) {
        vec![1; rows.len()]
    } else {
        decided.clone()
    };
    let why = model.explain(ctx, test, &explained)?;
    let columns: Map<String, Value> = test
        .columns()
        .iter()
        .map(|c| (c.name.clone(), values(&c.values)))
        .collect();
    let said = json!({"columns": columns, "classes": model.classes(), "probabilities": rows, "labels": labels, "threshold": model.threshold(),
                      "contributions": why.values});
    std::fs::write(file.with_extension("json"), said.to_string())?;
    Ok(())
}

fn values(values: &Values) -> Value {
    match values {
        Values::Numeric(numbers) => numbers
            .iter()
            .map(|x| if x.is_nan() { Value::Null } else { json!(x) })
            .collect(),
        Values::Category { levels, codes } => codes.iter().map(|code| json!(levels.get(*code as usize))).collect(),
    }
}

/// A table from its JSON; text where a column has any.
fn table(columns: &Map<String, Value>) -> Outcome<Table> {
    let column = |(name, values): (&String, &Value)| {
        let values = values.as_array().ok_or("a column is a list")?;
        Ok(if values.iter().any(Value::is_string) {
            Column::category(name.clone(), values.iter().map(Value::as_str))
        } else {
            Column::numeric(
                name.clone(),
                values.iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect(),
            )
        })
    };
    Ok(Table::new(columns.iter().map(column).collect::<Outcome<_>>()?)?)
}

fn imported(ctx: &Context, bytes: &[u8], said: &Value) -> Outcome<Value> {
    let columns = said["columns"].as_object().ok_or("no columns")?;
    let options = ImportOptions {
        columns: said["names"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        classes: None,
    };
    let model = import(ctx, bytes, &options)?;
    let mut model = ClassifierModel::decode(&model.encode()?)?;
    if let Some(columns) = said["background"].as_object() {
        let background = table(columns)?;
        model = recount(ctx, &model, &background, &vec![1.0; background.n_rows()])?;
    }
    let table = table(columns)?;
    let p = model.predict(ctx, &table)?;
    let decided: Vec<u32> = match model.classes().len() {
        2 => vec![1; table.n_rows()],
        k => p.chunks_exact(k).map(|p| model.decide(p)).collect(),
    };
    let why = model.explain(ctx, &table, &decided)?;
    let off = (0..table.n_rows()).map(|row| (why.base[row] + why.of(row).iter().sum::<f64>() - why.score[row]).abs());
    let shares: Vec<&[f64]> = p.chunks_exact(model.classes().len()).collect();
    Ok(
        json!({"classes": model.classes(), "probabilities": shares, "additivity": off.fold(0.0, f64::max), "threshold": model.threshold(), "contributions": why.values,
              "explained": why.values.iter().filter(|value| **value != 0.0).count()}),
    )
}

fn import_all(ctx: &Context, folder: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let said = serde_json::from_str(&std::fs::read_to_string(file.with_extension("json"))?)?;
        let found = imported(ctx, &std::fs::read(&file)?, &said);
        let found = found.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        std::fs::write(file.with_extension("import.json"), found.to_string())?;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ctx = Context::builder().threads(2).build()?;
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["export", folder] => export_all(&ctx, Path::new(folder)),
        ["import", folder] => import_all(&ctx, Path::new(folder)),
        _ => Err("export FOLDER | import FOLDER".into()),
    }
}
