//! A plan in a few words.

use std::fmt;

use super::plan::{Mode, Plan};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash();
        for byte in &hash[..6] {
            write!(f, "{byte:02x}")?;
        }
        let mode = match self.mode {
            Mode::Audit => "audit",
            Mode::Enforce => "enforce",
        };
        write!(
            f,
            ": {mode}, {} rule ids, {} ranges of addresses, {} peer classes, service classes {} in, {} out",
            self.rules.len(),
            self.peers.len(),
            self.rows,
            self.directions[0].columns,
            self.directions[1].columns,
        )
    }
}
