//! Distinct vectors of integers, numbered in the order of their first appearance.

use crate::context::{Context, Reservation};
use crate::cube::hash::fold;
use crate::cube::memory::{grow, grow_to};
use crate::error::Result;

/// In the table of places: nothing is there.
const FREE: u32 = u32::MAX;
const SMALLEST: usize = 64;

/// A set of vectors of `p` integers each. At most 2^32 - 1 of them.
#[derive(Debug)]
pub struct VectorSet {
    p: usize,
    /// Row-major, len x p.
    values: Vec<i64>,
    /// Open addressing, a power of two of places, at most half of them taken.
    places: Vec<u32>,
    reservation: Reservation,
}

impl VectorSet {
    /// An empty set of vectors of `p` integers; the bytes that it grows to count against the budget of `ctx`.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory).
    pub fn new(ctx: &Context, p: usize) -> Result<Self> {
        let mut set = Self {
            p,
            values: Vec::new(),
            places: Vec::new(),
            reservation: ctx.reserve(0)?,
        };
        grow_to(&mut set.places, SMALLEST, &mut set.reservation)?;
        set.places.resize(SMALLEST, FREE);
        Ok(set)
    }

    /// Integers per vector.
    pub fn width(&self) -> usize {
        self.p
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.p).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Vector `number`.
    pub fn get(&self, number: usize) -> &[i64] {
        &self.values[number * self.p..][..self.p]
    }

    /// All vectors by number, row-major.
    pub fn values(&self) -> &[i64] {
        &self.values
    }

    /// Forgets all vectors and keeps their memory for others.
    pub fn clear(&mut self) {
        self.values.clear();
        self.places.fill(FREE);
    }

    /// The number of `vector` (p integers), which is added if it is new.
    ///
    /// # Errors
    /// [`EngineError::Memory`](crate::error::EngineError::Memory) when there is no room for a new one; the set is what it was before.
    #[inline]
    pub fn insert(&mut self, vector: &[i64]) -> Result<usize> {
        let mut place = self.home(vector);
        loop {
            match self.places[place] {
                FREE => return self.add(vector),
                number if self.get(number as usize) == vector => return Ok(number as usize),
                _ => place = (place + 1) & (self.places.len() - 1),
            }
        }
    }

    #[inline]
    fn home(&self, vector: &[i64]) -> usize {
        let hash = vector.iter().fold(0, |state, value| fold(state, *value as u64));
        hash as usize & (self.places.len() - 1)
    }

    #[cold]
    fn add(&mut self, vector: &[i64]) -> Result<usize> {
        let number = self.len();
        if (number + 1) * 2 > self.places.len() {
            let wanted = self.places.len() * 2;
            grow_to(&mut self.places, wanted, &mut self.reservation)?;
            self.places.clear();
            self.places.resize(wanted, FREE);
            for number in 0..number {
                self.place(number);
            }
        }
        grow(&mut self.values, self.p, &mut self.reservation)?;
        self.values.extend_from_slice(vector);
        self.place(number);
        Ok(number)
    }

    fn place(&mut self, number: usize) {
        let mut place = self.home(self.get(number));
        while self.places[place] != FREE {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place] = number as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::EngineError;
    use std::collections::HashMap;

    #[test]
    fn numbers_are_those_of_a_hash_map_through_many_growths() {
        let ctx = Context::builder().build().unwrap();
        let mut set = VectorSet::new(&ctx, 3).unwrap();
        let mut known: HashMap<[i64; 3], usize> = HashMap::new();
        for i in 0..50_000i64 {
            // many alike, some negative, some that differ only in their last number or in the order
            let vector = [i * 7919 % 61 - 30, i % 5, i * i % 97];
            let next = known.len();
            let expected = *known.entry(vector).or_insert(next);
            assert_eq!(set.insert(&vector).unwrap(), expected);
        }
        assert!(known.len() > 10_000);
        assert_eq!(set.len(), known.len());
        for (vector, number) in known {
            assert_eq!(set.get(number), vector);
        }
    }

    #[test]
    fn a_set_without_room_refuses_new_vectors_and_still_knows_the_old() {
        let ctx = Context::builder().memory_budget(4_000).build().unwrap();
        let mut set = VectorSet::new(&ctx, 1).unwrap();
        let refused = (0..).find(|i| set.insert(&[*i]).is_err()).unwrap();
        assert!(refused > 100);
        assert!(matches!(set.insert(&[refused]), Err(EngineError::Memory { .. })));
        assert!((0..refused).all(|i| set.insert(&[i]).unwrap() == i as usize));
        set.clear();
        assert_eq!(set.insert(&[refused]).unwrap(), 0);
        assert_eq!(set.insert(&[0]).unwrap(), 1);
        drop(set);
        assert_eq!(ctx.in_use(), 0);
    }
}
