//! The [`Kernel`] of a real node: what is pinned on its BPF file system.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use fw_common::wire::{Counter, Direction, FlowKey, RuleTally, Tally};

use super::{AttachedLink, InForce, Ingress, Kernel, Trial};
use crate::compile::plan::{Mode, Plan};
use crate::control::protocol::Failure;
use crate::datapath::flows::Pressure;
use crate::datapath::frame::Packet;
use crate::datapath::image::plan_hash;
use crate::datapath::seed::{Known, Remembered, Seed};
use crate::datapath::{
    Answer, Attached, AttachedProgram, Datapath, DatapathError, Installed, LinkRef, Occupancy,
    Tested, XdpWish,
};
use crate::netlink::{Link, LocalAddresses, Wish};
use crate::sockets::{self, Sockets};

/// The datapath, and why each link is attached as it is.
pub struct Pinned {
    datapath: Datapath,
    reasons: BTreeMap<u32, String>,
}

impl Pinned {
    /// Wraps an open datapath.
    #[must_use]
    pub fn new(datapath: Datapath) -> Self {
        Self {
            datapath,
            reasons: BTreeMap::new(),
        }
    }

    fn describe(&self, attached: &Attached) -> AttachedLink {
        let index = attached.link.index;
        let why = self.reasons.get(&index).cloned();
        AttachedLink {
            index,
            name: attached.link.name.clone(),
            ingress: attached.ingress,
            why: why
                .or_else(|| attached.note.clone())
                .unwrap_or_else(|| usual(attached.ingress).to_owned()),
        }
    }
}

/// Why a mode was chosen where nothing stood in its way.
fn usual(ingress: Ingress) -> &'static str {
    match ingress {
        Ingress::XdpNative => "the driver has native XDP",
        Ingress::XdpGeneric => "interfaces.xdp = \"generic\"",
        Ingress::Tc => "attached by a former daemon",
    }
}

impl Kernel for Pinned {
    fn active(&self) -> Result<Option<InForce>, Failure> {
        Ok(self.datapath.active()?.map(InForce::from))
    }

    fn install(&mut self, plan: &Plan, number: u64) -> Result<InForce, Failure> {
        Ok(self.datapath.install(plan, number)?.into())
    }

    fn amend(&mut self, old: &Plan, plan: &Plan, number: u64) -> Result<Option<InForce>, Failure> {
        Ok(self.datapath.amend(old, plan, number)?.map(InForce::from))
    }

    fn set_mode(&mut self, mode: Mode) -> Result<InForce, Failure> {
        Ok(self.datapath.set_mode(mode)?.into())
    }

    fn install_on_trial(
        &mut self,
        plan: &Plan,
        number: u64,
        patience: Duration,
    ) -> Result<InForce, Failure> {
        let installed = self.datapath.install_on_trial(plan, number, patience)?;
        Ok(installed.into())
    }

    fn trial(&self) -> Result<Option<Trial>, Failure> {
        Ok(self.datapath.trial()?.map(|trial| Trial {
            in_force: trial.installed.into(),
            former: trial.former.map(InForce::from),
            left: trial.left,
        }))
    }

    fn confirm(&mut self) -> Result<Option<InForce>, Failure> {
        Ok(self.datapath.confirm()?.map(InForce::from))
    }

    fn go_back(&mut self) -> Result<Option<InForce>, Failure> {
        Ok(self.datapath.go_back()?.map(InForce::from))
    }

    fn read_back(&self) -> Result<[u8; 16], Failure> {
        Ok(self.datapath.read_back()?)
    }

    fn hash(&self, plan: &Plan) -> [u8; 16] {
        plan_hash(plan)
    }

    fn set_local_addresses(
        &mut self,
        addresses: &LocalAddresses,
        anew: bool,
    ) -> Result<(), Failure> {
        if anew {
            self.datapath.distrust_local_addresses();
        }
        Ok(self.datapath.set_local_addresses(addresses)?)
    }

    fn attach(&mut self, link: &Link, wish: &Wish) -> Result<AttachedLink, Failure> {
        let reference = LinkRef {
            index: link.index,
            name: link.name.clone(),
        };
        let (asked, reason) = match wish {
            Wish::Auto => (XdpWish::Auto, None),
            Wish::Native => (XdpWish::Native, None),
            Wish::Generic => (XdpWish::Generic, None),
            Wish::Tc(why) => (XdpWish::Off, Some(why.clone())),
        };
        let (attached, reason) = match self.datapath.attach(&reference, asked) {
            // A mode that cannot be had is no reason to leave the link open: TC
            // filters, and the firewall says that it is not what was asked for.
            Err(DatapathError::NoXdp { mode, why, .. }) => (
                self.datapath.attach(&reference, XdpWish::Off)?,
                Some(format!("no {mode} XDP: {why}")),
            ),
            other => (other?, reason),
        };
        match reason {
            Some(reason) => self.reasons.insert(link.index, reason),
            None => self.reasons.remove(&link.index),
        };
        Ok(self.describe(&attached))
    }

    fn attached(&self) -> Vec<AttachedLink> {
        let attached = self.datapath.attached().iter();
        attached.map(|link| self.describe(link)).collect()
    }

    fn lost(&self) -> Vec<(AttachedLink, String)> {
        let lost = self.datapath.lost().into_iter();
        lost.map(|(attached, why)| (self.describe(attached), why))
            .collect()
    }

    fn unswitched(&self) -> Vec<(AttachedLink, u32)> {
        let unswitched = self.datapath.unswitched().unwrap_or_default();
        let known = |link: &LinkRef| self.datapath.attached().iter().find(|a| a.link == *link);
        let links = unswitched.into_iter();
        links
            .filter_map(|(link, schema)| Some((self.describe(known(&link)?), schema)))
            .collect()
    }

    fn programs(&self) -> Vec<AttachedProgram> {
        self.datapath.attached_programs().unwrap_or_default()
    }

    fn self_test(&mut self, plan: &Plan) -> Result<(), Failure> {
        Ok(self.datapath.self_test(plan)?)
    }

    fn tested(&self) -> Option<Tested> {
        self.datapath.tested().cloned()
    }

    fn ask(&mut self, packet: &Packet, local: IpAddr) -> Result<Option<Vec<Answer>>, Failure> {
        Ok(self.datapath.ask(packet, local)?)
    }

    fn connection(&self, key: &FlowKey) -> Result<Option<Known>, Failure> {
        Ok(self.datapath.connection(key)?)
    }

    fn mend(&mut self) -> Result<Vec<&'static str>, Failure> {
        Ok(self.datapath.mend()?)
    }

    fn repin(&mut self) -> Result<bool, Failure> {
        Ok(self.datapath.repin()?)
    }

    fn detach(&mut self, index: u32) -> Result<(), Failure> {
        self.reasons.remove(&index);
        Ok(self.datapath.detach_link(index)?)
    }

    fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), Failure> {
        Ok(self.datapath.ban(address, until)?)
    }

    fn unban(&mut self, address: IpAddr) -> Result<(), Failure> {
        Ok(self.datapath.unban(address)?)
    }

    fn bans(&self) -> BTreeMap<IpAddr, u64> {
        self.datapath.bans()
    }

    fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, Failure> {
        Ok(self.datapath.counters()?)
    }

    fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, Failure> {
        Ok(self.datapath.rule_counters(rules)?)
    }

    fn rule_counters_of(
        &self,
        number: u64,
        rules: usize,
    ) -> Result<Option<Vec<RuleTally>>, Failure> {
        Ok(self.datapath.rule_counters_of(number, rules)?)
    }

    fn occupancy(&self) -> Result<Vec<Occupancy>, Failure> {
        Ok(self.datapath.occupancy()?)
    }

    fn lost_events(&self) -> Result<u64, Failure> {
        Ok(self.datapath.lost_events()?)
    }

    fn pressure(&self) -> Result<Pressure, Failure> {
        Ok(self.datapath.pressure()?)
    }

    fn open_connections(&self) -> Sockets {
        sockets::open()
    }

    fn remembered(&self) -> Result<Vec<Remembered>, Failure> {
        Ok(self.datapath.remembered()?)
    }

    fn seed(&mut self, seeds: &[Seed]) -> Result<usize, Failure> {
        Ok(self.datapath.seed(seeds)?)
    }
}

impl From<Installed> for InForce {
    fn from(installed: Installed) -> Self {
        Self {
            number: installed.number,
            hash: installed.hash,
            mode: installed.mode,
        }
    }
}

impl From<DatapathError> for Failure {
    /// The advice stands behind the last `try:` of the datapath's messages.
    fn from(error: DatapathError) -> Self {
        let text = error.to_string();
        match text.rsplit_once("\ntry: ") {
            Some((message, help)) => Self::new(error.exit_code(), message).help(help),
            None => Self::new(error.exit_code(), text),
        }
    }
}
