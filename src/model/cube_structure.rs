//! What a client's part of the cube is made of besides its cells: periods, units, members, their assignments.

use std::collections::HashMap;

use empatia_engine::context::{Context, Reservation};
use empatia_engine::feature::{Basis, Member};
use pgrx::spi::quote_literal;

use super::part::Part;
use super::student_attributes::StudentAttributes;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{Date, Int4, Int8, Text};
use crate::pg::read::query;

/// One client's build of a part.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub client: i32,
    pub basis: Basis,
    /// First days of the periods, ascending.
    pub periods: Vec<i32>,
    /// Last day of the last period.
    pub last_day: i32,
}

impl Build {
    /// The period by whose end a day has come: the first one for what was before it, none after the last.
    pub fn period_by(&self, day: i32) -> Option<u32> {
        let begun = self.periods.partition_point(|first| *first <= day);
        (day <= self.last_day && !self.periods.is_empty()).then(|| begun.saturating_sub(1) as u32)
    }
}

/// The builds of a part, of one client or of all, by client.
pub(super) fn builds(part: &Part, client_id: Option<i32>) -> Result<Vec<Build>> {
    let (level, grain) = (quote_literal(part.level()), quote_literal(part.grain()));
    let sql = format!(
        "SELECT b.client_id, b.assignment_basis FROM {} b
         WHERE b.level = {level} AND b.grain = {grain} AND ($1 IS NULL OR b.client_id = $1) ORDER BY 1",
        part.table("cube_build"),
    );
    let mut found = Vec::new();
    query(&sql, &[client_id.into()], &[Int4, Text], |row| {
        if let (Some(client), Some(basis)) = (row.i32(0), row.text(1)?) {
            let basis = if basis == "due" { Basis::Due } else { Basis::Universe };
            found.push(Build {
                client,
                basis,
                periods: Vec::new(),
                last_day: i32::MIN,
            });
        }
        Ok(())
    })?;
    let sql = format!(
        "SELECT p.period_start, p.period_end FROM {} p WHERE p.level = {level} AND p.grain = {grain} AND p.client_id = $1 ORDER BY 1",
        part.table("cube_period"),
    );
    for build in &mut found {
        let (periods, last_day) = (&mut build.periods, &mut build.last_day);
        query(&sql, &[build.client.into()], &[Date; 2], |row| {
            periods.extend(row.date(0));
            *last_day = row.date(1).unwrap_or(*last_day);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Units and members of one client at a level.
#[derive(Debug)]
pub(super) struct Structure {
    /// With the unit whose members are theirs, by unit.
    units: Vec<(i64, i64)>,
    /// Members of each of those, ascending.
    lists: HashMap<i64, (usize, usize)>,
    users: Vec<i64>,
    /// Unit, user, number of assignments; ascending.
    assigned: Vec<(i64, i64, i64)>,
    _reserved: Reservation,
}

impl Structure {
    /// Reads the units, or one of them.
    ///
    /// # Errors
    /// 53200 when they do not fit the budget of `ctx`.
    pub fn read(ctx: &Context, part: &Part, build: &Build, only: Option<i64>) -> Result<Self> {
        let mut found = Self {
            units: Vec::new(),
            lists: HashMap::new(),
            users: Vec::new(),
            assigned: Vec::new(),
            _reserved: ctx.reserve(0)?,
        };
        found.read_units(part, build.client, only)?;
        found.read_members(part, build.client, only)?;
        if build.basis == Basis::Universe {
            found.read_assigned(part, build.client, only)?;
        }
        Ok(found)
    }

    fn read_units(&mut self, part: &Part, client: i32, only: Option<i64>) -> Result<()> {
        let sql = format!(
            "SELECT u.unit_id, u.member_unit_id FROM {} u
             WHERE u.client_id = $1 AND u.level = {} AND {} ORDER BY 1",
            part.table("cube_unit"),
            quote_literal(part.level()),
            only_unit("u", only),
        );
        let (units, reserved) = (&mut self.units, &mut self._reserved);
        query(&sql, &[client.into(), only.into()], &[Int8; 2], |row| {
            let (Some(unit), Some(members)) = (row.i64(0), row.i64(1)) else {
                return Err(null());
            };
            push(units, (unit, members), reserved)
        })?;
        Ok(())
    }

    fn read_members(&mut self, part: &Part, client: i32, only: Option<i64>) -> Result<()> {
        let sql = format!(
            "SELECT m.unit_id, m.user_id FROM {members} m
             WHERE m.client_id = $1 AND (m.level, m.unit_id) IN
                   (SELECT u.member_level, u.member_unit_id FROM {units} u
                    WHERE u.client_id = $1 AND u.level = {level} AND {one})
             ORDER BY 1, 2",
            members = part.table("cube_member"),
            units = part.table("cube_unit"),
            level = quote_literal(part.level()),
            one = only_unit("u", only),
        );
        let (users, lists, reserved) = (&mut self.users, &mut self.lists, &mut self._reserved);
        query(&sql, &[client.into(), only.into()], &[Int8; 2], |row| {
            let (Some(unit), Some(user)) = (row.i64(0), row.i64(1)) else {
                return Err(null());
            };
            let at = users.len();
            push(users, user, reserved)?;
            lists.entry(unit).or_insert((at, at)).1 = at + 1;
            Ok(())
        })?;
        Ok(())
    }

    fn read_assigned(&mut self, part: &Part, client: i32, only: Option<i64>) -> Result<()> {
        // the key of the numbers begins with the user
        let condition = match only {
            Some(_) => "a.unit_id = $2 AND a.user_id = ANY ($3)",
            None => "$2 IS NULL AND $3 IS NULL",
        };
        let users = only.map(|_| self.users.clone());
        let sql = format!(
            "SELECT a.unit_id, a.user_id, a.assigned_exercises FROM {} a WHERE a.client_id = $1 AND a.level = {} AND {condition}",
            part.table("cube_assigned"),
            quote_literal(part.level()),
        );
        let (assigned, reserved) = (&mut self.assigned, &mut self._reserved);
        query(&sql, &[client.into(), only.into(), users.into()], &[Int8; 3], |row| {
            let (Some(unit), Some(user), Some(n)) = (row.i64(0), row.i64(1), row.i64(2)) else {
                return Err(null());
            };
            push(assigned, (unit, user, n), reserved)
        })?;
        self.assigned.sort_unstable();
        Ok(())
    }

    /// The units, ascending.
    pub fn units(&self) -> impl Iterator<Item = i64> + '_ {
        self.units.iter().map(|(unit, _)| *unit)
    }

    /// The unit whose members are those of the unit at `place` among the units.
    pub fn members_of(&self, place: usize) -> i64 {
        self.units[place].1
    }

    /// Users of the members of the unit at `place` among the units, ascending.
    pub fn users(&self, place: usize) -> &[i64] {
        let list = self.lists.get(&self.units[place].1);
        list.map_or(&[], |(from, to)| &self.users[*from..*to])
    }

    /// The members of the unit at `place` among the units, by user; `group_of`: see [`Member::group`].
    pub fn members(
        &self,
        place: usize,
        client: i32,
        attributes: &StudentAttributes,
        mut group_of: impl FnMut(i64) -> u32,
        into: &mut Vec<Member>,
    ) {
        let (unit, of_members) = self.units[place];
        let from = self.assigned.partition_point(|(other, _, _)| *other < unit);
        let mut assigned = self.assigned[from..]
            .iter()
            .take_while(|(other, _, _)| *other == unit)
            .peekable();
        into.clear();
        for user in self.users(place) {
            while assigned.next_if(|(_, other, _)| other < user).is_some() {}
            let number = assigned
                .next_if(|(_, other, _)| other == user)
                .map_or(0, |(_, _, n)| *n);
            into.push(Member {
                user: *user,
                assigned: number,
                attributes: attributes.of(client, of_members, *user),
                group: group_of(*user),
            });
        }
    }
}

/// Condition that parameter 2, `only`, is the unit of `alias`, if it is one.
fn only_unit(alias: &str, only: Option<i64>) -> String {
    match only {
        Some(_) => format!("{alias}.unit_id = $2"),
        None => "$2 IS NULL".to_owned(),
    }
}

/// Adds a value after its bytes were reserved.
pub(super) fn push<T>(values: &mut Vec<T>, value: T, reserved: &mut Reservation) -> Result<()> {
    if values.len() == values.capacity() {
        let more = values.capacity().max(1_024);
        reserved.grow(more * size_of::<T>())?;
        values.try_reserve_exact(more).map_err(|_| {
            Error::from(empatia_engine::error::EngineError::Memory {
                needed: more * size_of::<T>(),
                in_use: 0,
                budget: crate::guc::memory_limit(),
            })
        })?;
    }
    values.push(value);
    Ok(())
}

#[cold]
pub(super) fn null() -> Error {
    Error::internal("found a null in a column of the cube that cannot hold one")
}
