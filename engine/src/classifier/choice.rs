//! Which candidate it is to be, or which combination of them.

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::candidate::{Candidate, Ground};
use super::combination::Combination;
use super::training::Training;
use crate::ensemble::{choose_ensemble, Offer, Pick, Vote};
use crate::error::Result;
use crate::linear::LogisticParams;
use crate::validate::OutOfFold;

/// What the members become, judged out of fold.
pub(super) struct Chosen {
    /// Positions of the members among the candidates.
    pub(super) members: Vec<usize>,
    pub(super) combination: Combination,
    pub(super) out_of_fold: OutOfFold,
    /// Score of every offer.
    pub(super) scores: Vec<(Offer, Option<f64>)>,
    pub(super) offer: Offer,
}

/// The best of what was asked for.
pub(super) fn choose(ground: &Ground, training: &Training, candidates: &[Candidate]) -> Result<Chosen> {
    let found: Vec<&OutOfFold> = candidates.iter().map(|c| &c.cross_validation.out_of_fold).collect();
    if let [only] = found[..] {
        return Ok(Chosen {
            members: vec![0],
            combination: Combination::Single,
            out_of_fold: only.clone(),
            scores: Vec::new(),
            offer: Offer::Single(0),
        });
    }
    let singles = (0..candidates.len()).map(Offer::Single);
    let both = [Offer::Vote, Offer::Stack];
    let judged = ground.folds.len() > 1;
    let offers: Vec<Offer> = match (training.algorithm, judged) {
        (Algorithm::Ensemble, true) => both.to_vec(),
        (Algorithm::Ensemble, false) => return equal_vote(ground, training, &found),
        _ => singles.chain(both).collect(),
    };
    let stack = LogisticParams::default();
    let choice = choose_ensemble(ground.ctx, &found, &offers, &stack, training.metric)?;
    let offer = match &choice.pick {
        Pick::Single(position) => Offer::Single(*position),
        Pick::Vote(_) => Offer::Vote,
        Pick::Stack(_) => Offer::Stack,
    };
    let (members, combination) = match choice.pick {
        Pick::Single(position) => (vec![position], Combination::Single),
        Pick::Stack(stack) => ((0..candidates.len()).collect(), Combination::Stack(stack)),
        Pick::Vote(vote) => with_weight(&vote)?,
    };
    Ok(Chosen {
        members,
        combination,
        out_of_fold: choice.out_of_fold,
        scores: choice.scores,
        offer,
    })
}

/// All with the same weight: with a single test there are no other rows to fit weights on.
fn equal_vote(ground: &Ground, training: &Training, found: &[&OutOfFold]) -> Result<Chosen> {
    let vote = Vote::new(vec![1.0 / found.len() as f64; found.len()])?;
    let members: Vec<&[f64]> = found.iter().map(|one| one.probabilities()).collect();
    let out_of_fold = found[0].with_probabilities(vote.combine(&members)?)?;
    let score = training.metric.of(ground.ctx, &out_of_fold.predictions()?)?;
    Ok(Chosen {
        members: (0..found.len()).collect(),
        combination: Combination::Vote(vote),
        out_of_fold,
        scores: vec![(Offer::Vote, score)],
        offer: Offer::Vote,
    })
}

/// A vote without the members that have no weight in it.
fn with_weight(vote: &Vote) -> Result<(Vec<usize>, Combination)> {
    let weighs = |member: &usize| vote.weights()[*member] > 0.0;
    let members: Vec<usize> = (0..vote.weights().len()).filter(weighs).collect();
    let combination = match members[..] {
        [_] => Combination::Single,
        _ => Combination::Vote(Vote::new(
            members.iter().map(|member| vote.weights()[*member]).collect(),
        )?),
    };
    Ok((members, combination))
}

impl Chosen {
    /// What it is made of, for people.
    pub(super) fn name(&self, candidates: &[Candidate]) -> String {
        let names: Vec<&str> = self
            .members
            .iter()
            .map(|m| candidates[*m].learning.algorithm.name())
            .collect();
        match self.combination {
            Combination::Single => names.concat(),
            Combination::Vote(_) => format!("vote of {}", names.join(", ")),
            Combination::Stack(_) => format!("stack of {}", names.join(", ")),
        }
    }

    /// Weight of each member, for a vote.
    pub(super) fn weights(&self, candidates: &[Candidate]) -> Option<Map<String, Value>> {
        let Combination::Vote(vote) = &self.combination else {
            return None;
        };
        let pairs = self.members.iter().zip(vote.weights());
        let entry = |(member, weight): (&usize, &f64)| {
            let name = candidates[*member].learning.algorithm.name().to_owned();
            (name, Value::from(*weight))
        };
        Some(pairs.map(entry).collect())
    }
}
