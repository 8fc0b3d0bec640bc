//! Which algorithm finds the segments: its options from SQL, its record in the registry.

use empatia_engine::density::DensityParams;
use empatia_engine::error::EngineError;
use empatia_engine::kmeans::KMeansParams;
use empatia_engine::mixture::MixtureParams;
use empatia_engine::segment::{Clusters, Method, SegmentModel};
use linfa::ParamGuard;
use serde_json::{json, Map, Value};

use crate::error::{Error, Result};

/// Starts unless asked otherwise, and where those of K-Means disagree on at most so many distinct vectors, on which starts are cheap.
const STARTS: usize = 10;
const MORE_STARTS: usize = 100;
const CHEAP_ROWS: usize = 20_000;
/// (worst - best) / best inertia from which starts disagree: they found different optima, and there may be a better one.
const SPREAD: f64 = 1e-9;

/// The arguments that the algorithms share.
pub struct Arguments {
    pub k: usize,
    pub seed: u64,
    pub n_init: Option<usize>,
    pub max_iter: usize,
    pub tolerance: f64,
}

/// A method, and the one to try after it where its starts disagree.
pub struct Methods {
    first: Method,
    more: Option<Method>,
}

impl Methods {
    /// # Errors
    /// 22023 for an unknown algorithm, an option that it does not have, or one outside its domain.
    pub fn new(algorithm: &str, arguments: &Arguments, options: Option<Value>) -> Result<Self> {
        let options = Options::new(algorithm, options)?;
        let mut more = None;
        let first = match algorithm {
            "kmeans" => {
                options.only(&[])?;
                let with_starts = |starts| {
                    let params = KMeansParams::new(arguments.k)
                        .seed(arguments.seed)
                        .n_init(starts)
                        .max_iter(arguments.max_iter)
                        .tolerance(arguments.tolerance);
                    Ok::<_, Error>(Method::KMeans(params.check()?))
                };
                if arguments.n_init.is_none() {
                    more = Some(with_starts(MORE_STARTS)?);
                }
                with_starts(arguments.n_init.unwrap_or(STARTS))?
            }
            "gmm" => {
                options.only(&["regularisation", "covariance"])?;
                options.covariance()?;
                let mut params = MixtureParams::new(arguments.k);
                params.seed = arguments.seed;
                params.n_init = arguments.n_init.unwrap_or(STARTS);
                params.max_iter = arguments.max_iter;
                params.tolerance = arguments.tolerance;
                params.regularisation = options.number("regularisation")?.unwrap_or(params.regularisation);
                params.check()?;
                Method::Mixture(params)
            }
            "dbscan" => {
                options.only(&["eps", "min_points"])?;
                let mut params = DensityParams::default();
                params.eps = options.number("eps")?.unwrap_or(params.eps);
                params.min_points = options.count("min_points")?;
                params.check()?;
                Method::Density(params)
            }
            _ => {
                return Err(Error::unknown_name(
                    "algorithm",
                    algorithm,
                    &["kmeans", "gmm", "dbscan"],
                ))
            }
        };
        Ok(Self { first, more })
    }

    /// Runs `fit`, and once more with more starts where those disagree and are cheap.
    pub fn fit(
        &self,
        distinct: usize,
        fit: impl Fn(&Method) -> Result<SegmentModel, EngineError>,
    ) -> Result<SegmentModel, EngineError> {
        let model = fit(&self.first)?;
        let disagree = model.kmeans().is_some_and(|kmeans| kmeans.spread() > SPREAD);
        match &self.more {
            Some(more) if disagree && distinct <= CHEAP_ROWS => fit(more),
            _ => Ok(model),
        }
    }
}

/// Parameters and metrics as `empatia.model` keeps them.
pub fn recorded(model: &SegmentModel, arguments: &Arguments) -> (Value, Value) {
    let (segments, inertia) = (model.segments().len(), model.inertia());
    match model.clusters() {
        Clusters::KMeans(kmeans) => (
            json!({"k": arguments.k, "n_init": kmeans.starts().len(), "max_iter": arguments.max_iter, "tolerance": arguments.tolerance}),
            json!({"segments": segments, "inertia": inertia, "iterations": kmeans.iterations(), "converged": kmeans.converged(),
                   "spread": number(kmeans.spread())}),
        ),
        Clusters::Mixture(mixture) => {
            let report = mixture.report();
            (
                json!({"k": arguments.k, "n_init": arguments.n_init.unwrap_or(STARTS), "max_iter": arguments.max_iter,
                       "tolerance": arguments.tolerance, "covariance": "full", "regularisation": mixture.regularisation()}),
                json!({"segments": segments, "inertia": inertia, "iterations": report.iterations, "converged": report.converged,
                       "log_likelihood": report.log_likelihood, "bic": mixture.bic(model.training().total_weight), "starts": report.starts}),
            )
        }
        Clusters::Density(density) => {
            let noise = model.ranked().last().map_or(0.0, |noise| noise.weight);
            (
                json!({"eps": density.eps(), "min_points": density.min_points()}),
                json!({"segments": segments, "inertia": inertia, "clusters": density.n_clusters(), "core_vectors": density.n_core(),
                       "noise_rows": noise as i64}),
            )
        }
        _ => (json!({}), json!({"segments": segments})),
    }
}

/// A number, or null for what JSON cannot write.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The options of an algorithm, which must be an object.
struct Options {
    algorithm: String,
    values: Map<String, Value>,
}

impl Options {
    fn new(algorithm: &str, given: Option<Value>) -> Result<Self> {
        let values = match given {
            None => Map::new(),
            Some(Value::Object(values)) => values,
            Some(other) => return Err(Error::invalid_parameter("options", "a JSON object", other)),
        };
        Ok(Self {
            algorithm: algorithm.to_owned(),
            values,
        })
    }

    fn only(&self, valid: &[&str]) -> Result<()> {
        match self.values.keys().find(|key| !valid.contains(&key.as_str())) {
            Some(key) if valid.is_empty() => Err(Error::invalid_parameter(
                "options",
                format!("empty: {} has none", self.algorithm),
                format!("with \"{key}\""),
            )),
            Some(key) => Err(Error::unknown_name(
                &format!("option of {}", self.algorithm),
                key,
                valid,
            )),
            None => Ok(()),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.values
            .get(name)
            .map(|value| {
                value
                    .as_f64()
                    .ok_or_else(|| Error::invalid_parameter(name, "a number", value))
            })
            .transpose()
    }

    fn count(&self, name: &str) -> Result<Option<usize>> {
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        self.values
            .get(name)
            .map(|value| {
                whole(value).ok_or_else(|| Error::invalid_parameter(name, "a whole number of at least 1", value))
            })
            .transpose()
    }

    /// linfa knows full covariances only; the option says so to whoever looks for others.
    fn covariance(&self) -> Result<()> {
        match self.values.get("covariance") {
            None => Ok(()),
            Some(Value::String(kind)) if kind == "full" => Ok(()),
            Some(other) => Err(Error::invalid_parameter(
                "covariance",
                "\"full\", the only one there is",
                other,
            )),
        }
    }
}
