//! An algorithm judged over the folds, with the models of the folds where memory allows to keep them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::learning::Learning;
use super::member::Member;
use super::report::SearchReport;
use crate::context::{Context, Reservation};
use crate::data::{Labels, Table};
use crate::error::{EngineError, Result};
use crate::validate::{cross_validate, CrossValidation, Folds, Metric};

/// What all candidates are judged on.
pub(super) struct Ground<'a> {
    pub(super) ctx: &'a Context,
    pub(super) table: &'a Table,
    pub(super) labels: &'a Labels,
    pub(super) folds: &'a Folds,
    pub(super) metric: Metric,
    pub(super) time_up: Option<Arc<AtomicBool>>,
}

impl Ground<'_> {
    pub(super) fn is_time_up(&self) -> bool {
        self.time_up.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// The models of the folds, in their order.
pub(super) struct Kept {
    pub(super) models: VecDeque<Member>,
    _memory: Vec<Reservation>,
}

pub(super) struct Candidate {
    pub(super) learning: Learning,
    pub(super) cross_validation: CrossValidation,
    /// None where memory did not suffice.
    pub(super) kept: Option<Kept>,
    pub(super) search: Option<SearchReport>,
}

impl Candidate {
    /// Cross-validates `learning`, on `ctx`, which may be stopped before that of `ground` is.
    ///
    /// # Errors
    /// Those of [`cross_validate`].
    pub(super) fn judge(ctx: &Context, ground: &Ground, learning: Learning) -> Result<Self> {
        let preparation = learning.preparation(ground.table);
        let mut kept = Some(Kept {
            models: VecDeque::new(),
            _memory: Vec::new(),
        });
        let cross_validation = cross_validate(
            ctx,
            &preparation,
            &learning,
            ground.table,
            ground.labels,
            ground.folds,
            |view| {
                let bytes = view.prepared.model.bytes();
                match (ctx.reserve(bytes), &mut kept) {
                    (Ok(memory), Some(kept)) => {
                        kept.models.push_back(view.prepared.clone().into());
                        kept._memory.push(memory);
                    }
                    (Err(EngineError::Memory { .. }), _) => kept = None,
                    (Err(error), _) => return Err(error),
                    (Ok(_), None) => {}
                }
                Ok(())
            },
        )?;
        Ok(Self {
            learning,
            cross_validation,
            kept,
            search: None,
        })
    }
}
