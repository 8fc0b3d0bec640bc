//! What a session keeps because making it again takes longer than using it: decoded models, units of the cube.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread::LocalKey;

use empatia_engine::classifier::{ClassifierModel, Fitted};

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::column::ColumnType::{Bytea, Int8, Text, Tid, Timestamptz};
use crate::pg::column::Tid as Place;
use crate::pg::read::{query_kept, query_stable};
use crate::pg::row::Row;

/// Things by key; those used last are kept, as many as fit a share of `empatia.memory_limit`.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    /// The last used comes last.
    things: Vec<Thing<K, V>>,
    share: usize,
}

#[derive(Debug)]
struct Thing<K, V> {
    key: K,
    value: Rc<V>,
    bytes: usize,
}

impl<K: PartialEq, V> Kept<K, V> {
    /// Keeps up to a `share`-th of `empatia.memory_limit`, on top of what statements use.
    pub(crate) const fn new(share: usize) -> Self {
        Self {
            things: Vec::new(),
            share,
        }
    }

    /// The thing of `key`, if it is kept.
    pub(crate) fn get(&mut self, key: &K) -> Option<Rc<V>> {
        let place = self.things.iter().position(|thing| thing.key == *key)?;
        self.things[place..].rotate_left(1);
        self.things.last().map(|thing| Rc::clone(&thing.value))
    }

    /// Keeps `value`, which takes about `bytes`, unless it is too large by itself.
    pub(crate) fn put(&mut self, key: K, value: &Rc<V>, bytes: usize) {
        let most = guc::memory_limit() / self.share;
        self.things.retain(|thing| thing.key != key);
        let mut held = bytes + self.things.iter().map(|thing| thing.bytes).sum::<usize>();
        let mut gone = 0;
        while held > most && gone < self.things.len() {
            held -= self.things[gone].bytes;
            gone += 1;
        }
        self.things.drain(..gone);
        if bytes <= most {
            self.things.push(Thing {
                key,
                value: Rc::clone(value),
                bytes,
            });
        }
    }
}

/// Nodes of trees that are gone through in about ten milliseconds.
const QUICK_NODES: usize = 1 << 19;

/// Whether explaining one row takes less time than starting a thread.
pub(crate) fn is_quick(model: &ClassifierModel) -> bool {
    let quick = |model: &Fitted| matches!(model, Fitted::LogisticRegression(_)) || model.size() <= QUICK_NODES;
    model.members().iter().all(|member| quick(member.model()))
}

/// A row of `empatia.model` as it is: whoever changes it, or numbers versions anew after DROP EXTENSION, makes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelRow {
    pub(crate) version: i64,
    created_at: i64,
    place: Place,
    writer: i64,
}

/// What a model's row holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) encoded: Option<Vec<u8>>,
    /// Text of the JSON.
    pub(crate) recipe: Option<String>,
    /// Of a model of a table: its name.
    pub(crate) relation: Option<String>,
}

const IDENTITY: &str = "m.created_at, m.ctid, m.xmin::text::bigint";

impl ModelRow {
    /// The row of `version`.
    ///
    /// # Errors
    /// 42704 where there is none.
    pub(crate) fn find(version: i64) -> Result<Self> {
        let sql = format!("SELECT {IDENTITY} FROM empatia.model m WHERE m.version = $1");
        let mut found = None;
        query_kept(&sql, &[version.into()], &[Timestamptz, Tid, Int8], |row| {
            found = Self::of(version, row);
            Ok(())
        })?;
        found.ok_or_else(|| Error::not_found("model version", version))
    }

    fn of(version: i64, row: &Row<'_>) -> Option<Self> {
        Some(Self {
            version,
            created_at: row.timestamptz(0)?,
            place: row.tid(1)?,
            writer: row.i64(2)?,
        })
    }

    fn read(version: i64) -> Result<(Self, Stored)> {
        let sql = format!(
            "SELECT {IDENTITY}, m.encoded, m.recipe::text, m.relation FROM empatia.model m WHERE m.version = $1"
        );
        let mut found = None;
        let columns = [Timestamptz, Tid, Int8, Bytea, Text, Text];
        query_stable(&sql, &[version.into()], &columns, |row| {
            if let Some(identity) = Self::of(version, row) {
                let stored = Stored {
                    encoded: row.bytes(3).map(<[u8]>::to_vec),
                    recipe: row.text(4)?.map(str::to_owned),
                    relation: row.text(5)?.map(str::to_owned),
                };
                found = Some((identity, stored));
            }
            Ok(())
        })?;
        found.ok_or_else(|| Error::not_found("model version", version))
    }
}

/// Models of one kind.
pub(crate) type Models<M> = RefCell<Kept<ModelRow, M>>;

/// Model `version`, as the caller's snapshot has it, from `models`, else as `make` makes it of its row; `make` says also how many bytes it takes.
///
/// # Errors
/// 42704 where there is no such version, those of `make`.
pub(crate) fn load<M: 'static>(
    models: &'static LocalKey<Models<M>>,
    version: i64,
    make: impl FnOnce(Stored) -> Result<(M, usize)>,
) -> Result<Rc<M>> {
    let row = ModelRow::find(version)?;
    if let Some(model) = models.with_borrow_mut(|models| models.get(&row)) {
        return Ok(model);
    }
    let (row, stored) = ModelRow::read(version)?;
    let (model, bytes) = make(stored)?;
    let model = Rc::new(model);
    models.with_borrow_mut(|models| models.put(row, &model, bytes));
    Ok(model)
}
