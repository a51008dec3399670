//! What was sent of the stream, and what of it has arrived.

use std::collections::{BTreeSet, VecDeque};

use super::judge::Packet;
use super::timeline::Nanos;

/// The packets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Number of the first packet that is here.
    first: u32,
    packets: VecDeque<Entry>,
    /// Arrived when they were not waited for any more.
    pub late: u64,
    /// Arrived more than once.
    pub twice: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    packet: Packet,
    /// The kernel has taken it.
    given: bool,
}

impl Ledger {
    /// Packets of these flows are about to be sent; returns the number of the first.
    pub fn expect(&mut self, now: Nanos, flows: impl Iterator<Item = u16>) -> u32 {
        let first = self.first.wrapping_add(self.packets.len() as u32);
        self.packets.extend(flows.map(|flow| Entry {
            packet: Packet {
                flow,
                sent: now,
                // Until it is known: never.
                taken: Nanos::MAX / 2,
                got: None,
            },
            given: true,
        }));
        first
    }

    pub fn taken(&mut self, first: u32, now: Nanos, given: &[bool]) {
        let at = first.wrapping_sub(self.first) as usize;
        for (entry, given) in self.packets.iter_mut().skip(at).zip(given) {
            entry.packet.taken = now;
            entry.given = *given;
        }
    }

    pub fn arrived(&mut self, number: u32, now: Nanos) {
        let at = number.wrapping_sub(self.first) as usize;
        match self.packets.get_mut(at) {
            None => self.late += 1,
            Some(entry) if entry.packet.got.is_some() => self.twice += 1,
            Some(entry) => entry.packet.got = Some(now),
        }
    }

    /// Flows of which a packet has come through that was sent since `moment`.
    pub fn through(&self, moment: Nanos) -> BTreeSet<u16> {
        let packets = self.packets.iter().rev().map(|entry| &entry.packet);
        let since = packets.take_while(|packet| packet.sent >= moment);
        let through = since.filter(|packet| packet.got.is_some());
        through.map(|packet| packet.flow).collect()
    }

    pub fn take(&mut self, moment: Nanos) -> Vec<Packet> {
        let is_ripe = |entry: &Entry| entry.packet.sent < moment && entry.packet.taken < moment;
        let ripe = self.packets.iter().take_while(|entry| is_ripe(entry));
        let count = ripe.count();
        self.first = self.first.wrapping_add(count as u32);
        let ripe = self.packets.drain(..count);
        ripe.filter(|entry| entry.given || entry.packet.got.is_some())
            .map(|entry| entry.packet)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_when_their_time_is_over_and_arrive_once() {
        let mut ledger = Ledger::default();
        let first = ledger.expect(10, [5, 6].into_iter());
        ledger.taken(first, 12, &[true, false]);
        let second = ledger.expect(20, [7].into_iter());
        assert_eq!((first, second), (0, 2));
        ledger.arrived(0, 15);
        ledger.arrived(0, 16);
        assert_eq!(ledger.twice, 1);
        let taken = ledger.take(15);
        let packet = Packet {
            flow: 5,
            sent: 10,
            taken: 12,
            got: Some(15),
        };
        assert_eq!(taken, [packet], "the other was never sent");
        ledger.arrived(1, 17);
        assert_eq!(ledger.late, 1);
        assert_eq!(ledger.take(99), [], "the kernel has not taken it yet");
        ledger.taken(second, 22, &[true]);
        assert_eq!(ledger.take(99).len(), 1);
        assert_eq!(ledger.expect(30, [1].into_iter()), 3);
    }
}
