//! Values by key, for keys that are mostly asked for in the order in which they were added.
//!
//! Two tables that are written in the same order are read in the same order, but for what changed since. So the key
//! after the one found last is tried first. Then, where the keys are in ascending order, those not far from it; else a
//! hash index, which is made only once it is needed.

use crate::context::{Context, Reservation};
use crate::cube::hash::fold;
use crate::cube::memory::grow;
use crate::error::Result;

/// In the index: nothing is there.
const FREE: u32 = u32::MAX;
/// Keys entered in the index between two calls of `idle`.
const IDLE_KEYS: usize = 65_536;

/// Student, unit and first day of the period of a cube row; day 0 where it is not about a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    pub user: i64,
    pub unit: i64,
    pub day: i32,
}

impl CellKey {
    fn hash(&self) -> usize {
        fold(fold(fold(0, self.user as u64), self.unit as u64), self.day as u64) as usize
    }
}

/// Values by key; of equal keys the one added first is found. Fewer than 2^32 of them.
#[derive(Debug)]
pub struct LookUp<V> {
    keys: Vec<CellKey>,
    values: Vec<V>,
    /// Open addressing, at most half of the places taken; empty until it is needed.
    index: Vec<u32>,
    /// Whether the keys ascend.
    ordered: bool,
    /// Tried first.
    next: usize,
    reservation: Reservation,
}

impl<V> LookUp<V> {
    /// An empty table, whose bytes will count against the budget of `ctx`.
    ///
    /// # Errors
    /// None today; the signature leaves room for a first reservation.
    pub fn new(ctx: &Context) -> Result<Self> {
        Ok(Self {
            keys: Vec::new(),
            values: Vec::new(),
            index: Vec::new(),
            ordered: true,
            next: 0,
            reservation: ctx.reserve(0)?,
        })
    }

    /// Adds a value. Not after the first [`LookUp::find`].
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    #[inline]
    pub fn push(&mut self, key: CellKey, value: V) -> Result<()> {
        if self.keys.len() == self.keys.capacity() {
            // also what the index may take one day: look-ups never fail
            let places = index_places(self.keys.capacity().max(8) * 2);
            let before = match self.keys.capacity() {
                0 => 0,
                capacity => index_places(capacity),
            };
            self.reservation.grow((places - before) * size_of::<u32>())?;
            grow(&mut self.keys, 1, &mut self.reservation)?;
        }
        grow(&mut self.values, 1, &mut self.reservation)?;
        self.ordered &= self.keys.last().is_none_or(|last| *last <= key);
        self.keys.push(key);
        self.values.push(value);
        Ok(())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The value of `key`. `idle` is called every few milliseconds should this take long.
    #[inline]
    pub fn find(&mut self, key: CellKey, idle: impl FnMut()) -> Option<&mut V> {
        if self.keys.get(self.next) != Some(&key) {
            if self.keys.is_empty() {
                return None;
            }
            self.next = if self.ordered {
                self.seek(key)?
            } else {
                self.search(key, idle)?
            };
        }
        self.next += 1;
        self.values.get_mut(self.next - 1)
    }

    /// In ascending keys: by steps that double, away from where the last one was found.
    fn seek(&mut self, key: CellKey) -> Option<usize> {
        let (mut low, mut high) = (0, self.next.min(self.keys.len()));
        if self.keys.get(self.next).is_some_and(|next| *next < key) {
            (low, high) = (self.next + 1, self.keys.len());
            let mut step = 1;
            while let Some(ahead) = self.keys.get(low + step - 1) {
                if *ahead >= key {
                    high = low + step;
                    break;
                }
                low += step;
                step *= 2;
            }
        }
        // for a key that is not there, the next one is likely to be just behind
        self.next = low + self.keys[low..high].partition_point(|known| *known < key);
        (self.keys.get(self.next) == Some(&key)).then_some(self.next)
    }

    #[cold]
    fn search(&mut self, key: CellKey, idle: impl FnMut()) -> Option<usize> {
        if self.index.is_empty() {
            self.make_index(idle);
        }
        let last = self.index.len() - 1;
        let mut place = key.hash() & last;
        loop {
            match self.index[place] {
                FREE => return None,
                at if self.keys[at as usize] == key => return Some(at as usize),
                _ => place = (place + 1) & last,
            }
        }
    }

    fn make_index(&mut self, mut idle: impl FnMut()) {
        self.index = vec![FREE; index_places(self.keys.len())];
        let last = self.index.len() - 1;
        for (at, key) in self.keys.iter().enumerate() {
            if at % IDLE_KEYS == 0 {
                idle();
            }
            let mut place = key.hash() & last;
            while self.index[place] != FREE {
                place = (place + 1) & last;
            }
            self.index[place] = at as u32;
        }
    }

    /// Keys and values in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&CellKey, &V)> {
        self.keys.iter().zip(&self.values)
    }
}

fn index_places(keys: usize) -> usize {
    (keys * 2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(i: i64) -> CellKey {
        CellKey {
            user: i / 100 - 7,
            unit: i % 100 / 10 - 3,
            day: (i % 10) as i32,
        }
    }

    /// In no order.
    fn key(i: i64) -> CellKey {
        CellKey {
            user: i / 100 * 7919 % 1000,
            unit: i % 100 / 10 - 3,
            day: (i % 10) as i32,
        }
    }

    fn table(ctx: &Context, n: i64) -> LookUp<i64> {
        let mut table = LookUp::new(ctx).unwrap();
        (0..n).for_each(|i| table.push(key(i), i).unwrap());
        table
    }

    #[test]
    fn keys_in_order_are_found_without_an_index() {
        let ctx = Context::builder().build().unwrap();
        let mut found = table(&ctx, 1000);
        for i in 0..1000 {
            assert_eq!(found.find(key(i), || panic!("made an index")).copied(), Some(i));
        }
    }

    #[test]
    fn ascending_keys_are_found_wherever_one_jumps_to() {
        let ctx = Context::builder().build().unwrap();
        // every third key is missing
        let mut found = LookUp::new(&ctx).unwrap();
        (0..3000)
            .filter(|i| i % 3 > 0)
            .for_each(|i| found.push(ascending(i), i).unwrap());
        let mut there = |i: i64| found.find(ascending(i), || panic!("made an index")).copied();
        for i in (0..3100)
            .chain((0..3100).rev())
            .chain((0..9000).map(|i| i * 7919 % 3100))
        {
            assert_eq!(there(i), (i % 3 > 0 && i < 3000).then_some(i));
        }
    }

    #[test]
    fn keys_in_any_order_are_found_and_others_are_not() {
        let ctx = Context::builder().build().unwrap();
        let mut found = table(&ctx, 70_000);
        let mut idle = 0;
        for i in (0..70_000).map(|i| i * 7919 % 70_000) {
            assert_eq!(found.find(key(i), || idle += 1).copied(), Some(i));
        }
        assert_eq!(idle, 2);
        assert_eq!(found.find(key(70_000), || ()), None);
        assert_eq!(found.find(CellKey { day: 11, ..key(5) }, || ()), None);
        // a gap in what is asked for, then in order again
        assert_eq!(found.find(key(50), || ()).copied(), Some(50));
        assert_eq!(found.find(key(51), || ()).copied(), Some(51));
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let ctx = Context::builder().build().unwrap();
        assert_eq!(table(&ctx, 0).find(key(0), || ()), None);
    }

    #[test]
    fn values_can_be_changed_in_place() {
        let ctx = Context::builder().build().unwrap();
        let mut found = table(&ctx, 10);
        *found.find(key(4), || ()).unwrap() = -1;
        let values: Vec<i64> = found.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [0, 1, 2, 3, -1, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn the_index_is_reserved_for_before_it_is_made() {
        let ctx = Context::builder().build().unwrap();
        let mut found = table(&ctx, 5_000);
        let reserved = ctx.in_use();
        found.find(key(77), || ());
        assert_eq!(ctx.in_use(), reserved);
        let held = found.keys.capacity() * size_of::<CellKey>()
            + found.values.capacity() * size_of::<i64>()
            + found.index.capacity() * size_of::<u32>();
        assert!(held <= reserved, "{held} bytes held, {reserved} reserved");
    }
}
