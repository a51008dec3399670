//! What the programs make of one packet, for who asks: by the very tables that packets
//! meet, and nothing on the node moves.

use std::net::IpAddr;

use super::super::error::DatapathError;
use super::super::frame::Packet;
use super::super::live::Datapath;
use super::super::testrun::Hook;
use super::said::{Said, hooks};
use super::samples::NODE;
use super::{Instance, SelfTest, State, Subject};

/// What a program makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The program.
    pub hook: Hook,
    /// What it does.
    pub said: Said,
}

impl SelfTest {
    /// What the programs of the packet's direction make of it, as the first of its
    /// connection, on a node that has the address `local`. Nobody is banned. `None`: the
    /// second instance is not there yet, or cannot be had.
    fn ask(
        &mut self,
        packet: &Packet,
        local: IpAddr,
        subject: Subject,
    ) -> Result<Option<Vec<Answer>>, DatapathError> {
        self.collect(|index| (index == subject.word.index()).then_some(subject.header));
        match &mut self.state {
            State::Ready(instance) => instance.ask(packet, local, subject).map(Some),
            _ => Ok(None),
        }
    }
}

impl Instance {
    fn ask(
        &mut self,
        packet: &Packet,
        local: IpAddr,
        subject: Subject,
    ) -> Result<Vec<Answer>, DatapathError> {
        let direction = packet.direction(local);
        let frame = packet.frame().ok_or_else(|| DatapathError::Refused {
            what: format!("{} to {}", packet.source, packet.destination),
            why: "no packet has addresses of two families".into(),
            help: None,
        })?;
        self.look_at(subject)?;
        self.local.set(&[local].into(), |_| Ok(()))?;
        let answers = hooks(direction)
            .iter()
            .map(|hook| {
                let said = self.judge(*hook, &frame, true)?;
                Ok(Answer { hook: *hook, said })
            })
            .collect();
        self.local.set(&NODE.into_iter().collect(), |_| Ok(()))?;
        answers
    }
}

impl Datapath {
    /// What the loaded programs make of a packet by the plan in force, as the first of its
    /// connection, on a node that has the address `local`, and where nobody is banned.
    /// Nothing is counted, reported or remembered. `None`: those that can be asked are
    /// still being loaded, beside, or cannot be had: [`Self::tested`] says so.
    ///
    /// # Errors
    /// The kernel refuses, or the packet's addresses are of two families.
    pub fn ask(
        &mut self,
        packet: &Packet,
        local: IpAddr,
    ) -> Result<Option<Vec<Answer>>, DatapathError> {
        let subject = self.subject()?;
        self.self_test.ask(packet, local, subject)
    }
}
