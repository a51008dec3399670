//! A plan that differs from the one in force by the class of a few addresses, as when a
//! pod comes or goes: put in force by writing these, not a whole generation.
//!
//! The tables of the generation stay what they were; the addresses are in `SINGLES`,
//! which packets ask first, until the next plan that is installed whole has them in its
//! own tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fw_common::wire::{ActiveWord, Generation};

use super::error::DatapathError;
use super::image::plan_hash;
use super::live::{Datapath, Installed};
use super::switch::wait_for_packets;
use super::tables::{Tables, writing};
use crate::compile::plan::Plan;

/// Addresses that a plan in force may be amended by: that many are read back in some
/// milliseconds.
pub const AMENDED: usize = 4_096;

/// Whose class is another one in `new`; `None` if there are too many, or the plans also
/// differ in anything else that the kernel holds, or in what their rules are called.
#[must_use]
pub fn amendment(old: &Plan, new: &Plan) -> Option<Vec<(IpAddr, u16)>> {
    let same = old.mode == new.mode
        && old.builtins == new.builtins
        && old.rows == new.rows
        && old.vlans == new.vlans
        && old.directions == new.directions
        && old.rules == new.rules;
    if !same {
        return None;
    }
    let changes = old.peers.differences(&new.peers, AMENDED)?;
    // A packet of IPv6 with such an address is not of the one of IPv4, but to `SINGLES`
    // they are one address.
    let mapped = |(address, _): &(IpAddr, u16)| *address != address.to_canonical();
    (!changes.iter().any(mapped)).then_some(changes)
}

impl Datapath {
    /// Puts `plan` in force under `number` (not 0) in the place of `old`, which is in
    /// force, by changing what few addresses differ: see [`amendment`]. `None` if that
    /// cannot be done; then nothing has changed, and [`Self::install`] does it.
    ///
    /// # Errors
    /// As there; what is in force may be neither plan until one is installed.
    pub fn amend(
        &mut self,
        old: &Plan,
        plan: &Plan,
        number: u64,
    ) -> Result<Option<Installed>, DatapathError> {
        let Some(changes) = amendment(old, plan) else {
            return Ok(None);
        };
        if self.tables.raw_word()?.asks(ActiveWord::ON_TRIAL) {
            // What single addresses there are belongs to the plan before.
            return Ok(None);
        }
        if !self.settled {
            wait_for_packets();
            self.settled = true;
        }
        let index = self.tables.active()?;
        let hash = plan_hash(plan);
        let Some(header) = self.tables.amend(&changes, hash, number)? else {
            return Ok(None);
        };
        let subject = self.subject()?;
        let peers = changes.iter().map(|(address, _)| *address);
        self.self_test.test_peers(plan, peers, subject)?;
        Ok(Some(Installed::new(index, &header)))
    }
}

impl Tables {
    /// Makes what is in force the plan `number`, whose hash is `hash`, by these changes.
    /// Packets see each address in its old class or in its new one. Returns the new
    /// header, or `None` if there are too many amendments already; then nothing has
    /// changed.
    ///
    /// No packet may still see a generation that was in force before the present one.
    ///
    /// # Errors
    /// The kernel refuses, or does not hold what was written. Then what is in force is
    /// neither the old plan nor the new one.
    pub fn amend(
        &mut self,
        changes: &[(IpAddr, u16)],
        hash: [u8; 16],
        number: u64,
    ) -> Result<Option<Generation>, DatapathError> {
        let word = self.active_word()?;
        if !word.asks(ActiveWord::SINGLES) {
            // Of a generation that is in force no longer.
            self.singles.clear()?;
        }
        let known = self.singles.known();
        let more = changes
            .iter()
            .filter(|(address, _)| !known.contains_key(&(*address).into()));
        if known.len() + more.count() > AMENDED {
            return Ok(None);
        }
        for (address, class) in changes {
            self.singles.insert((*address).into(), u32::from(*class))?;
        }
        let any = !self.singles.known().is_empty();
        self.ask(ActiveWord::SINGLES, any)?;
        for (address, class) in changes {
            if self.singles.get(&(*address).into())? != Some(u32::from(*class)) {
                return Err(DatapathError::Differs {
                    what: format!("the class of {address}"),
                });
            }
        }
        let mut header = self.generation(word.index())?;
        header.number = number;
        header.hash = hash;
        self.generations
            .set(word.index(), header, 0)
            .map_err(writing("GENERATION"))?;
        Ok(Some(header))
    }

    /// Whether single addresses have classes beside the tables of the generation `index`.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn has_singles(&self, index: u32) -> Result<bool, DatapathError> {
        let word = self.raw_word()?;
        let word = if word.asks(ActiveWord::ON_TRIAL) {
            word.back_to(self.fallback()?.word)
        } else {
            word
        };
        Ok(word.index() == index && word.asks(ActiveWord::SINGLES))
    }

    /// The classes that single addresses have, asked of the kernel.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn singles(&self) -> Result<BTreeMap<IpAddr, u16>, DatapathError> {
        let singles = self.singles.read()?.into_iter();
        Ok(singles
            .map(|(address, class)| (address.into(), u16::try_from(class).unwrap_or(u16::MAX)))
            .collect())
    }
}
