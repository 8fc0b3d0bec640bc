//! Trains a classifier on a CSV file and prints its report as JSON, for `benches/quality/classifier.py`.
//!
//!     cargo run --release -p empatia-engine --example quality -- FILE SETTINGS [KEY=VALUE...]
//!
//! SETTINGS is the JSON of a training. Keys: `target` (column of the classes), `fold` (column of fold numbers; else folds are
//! the settings' split), `group` (column of students), `test` (column that is 1 for rows that only test the final model),
//! `drop` (columns left out, separated by commas), `threads`. A column is a number where every value is; empty is missing.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::time::Instant;

use empatia_engine::classifier::{Trained, Training};
use empatia_engine::context::Context;
use empatia_engine::data::{Column, Labels, Table};
use empatia_engine::metrics::Predictions;
use empatia_engine::validate::{Folds, Metric};
use serde_json::json;

type Failure = Box<dyn Error>;

/// Cells by column, in the order of the file.
struct Csv {
    names: Vec<String>,
    columns: Vec<Vec<String>>,
}

impl Csv {
    /// Comma-separated lines; fields in quotes may hold commas and doubled quotes, not line ends.
    fn read(path: &str) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines().filter(|line| !line.is_empty()).map(fields);
        let names = lines.next().ok_or("empty file")?;
        let mut columns = vec![Vec::new(); names.len()];
        for line in lines {
            if line.len() != names.len() {
                return Err(format!("expected {} fields, found {}", names.len(), line.len()).into());
            }
            columns
                .iter_mut()
                .zip(line)
                .for_each(|(column, field)| column.push(field));
        }
        Ok(Self { names, columns })
    }

    fn column(&self, name: &str) -> Result<&[String], Failure> {
        let at = self.names.iter().position(|known| known == name);
        at.map(|at| self.columns[at].as_slice())
            .ok_or_else(|| format!("no column {name}").into())
    }
}

fn fields(line: &str) -> Vec<String> {
    let (mut found, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    found.push(field);
    found
}

fn column(name: &str, cells: &[String]) -> Column {
    let numbers: Option<Vec<f64>> = cells
        .iter()
        .map(|cell| match cell.as_str() {
            "" => Some(f64::NAN),
            cell => cell.parse().ok(),
        })
        .collect();
    match numbers {
        Some(numbers) => Column::numeric(name, numbers),
        None => Column::category(
            name,
            cells.iter().map(|cell| (!cell.is_empty()).then_some(cell.as_str())),
        ),
    }
}

struct Data {
    table: Table,
    labels: Labels,
    classes: Vec<String>,
    folds: Option<Folds>,
}

/// A number for each different cell.
fn numbers(cells: &[String]) -> Vec<u64> {
    let mut known: HashMap<&str, u64> = HashMap::new();
    let number = |cell| {
        let next = known.len() as u64;
        *known.entry(cell).or_insert(next)
    };
    cells.iter().map(String::as_str).map(number).collect()
}

fn data(csv: &Csv, options: &BTreeMap<String, String>) -> Result<Data, Failure> {
    let option = |name: &str| options.get(name).map(String::as_str);
    let target = option("target").ok_or("target=COLUMN")?;
    let cells = csv.column(target)?;
    let mut classes: Vec<String> = cells.to_vec();
    classes.sort();
    classes.dedup();
    let targets = cells
        .iter()
        .map(|cell| classes.binary_search(cell).unwrap_or(0) as u32)
        .collect();
    let mut labels = Labels::unweighted(targets, classes.len())?;
    if let Some(group) = option("group") {
        labels = labels.with_groups(numbers(csv.column(group)?))?;
    }
    let folds = match option("fold") {
        None => None,
        Some(fold) => {
            let folds: Vec<u32> = csv
                .column(fold)?
                .iter()
                .map(|cell| cell.parse())
                .collect::<Result<_, _>>()?;
            let k = folds.iter().max().map_or(0, |most| *most as usize + 1);
            Some(Folds::from_assignment(&folds, k)?)
        }
    };
    let mut left_out: Vec<&str> = option("drop").unwrap_or("").split(',').collect();
    left_out.extend(
        ["target", "group", "fold", "test"]
            .iter()
            .filter_map(|name| option(name)),
    );
    let kept = csv
        .names
        .iter()
        .zip(&csv.columns)
        .filter(|(name, _)| !left_out.contains(&name.as_str()));
    let table = Table::new(kept.map(|(name, cells)| column(name, cells)).collect())?;
    Ok(Data {
        table,
        labels,
        classes,
        folds,
    })
}

fn train(ctx: &Context, training: &Training, data: &Data) -> Result<Trained, Failure> {
    let Data {
        table, labels, classes, ..
    } = data;
    Ok(match &data.folds {
        Some(folds) => training.train_with(ctx, table, labels, folds, classes, None)?,
        None => training.train(ctx, table, labels, classes, None)?,
    })
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, settings, rest @ ..] = &args[..] else {
        return Err("FILE SETTINGS [KEY=VALUE...]".into());
    };
    let options: BTreeMap<String, String> = rest
        .iter()
        .filter_map(|option| option.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let training = Training::from_json(serde_json::from_str(settings)?)?;
    let threads = options.get("threads").map_or(Ok(4), |threads| threads.parse())?;
    let ctx = Context::builder().threads(threads).build()?;
    let csv = Csv::read(file)?;
    let mut data = data(&csv, &options)?;
    let mut tested = None;
    if let Some(test) = options.get("test") {
        let is_test: Vec<bool> = csv.column(test)?.iter().map(|cell| cell == "1").collect();
        let part = |wanted: bool| {
            (0..is_test.len() as u32)
                .filter(|row| is_test[*row as usize] == wanted)
                .collect::<Vec<u32>>()
        };
        let held_out = (data.table.select(&ctx, &part(true))?, data.labels.select(&part(true))?);
        data.table = data.table.select(&ctx, &part(false))?;
        data.labels = data.labels.select(&part(false))?;
        data.folds = None;
        tested = Some(held_out);
    }
    let began = Instant::now();
    let trained = train(&ctx, &training, &data)?;
    let seconds = began.elapsed().as_secs_f64();
    let mut report = serde_json::to_value(&trained.report)?;
    report["seconds"] = json!(seconds);
    report["model_bytes"] = json!(trained.model.encode()?.len());
    if let Some((table, labels)) = tested {
        let probabilities = trained.model.predict(&ctx, &table)?;
        let k = data.classes.len();
        let predictions = Predictions::new(&probabilities, k, labels.targets(), labels.weights())?;
        let (mut counts, positive) = ([[0.0; 2]; 2], trained.model.positive().unwrap_or(1));
        for (p, truth) in probabilities.chunks_exact(k).zip(labels.targets()) {
            let called = trained.model.decide(p) == positive;
            counts[usize::from(*truth == positive)][usize::from(called)] += 1.0;
        }
        let mut scores = serde_json::Map::new();
        for metric in Metric::ALL {
            scores.insert(metric.name().to_owned(), json!(metric.of(&ctx, &predictions)?));
        }
        scores.insert("recall".into(), json!(counts[1][1] / (counts[1][0] + counts[1][1])));
        scores.insert("precision".into(), json!(counts[1][1] / (counts[0][1] + counts[1][1])));
        report["test"] = scores.into();
    }
    println!("{report}");
    Ok(())
}
