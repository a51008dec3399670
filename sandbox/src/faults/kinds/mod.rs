//! The kinds of faults.

mod clients;
mod disk;
mod files;
mod kill;
mod limits;
mod links;
mod records;
mod trial;
mod upgrade;

use sandbox::Result;

use super::world::World;

/// One kind of fault.
#[derive(Debug)]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// Does it. Afterwards [`World::recover`] makes good what is left of it.
    pub inject: fn(&mut World) -> Result<()>,
    /// There is no way back in the same lab.
    pub upgrades: bool,
}

impl Kind {
    const fn new(name: &'static str, inject: fn(&mut World) -> Result<()>) -> Self {
        Self {
            name,
            inject,
            upgrades: false,
        }
    }

    const fn upgrade(name: &'static str, inject: fn(&mut World) -> Result<()>) -> Self {
        Self {
            name,
            inject,
            upgrades: true,
        }
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    [
        kill::KINDS,
        disk::KINDS,
        records::KINDS,
        files::KINDS,
        limits::KINDS,
        links::KINDS,
        trial::KINDS,
        clients::KINDS,
        upgrade::KINDS,
    ]
    .into_iter()
    .flatten()
}
