//! Connections that are older than the filter: remembered as if it had seen them begin.
//! And the other way: what it remembers, for who asks what goes on.

use fw_common::wire::{FlowKey, FlowState, Origin, Phase};

use super::error::DatapathError;
use super::flows::Flows;
use super::live::Datapath;

/// A connection to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Its ends and protocol.
    pub key: FlowKey,
    /// Who began it.
    pub origin: Origin,
    /// How far it is, which decides how long it is remembered without a packet.
    pub phase: Phase,
    /// Who began it is known, and not guessed: what the datapath has guessed gives way.
    pub certain: bool,
}

/// A TCP connection that was answered, and that neither side has closed. Of other protocols
/// nobody knows whether it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its ends and protocol.
    pub key: FlowKey,
    /// Who began it.
    pub origin: Origin,
    /// Seconds since its last packet.
    pub idle: u32,
}

/// What is remembered of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who began it.
    pub origin: Origin,
    /// How far it is.
    pub phase: Phase,
    /// Seconds since it was seen.
    pub idle: u32,
}

impl Flows {
    /// What is remembered of a connection at `now`.
    #[must_use]
    pub fn known(&self, key: &FlowKey, now: u32) -> Option<Known> {
        let state = self.find(key).filter(|state| state.is_live(now))?;
        Some(Known {
            origin: state.origin(),
            phase: state.phase(),
            idle: state.idle(now),
        })
    }

    /// Remembers connections as if packets of them had been seen at `now`, by the clock of
    /// the datapath, but for those of which more is known. Returns how many are new, or
    /// known better.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn seed(&mut self, now: u32, seeds: &[Seed]) -> Result<usize, DatapathError> {
        let mut changed = 0;
        for seed in seeds {
            changed += usize::from(self.put(now, &seed.key, |known| better(seed, known, now))?);
        }
        Ok(changed)
    }

    /// The TCP connections that are open, at `now`.
    pub fn remembered(&self, now: u32) -> impl Iterator<Item = Remembered> + '_ {
        let is_open =
            move |state: FlowState| state.is_live(now) && state.phase() == Phase::Established;
        self.iter()
            .filter(move |(_, state)| is_open(*state))
            .map(move |(key, state)| Remembered {
                key,
                origin: state.origin(),
                idle: state.idle(now),
            })
    }
}

/// What to remember of a connection of which `known` is.
fn better(seed: &Seed, known: Option<FlowState>, now: u32) -> Option<FlowState> {
    let state = FlowState::new(now, seed.origin, seed.phase);
    match known.filter(|known| known.is_live(now)) {
        Some(known) if known.origin() != seed.origin => seed.certain.then_some(state),
        // A packet that came meanwhile is newer than the list of sockets.
        Some(known) => (known.time_left(now) < state.time_left(now)).then_some(state),
        None => Some(state),
    }
}

impl Datapath {
    /// Remembers connections that began before the filter was there, or before it had to
    /// remember them; see [`Flows::seed`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn seed(&mut self, seeds: &[Seed]) -> Result<usize, DatapathError> {
        let now = self.now()?;
        self.tables.flows_mut().seed(now, seeds)
    }

    /// What is remembered of a connection.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn connection(&self, key: &FlowKey) -> Result<Option<Known>, DatapathError> {
        Ok(self.tables.flows().known(key, self.now()?))
    }

    /// The TCP connections that are remembered, and open.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn remembered(&self) -> Result<Vec<Remembered>, DatapathError> {
        let now = self.now()?;
        Ok(self.tables.flows().remembered(now).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(origin: Origin, phase: Phase, certain: bool) -> Seed {
        Seed {
            key: FlowKey::default(),
            origin,
            phase,
            certain,
        }
    }

    #[test]
    fn what_is_known_better_stays() {
        let (here, there) = (Origin::Local, Origin::Remote);
        let (opening, open) = (Phase::Opening, Phase::Established);
        let known =
            |before: u32, origin, phase| Some(FlowState::new(1_000 - before, origin, phase));
        for (known, origin, phase, certain, changes) in [
            (None, here, open, false, true),
            // It has run out.
            (known(61, there, opening), here, open, false, true),
            // Seen less long ago than it would take to forget it.
            (known(0, here, open), here, opening, true, false),
            (known(0, here, open), here, open, true, false),
            (known(10, here, open), here, open, true, true),
            (known(0, here, opening), here, open, true, true),
            (known(0, here, Phase::Closing), here, open, true, true),
            // The datapath has guessed otherwise.
            (known(0, there, open), here, open, false, false),
            (known(0, there, open), here, open, true, true),
        ] {
            let found = better(&seed(origin, phase, certain), known, 1_000);
            let expected = changes.then(|| FlowState::new(1_000, origin, phase));
            assert_eq!(found, expected, "{known:?} {origin:?} {phase:?} {certain}");
        }
    }
}
