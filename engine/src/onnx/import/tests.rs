//! Files made by hand: what they mean, and what is refused.

use prost::bytes::Bytes;
use prost::Message;

use super::*;
use crate::classifier::Fitted;
use crate::data::{Column, Table};
use crate::error::EngineError;
use crate::onnx::message::{Attribute, Dimension, Shape, TensorType, Type};

fn ctx() -> Context {
    Context::builder().memory_budget(64 << 20).build().unwrap()
}

fn attribute(name: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ..Attribute::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> Attribute {
    Attribute {
        ints: ints.to_vec(),
        ..attribute(name)
    }
}

fn floats(name: &str, floats: &[f32]) -> Attribute {
    Attribute {
        floats: floats.to_vec(),
        ..attribute(name)
    }
}

fn text(name: &str, text: &'static str) -> Attribute {
    Attribute {
        s: Some(Bytes::from_static(text.as_bytes())),
        ..attribute(name)
    }
}

fn modes(modes: &[&'static str]) -> Attribute {
    Attribute {
        strings: modes.iter().map(|mode| Bytes::from_static(mode.as_bytes())).collect(),
        ..attribute("nodes_modes")
    }
}

fn node(domain: &str, op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) -> Node {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Node {
        input: own(inputs),
        output: own(outputs),
        op_type: op.to_owned(),
        domain: domain.to_owned(),
        attribute,
        ..Node::default()
    }
}

fn value(name: &str, kind: i32, width: i64) -> ValueInfo {
    let dimension = |value| Dimension { value, param: None };
    let shape = Shape {
        dim: vec![dimension(None), dimension(Some(width))],
    };
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(TensorType {
                elem_type: kind,
                shape: Some(shape),
            }),
        }),
    }
}

fn file(nodes: Vec<Node>) -> Vec<u8> {
    let graph = Graph {
        node: nodes,
        input: vec![value("x", message::TENSOR_FLOAT, 2)],
        output: vec![value("p", message::TENSOR_FLOAT, 2)],
        ..Graph::default()
    };
    let model = Model {
        ir_version: 8,
        graph: Some(graph),
        ..Model::default()
    };
    model.encode_to_vec()
}

/// A split of feature 1 at 0.1, which is no number of 32 bits exactly: log-odds 2 on the true side, -1 on the other.
fn stump() -> Vec<Attribute> {
    vec![
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[1, 0, 0]),
        floats("nodes_values", &[0.1, 0.0, 0.0]),
        modes(&["BRANCH_LEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("nodes_missing_value_tracks_true", &[0, 0, 0]),
        ints("class_treeids", &[0, 0]),
        ints("class_nodeids", &[1, 2]),
        ints("class_ids", &[0, 0]),
        floats("class_weights", &[2.0, -1.0]),
        ints("classlabels_int64s", &[7, 9]),
        text("post_transform", "LOGISTIC"),
    ]
}

fn trees(attributes: Vec<Attribute>) -> Vec<u8> {
    file(vec![node(
        "ai.onnx.ml",
        "TreeEnsembleClassifier",
        &["x"],
        &["label", "p"],
        attributes,
    )])
}

/// The stump with one attribute replaced or added.
fn changed(with: Attribute) -> Vec<u8> {
    let mut attributes = stump();
    attributes.retain(|attribute| attribute.name != with.name);
    attributes.push(with);
    trees(attributes)
}

fn read(bytes: &[u8]) -> Result<ClassifierModel> {
    import(&ctx(), bytes, &ImportOptions::default())
}

/// Whether each of these values of feature 1 takes the true side.
fn true_side(bytes: &[u8], values: &[f64]) -> Vec<bool> {
    let model = read(bytes).unwrap();
    let name = model.columns()[1].name.clone();
    let other = model.columns()[0].name.clone();
    let table = Table::new(vec![
        Column::numeric(name, values.to_vec()),
        Column::numeric(other, vec![0.0; values.len()]),
    ]);
    let p = model.predict(&ctx(), &table.unwrap()).unwrap();
    p.chunks_exact(2).map(|pair| pair[1] > 0.5).collect()
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_stump_says_what_its_leaves_say() {
    let model = read(&trees(stump())).unwrap();
    assert_eq!(model.classes(), ["7", "9"]);
    assert_eq!(
        model.columns().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["x_0", "x_1"]
    );
    let table = Table::new(vec![Column::numeric("x_1", vec![0.0, 1.0])]).unwrap();
    let p = model.predict(&ctx(), &table).unwrap();
    let expected = [
        1.0 / (1.0 + 2f64.exp()),
        1.0 / (1.0 + (-2f64).exp()),
        1.0 / (1.0 + (-1f64).exp()),
    ];
    assert!(
        (p[0] - expected[0]).abs() < 1e-12 && (p[1] - expected[1]).abs() < 1e-12,
        "{p:?}"
    );
    assert!((p[2] - expected[2]).abs() < 1e-12);
    // nothing is known of the rows, so either side is as likely: 2 and -1 have mean 0.5
    let why = model.explain(&ctx(), &table, &[1, 1]).unwrap();
    assert!(
        (why.base[0] - 0.5).abs() < 1e-12 && (why.of(0)[1] - 1.5).abs() < 1e-12,
        "{why:?}"
    );
}

/// Guards against comparing in 64 bits what the file's maker compares in 32: 0.1 as f32 is above 0.1 as f64.
#[test]
fn every_comparison_is_the_one_of_32_bits() {
    let at = f64::from(0.1f32);
    let (below, above) = (f64::from(0.1f32.next_down()), f64::from(0.1f32.next_up()));
    // values that round to 0.1f32 from either side
    let near = [(at + below) / 2.0 + 1e-12, (at + above) / 2.0 - 1e-12];
    let values = [below, near[0], 0.1, at, near[1], above, f64::NAN];
    let cases = [
        ("BRANCH_LEQ", [true, true, true, true, true, false, false]),
        ("BRANCH_LT", [true, false, false, false, false, false, false]),
        ("BRANCH_GT", [false, false, false, false, false, true, false]),
        ("BRANCH_GTE", [false, true, true, true, true, true, false]),
    ];
    for (mode, expected) in cases {
        let bytes = changed(modes(&[mode, "LEAF", "LEAF"]));
        assert_eq!(true_side(&bytes, &values), expected, "{mode}");
        let mut attributes = stump();
        attributes.retain(|a| a.name != "nodes_modes" && a.name != "nodes_missing_value_tracks_true");
        attributes.extend([
            modes(&[mode, "LEAF", "LEAF"]),
            ints("nodes_missing_value_tracks_true", &[1, 0, 0]),
        ]);
        let mut expected = expected;
        expected[6] = true;
        assert_eq!(
            true_side(&trees(attributes), &values),
            expected,
            "{mode}, missing values on the true side"
        );
    }
}

#[test]
fn what_contradicts_itself_is_refused_with_what_is_wrong() {
    let cases = [
        (ints("nodes_truenodeids", &[0, 0, 0]), "reached from the root"),
        (ints("nodes_truenodeids", &[2, 0, 0]), "2 roots"),
        (ints("nodes_truenodeids", &[5, 0, 0]), "no node 5"),
        (ints("nodes_nodeids", &[0, 1, 1]), "twice"),
        (ints("nodes_treeids", &[0, 0]), "differ in length"),
        (ints("nodes_treeids", &[0, 0, 1]), "not there"),
        (ints("nodes_featureids", &[2, 0, 0]), "feature"),
        (ints("nodes_featureids", &[-1, 0, 0]), "negative"),
        (floats("nodes_values", &[f32::NAN, 0.0, 0.0]), "threshold"),
        (floats("class_weights", &[f32::INFINITY, 0.0]), "finite"),
        (floats("class_weights", &[1.0]), "differ in length"),
        (ints("class_ids", &[0, 2]), "not there"),
        (ints("class_nodeids", &[0, 1]), "not there"),
        (ints("classlabels_int64s", &[0]), "classes"),
        (modes(&["BRANCH_EQ", "LEAF", "LEAF"]), "BRANCH_EQ"),
        (modes(&["BRANCH_LEQ", "LEAF", "BRANCH_LEQ"]), "not there"),
        (text("post_transform", "PROBIT"), "PROBIT"),
        (text("post_transform", "SOFTMAX"), "softmax of one"),
        (text("post_transform", "NONE"), "neither probabilities"),
        (floats("base_values", &[f32::NAN]), "base value"),
        (floats("nodes_values_as_tensor", &[]), "nodes_values_as_tensor"),
    ];
    for (with, reason) in cases {
        let name = with.name.clone();
        let found = refusal(&changed(with));
        assert!(found.contains(reason), "{name}: {found}");
    }
    assert!(refusal(&[]).contains("no graph"));
    assert!(refusal(b"PK\x03\x04 something else").contains("not a readable ONNX file"));
    let twice = trees([stump(), stump()].concat());
    assert!(refusal(&twice).contains("occurs twice"));
}

#[test]
fn operators_that_are_not_known_matter_only_where_the_probabilities_need_them() {
    let model = |op: &str| node("ai.onnx.ml", "TreeEnsembleClassifier", &["x"], &["label", op], stump());
    let beside = node("", "Erf", &["label"], &["odd"], Vec::new());
    assert!(read(&file(vec![model("p"), beside])).is_ok());
    let behind = node("", "Erf", &["raw"], &["p"], Vec::new());
    assert!(refusal(&file(vec![model("raw"), behind])).contains("operator Erf"));
    let unordered = vec![node("", "Identity", &["raw"], &["p"], Vec::new()), model("raw")];
    assert!(refusal(&file(unordered)).contains("before it is computed"));
    assert!(refusal(&file(vec![model("p"), model("p")])).contains("more than one model"));
    let again = node("", "Identity", &["x"], &["x"], Vec::new());
    assert!(refusal(&file(vec![again, model("p")])).contains("computed twice"));
}

/// Guards against files of some bytes that ask for gigabytes.
#[test]
fn small_files_do_not_take_much_memory() {
    let doubled = |i: usize| {
        node(
            "",
            "Concat",
            &[&format!("v{i}"), &format!("v{i}")],
            &[&format!("v{}", i + 1)],
            Vec::new(),
        )
    };
    let mut nodes = vec![node("", "Identity", &["x"], &["v0"], Vec::new())];
    nodes.extend((0..60).map(doubled));
    assert!(refusal(&file(nodes)).contains("features"));
    let many = file(vec![Node::default(); 1_000_000]);
    assert!(many.len() < 3 << 20);
    assert!(matches!(read(&many), Err(EngineError::Memory { .. })));
    let wide = vec![node(
        "ai.onnx.ml",
        "TreeEnsembleRegressor",
        &["x"],
        &["p"],
        vec![Attribute {
            i: Some(i64::MAX),
            ..attribute("n_targets")
        }],
    )];
    assert!(refusal(&file(wide)).contains("regression"));
    // a chain of splits, deeper than any tree that is accepted
    let n = 4001i64;
    let deep = |change: fn(i64) -> i64| (0..n).map(change).collect::<Vec<i64>>();
    let list = |name: &str, change: fn(i64) -> i64| ints(name, &deep(change));
    let of_modes: Vec<&'static str> = (0..n)
        .map(|i| if i % 2 == 0 && i < 4000 { "BRANCH_LEQ" } else { "LEAF" })
        .collect();
    let chain = vec![
        list("nodes_treeids", |_| 0),
        list("nodes_nodeids", |i| i),
        list("nodes_featureids", |_| 0),
        floats("nodes_values", &vec![0.5; n as usize]),
        modes(&of_modes),
        list("nodes_truenodeids", |i| i + 1),
        list("nodes_falsenodeids", |i| i + 2),
        ints("classlabels_int64s", &[0, 1]),
        text("post_transform", "LOGISTIC"),
        ints("class_treeids", &[0]),
        ints("class_nodeids", &[1]),
        ints("class_ids", &[1]),
        floats("class_weights", &[-0.5]),
    ];
    assert!(refusal(&trees(chain)).contains("512 splits"));
}

#[test]
fn recipe_and_regression_are_taken_over() {
    let numbers = [0.5f32, 2.0];
    let nodes = vec![
        node(
            "ai.onnx.ml",
            "Imputer",
            &["x"],
            &["filled"],
            vec![
                floats("imputed_value_floats", &numbers),
                Attribute {
                    f: Some(f32::NAN),
                    ..attribute("replaced_value_float")
                },
            ],
        ),
        node(
            "ai.onnx.ml",
            "Scaler",
            &["filled"],
            &["scaled"],
            vec![floats("offset", &[1.0, 2.0]), floats("scale", &[0.5, 0.0])],
        ),
        node(
            "ai.onnx.ml",
            "LinearClassifier",
            &["scaled"],
            &["label", "p"],
            vec![
                floats("coefficients", &[-2.0, -3.0, 2.0, 3.0]),
                floats("intercepts", &[-0.25, 0.25]),
                ints("classlabels_ints", &[0, 1]),
                text("post_transform", "LOGISTIC"),
            ],
        ),
    ];
    let model = read(&file(nodes)).unwrap();
    assert!(matches!(model.members()[0].model(), Fitted::LogisticRegression(_)));
    let table = Table::new(vec![
        Column::numeric("x_0", vec![f64::NAN, 3.0]),
        Column::numeric("x_1", vec![4.0, f64::NAN]),
    ]);
    let p = model.predict(&ctx(), &table.unwrap()).unwrap();
    // 0.25 + 2 (0.5 - 1) / 2 = -0.25; 0.25 + 2 (3 - 1) / 2 = 2.25; the second feature is constant
    for (found, margin) in [(p[1], -0.25f64), (p[3], 2.25)] {
        assert!((found - 1.0 / (1.0 + (-margin).exp())).abs() < 1e-12, "{p:?}");
    }
}

#[test]
fn names_can_be_given_and_must_be_as_many() {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>());
    let options = ImportOptions {
        columns: names(&["idade", "acessos"]),
        classes: names(&["ativo", "em risco"]),
    };
    let model = import(&ctx(), &trees(stump()), &options).unwrap();
    assert_eq!(
        (model.columns()[1].name.as_str(), model.classes()[1].as_str()),
        ("acessos", "em risco")
    );
    for options in [
        ImportOptions {
            columns: names(&["idade"]),
            classes: None,
        },
        ImportOptions {
            columns: names(&["a", "a"]),
            classes: None,
        },
        ImportOptions {
            columns: None,
            classes: names(&["a"]),
        },
        ImportOptions {
            columns: None,
            classes: names(&["a", "a"]),
        },
    ] {
        assert!(import(&ctx(), &trees(stump()), &options).is_err(), "{options:?}");
    }
}
