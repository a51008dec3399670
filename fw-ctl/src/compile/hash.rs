//! The name of a plan: what declared, compiled and kernel state are compared by.

use sha2::{Digest, Sha256};

use super::plan::{DirectionPlan, Mode, Plan, PlanRule};

/// Raised when the bytes below change, so that old and new hashes never agree.
const FORMAT: &[u8] = b"fw-ctl plan 3\0";

impl Plan {
    /// SHA-256 over all of the plan. Numbers are little-endian, every list and
    /// text begins with its length (64 bits).
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = Canonical(Sha256::new());
        bytes.0.update(FORMAT);
        bytes.byte(match self.mode {
            Mode::Audit => 0,
            Mode::Enforce => 1,
        });
        bytes.word(self.builtins);
        bytes.word(self.rows);
        bytes.classes(&self.vlans);
        bytes.length(self.peers.v4.len());
        for (first, class) in &self.peers.v4 {
            bytes.word(*first);
            bytes.0.update(class.to_le_bytes());
        }
        bytes.length(self.peers.v6.len());
        for (first, class) in &self.peers.v6 {
            bytes.0.update(first.to_le_bytes());
            bytes.0.update(class.to_le_bytes());
        }
        for direction in &self.directions {
            bytes.direction(direction);
        }
        bytes.length(self.rules.len());
        for rule in &self.rules {
            bytes.rule(rule);
        }
        bytes.0.finalize().into()
    }
}

struct Canonical(Sha256);

impl Canonical {
    fn byte(&mut self, byte: u8) {
        self.0.update([byte]);
    }

    fn word(&mut self, word: u32) {
        self.0.update(word.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text);
    }

    fn classes(&mut self, classes: &[u16]) {
        self.length(classes.len());
        let bytes: Vec<u8> = classes.iter().flat_map(|c| c.to_le_bytes()).collect();
        self.0.update(bytes);
    }

    fn direction(&mut self, direction: &DirectionPlan) {
        self.word(direction.columns);
        for classes in direction.ports.iter().chain(&direction.icmp) {
            self.classes(classes);
        }
        self.classes(&direction.protocols);
        self.length(direction.cells.len());
        for cell in &direction.cells {
            self.word(cell.0);
        }
    }

    fn rule(&mut self, rule: &PlanRule) {
        self.text(&rule.policy);
        self.text(&rule.rule);
        self.text(&rule.origin);
        self.byte(rule.direction.map_or(u8::MAX, |direction| direction as u8));
        self.byte(u8::from(rule.allow));
        self.text(rule.match_type);
        self.text(&rule.rate.map(|rate| rate.to_string()).unwrap_or_default());
        let vlans = rule.vlans.as_ref().map(ToString::to_string);
        self.text(&vlans.unwrap_or_default());
        self.text(&rule.log);
    }
}
