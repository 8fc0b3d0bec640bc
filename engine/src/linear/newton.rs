//! Newton's method with conjugate gradients for the steps (Nocedal & Wright 2006, algorithms 7.1 and 5.3), preconditioned by
//! the Hessian's diagonal. The objective is convex, so that the only thing to guard against is too long a step.

use super::objective::Objective;
use crate::context::Context;
use crate::error::Result;

/// Most conjugate gradient steps per Newton step.
const MAX_INNER: usize = 500;
/// Most halvings of a step.
const MAX_HALVINGS: usize = 40;
/// Predicted relative decrease below which the loss is too coarse to judge a step: its gradient judges.
const LOSS_PRECISION: f64 = 1e-12;

/// How the descent ended.
pub(super) struct Descent {
    pub(super) coefficients: Vec<f64>,
    pub(super) iterations: usize,
    pub(super) converged: bool,
}

/// A point: coefficients, loss, gradient, probabilities.
#[derive(Clone)]
struct Point {
    coefficients: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Point {
    fn at(ctx: &Context, objective: &Objective, coefficients: Vec<f64>) -> Result<Self> {
        let mut gradient = vec![0.0; objective.size()];
        let mut probabilities = vec![0.0; objective.n_probabilities()];
        let loss = objective.gradient(ctx, &coefficients, &mut probabilities, &mut gradient)?;
        Ok(Self {
            coefficients,
            loss,
            gradient,
            probabilities,
        })
    }

    fn largest_gradient(&self) -> f64 {
        self.gradient.iter().fold(0.0, |largest, g| largest.max(g.abs()))
    }
}

/// Minimises from zero.
pub(super) fn minimise(ctx: &Context, objective: &Objective, max_iter: usize, tolerance: f64) -> Result<Descent> {
    let _second_point = ctx.reserve_for::<f64>(objective.n_probabilities())?;
    let mut point = Point::at(ctx, objective, vec![0.0; objective.size()])?;
    for iteration in 0..max_iter {
        ctx.check()?;
        if point.largest_gradient() <= tolerance {
            return Ok(point.end(iteration, true));
        }
        let direction = newton_direction(ctx, objective, &mut point)?;
        let slope = dot(&point.gradient, &direction);
        // A slope that rounding has made zero or positive: nothing is left to gain
        if slope >= 0.0 {
            return Ok(point.end(iteration, true));
        }
        let fine = -slope <= LOSS_PRECISION * point.loss.abs().max(f64::MIN_POSITIVE);
        let next = match fine {
            true => Some(step(ctx, objective, &point, &direction, 1.0)?),
            false => line_search(ctx, objective, &point, &direction, slope)?,
        };
        match next {
            Some(next) if !fine || next.largest_gradient() < point.largest_gradient() => point = next,
            _ => return Ok(point.end(iteration, true)),
        }
    }
    let converged = point.largest_gradient() <= tolerance;
    Ok(point.end(max_iter, converged))
}

impl Point {
    fn end(self, iterations: usize, converged: bool) -> Descent {
        Descent {
            coefficients: self.coefficients,
            iterations,
            converged,
        }
    }
}

fn step(ctx: &Context, objective: &Objective, from: &Point, direction: &[f64], length: f64) -> Result<Point> {
    let moved = from.coefficients.iter().zip(direction).map(|(c, d)| c + length * d);
    Point::at(ctx, objective, moved.collect())
}

/// The first of 1, 1/2, 1/4, ... that lowers the loss by enough (Armijo).
fn line_search(
    ctx: &Context,
    objective: &Objective,
    from: &Point,
    direction: &[f64],
    slope: f64,
) -> Result<Option<Point>> {
    let mut length = 1.0;
    for _ in 0..MAX_HALVINGS {
        let next = step(ctx, objective, from, direction, length)?;
        if next.loss <= from.loss + 1e-4 * length * slope {
            return Ok(Some(next));
        }
        length /= 2.0;
    }
    Ok(None)
}

/// Solves Hessian x direction = -gradient, as exactly as the gradient is small.
fn newton_direction(ctx: &Context, objective: &Objective, point: &mut Point) -> Result<Vec<f64>> {
    let size = objective.size();
    let mut diagonal = vec![0.0; size];
    objective.diagonal(ctx, &mut point.probabilities, &mut diagonal)?;
    let largest = diagonal.iter().copied().fold(0.0, f64::max);
    // A class or feature whose curvature has vanished must not take all of the step
    let floor = (largest * 1e-14).max(f64::MIN_POSITIVE);
    diagonal.iter_mut().for_each(|d| *d = d.max(floor));

    let norm = dot(&point.gradient, &point.gradient).sqrt();
    let enough = norm * norm.sqrt().min(0.1);
    let mut direction = vec![0.0; size];
    let mut residual: Vec<f64> = point.gradient.iter().map(|g| -g).collect();
    let mut scaled: Vec<f64> = residual.iter().zip(&diagonal).map(|(r, d)| r / d).collect();
    let mut search = scaled.clone();
    let mut product = vec![0.0; size];
    let mut rho = dot(&residual, &scaled);
    for _ in 0..MAX_INNER.min(4 * size + 10) {
        if dot(&residual, &residual).sqrt() <= enough {
            break;
        }
        objective.curvature(ctx, &mut point.probabilities, &search, &mut product)?;
        let curvature = dot(&search, &product);
        if curvature <= 0.0 {
            break;
        }
        let length = rho / curvature;
        for i in 0..size {
            direction[i] += length * search[i];
            residual[i] -= length * product[i];
        }
        scaled
            .iter_mut()
            .zip(residual.iter().zip(&diagonal))
            .for_each(|(s, (r, d))| *s = r / d);
        let next = dot(&residual, &scaled);
        let turn = next / rho;
        rho = next;
        search.iter_mut().zip(&scaled).for_each(|(s, z)| *s = z + turn * *s);
    }
    if direction.iter().all(|d| *d == 0.0) {
        direction = search; // the preconditioned gradient
    }
    Ok(direction)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
