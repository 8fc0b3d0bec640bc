//! Places of rows looked up beforehand, by a thread beside the backend's own, in those pages of an index that are in memory.
//!
//! Nothing is locked or pinned, and nothing of PostgreSQL's is called: what is read may be torn, out of date, or a page of something else by
//! then. So what is found is good for a hint: who goes there looks whether the row has the key ([`Editor::find_hinted`](super::edit::Editor::find_hinted)).

use pgrx::pg_sys;

use super::btree::is_usual;
use super::btree_page::{Layout, Page};
use super::buffers::{self, Places};
use super::column::{ColumnType, Tid};
use super::find::{attributes, open_index};
use super::memory_hints::Glimpse;
use super::value::Value;
use super::write::{open_for, Relation};
use crate::error::Result;

/// More levels than these no index has; so many pages to the right a key may be by a split since.
const LEVELS: usize = 12;
const SPLITS: usize = 3;
/// Keys between two calls of `check`.
const POLLED: usize = 1 << 10;

/// What the pages of an index are found and read with.
#[derive(Debug)]
pub struct Scout {
    layout: Layout,
    index: Places,
}

impl Scout {
    /// Of the unique index of `relation` on the columns of `key`; none where it is of no use, or nobody [looked](buffers::look) where its pages are.
    ///
    /// # Errors
    /// As [`find_rows`](super::find::find_rows), where there is no such table, column or index.
    pub fn new(relation: Relation<'_>, key: &[(&str, ColumnType)]) -> Result<Option<Self>> {
        let types: Vec<ColumnType> = key.iter().map(|(_, column_type)| *column_type).collect();
        let table = open_for(relation, pg_sys::AccessShareLock)?;
        // SAFETY: `table` is open, and locked until the transaction ends; so is the index as long as it is used here.
        unsafe {
            let index = open_index(table, &attributes(table, key)?)?;
            let usual = (0..types.len()).all(|column| is_usual(index, column, types[column]));
            let places = buffers::of(index).filter(|_| usual && cfg!(target_endian = "little"));
            let layout = Layout::new(&types);
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
            pg_sys::table_close(table, pg_sys::NoLock as pg_sys::LOCKMODE);
            Ok(layout.zip(places).map(|(layout, index)| Self { layout, index }))
        }
    }

    /// Where the rows with these keys may be, in their order.
    ///
    /// # Errors
    /// What `check` returned, which is called now and then.
    pub fn look<const K: usize, E>(
        &self,
        keys: impl Iterator<Item = [Value; K]>,
        check: impl Fn() -> Result<(), E>,
    ) -> Result<Vec<Option<Tid>>, E> {
        let root = self.page(0).and_then(|first| first.root());
        let mut rows = Vec::new();
        let mut found = Vec::with_capacity(keys.size_hint().0);
        for (position, key) in keys.enumerate() {
            if position.is_multiple_of(POLLED) {
                check()?;
            }
            rows.clear();
            root.and_then(|root| self.rows(root, &key.map(Value::whole), &mut rows));
            found.push(rows.first().copied());
        }
        Ok(found)
    }

    fn page(&self, block: u32) -> Option<Page<Glimpse>> {
        Glimpse::of(buffers::at(&self.index, block)).map(Page::new)
    }

    fn rows(&self, root: u32, key: &[i64], rows: &mut Vec<Tid>) -> Option<()> {
        let mut block = root;
        for _ in 0..LEVELS {
            let mut page = self.page(block)?;
            for _ in 0..SPLITS {
                if page.compare_end(&self.layout, key).is_gt() {
                    page = self.page(page.right())?;
                }
            }
            if page.level() == 0 {
                page.rows(&self.layout, key, rows);
                return Some(());
            }
            block = page.child(&self.layout, key);
        }
        None
    }
}
