//! What the daemon needs of the kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use fw_common::wire::{Counter, Direction, FlowKey, RuleTally, Tally};

use crate::compile::plan::{Mode, Plan};
use crate::control::protocol::Failure;
use crate::datapath::flows::Pressure;
use crate::datapath::frame::Packet;
use crate::datapath::seed::{Known, Remembered, Seed};
use crate::datapath::{Answer, AttachedProgram, Ingress, Occupancy, Tested};
use crate::netlink::{Link, LocalAddresses, Wish};
use crate::sockets::Sockets;

/// The plan that packets see, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Number given at installation.
    pub number: u64,
    /// Hash given at installation.
    pub hash: [u8; 16],
    /// Whether what is denied is dropped.
    pub mode: Mode,
}

/// A plan on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The plan.
    pub in_force: InForce,
    /// What is in force without it.
    pub former: Option<InForce>,
    /// Until then; zero: it is over, and so is the plan.
    pub left: Duration,
}

/// A link that is filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedLink {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How ingress is attached; egress is always TC.
    pub ingress: Ingress,
    /// Why so.
    pub why: String,
}

/// The kernel's side of the firewall. Everything outlives the one who calls.
pub trait Kernel {
    /// The plan in force; `None` when none was ever installed.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn active(&self) -> Result<Option<InForce>, Failure>;
    /// Puts a plan in force. On error the old one stays.
    ///
    /// # Errors
    /// When it does not fit or cannot be written.
    fn install(&mut self, plan: &Plan, number: u64) -> Result<InForce, Failure>;
    /// Puts `plan` in force in the place of `old`, which is in force, without writing it
    /// whole; `None` if they differ by more than the classes of a few addresses: then
    /// nothing has changed.
    ///
    /// # Errors
    /// When it cannot be written: then a plan should be installed.
    fn amend(&mut self, old: &Plan, plan: &Plan, number: u64) -> Result<Option<InForce>, Failure>;
    /// Changes the mode of the plan in force, whoever installed it, without
    /// needing the plan; its number stays.
    ///
    /// # Errors
    /// When no plan is in force, or the kernel refuses.
    fn set_mode(&mut self, mode: Mode) -> Result<InForce, Failure>;
    /// [`Self::install`], but unless [`Self::confirm`] follows within `patience`, the one
    /// before is in force again, whether this process lives or not.
    ///
    /// # Errors
    /// As there.
    fn install_on_trial(
        &mut self,
        plan: &Plan,
        number: u64,
        patience: Duration,
    ) -> Result<InForce, Failure>;
    /// The plan on trial, if one is; also one whose time is over, until [`Self::go_back`].
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn trial(&self) -> Result<Option<Trial>, Failure>;
    /// Keeps the plan on trial; `None` if its time was over: then it is left for good.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn confirm(&mut self) -> Result<Option<InForce>, Failure>;
    /// Leaves the plan on trial for the one before, which is what this returns.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn go_back(&mut self) -> Result<Option<InForce>, Failure>;
    /// Hash over the tables in force as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_back(&self) -> Result<[u8; 16], Failure>;
    /// The hash that `plan` would be installed with.
    fn hash(&self, plan: &Plan) -> [u8; 16];
    /// Replaces the addresses that make a packet the node's; `anew`: the kernel is asked
    /// first what it holds, in case that somebody has meddled.
    ///
    /// # Errors
    /// When they do not fit or cannot be written.
    fn set_local_addresses(
        &mut self,
        addresses: &LocalAddresses,
        anew: bool,
    ) -> Result<(), Failure>;
    /// Filters a link, or adopts it when it is filtered already.
    ///
    /// # Errors
    /// When the kernel refuses, or a program of somebody else is in the way.
    fn attach(&mut self, link: &Link, wish: &Wish) -> Result<AttachedLink, Failure>;
    /// Every link that is filtered.
    fn attached(&self) -> Vec<AttachedLink>;
    /// Links of [`Self::attached`] that the kernel does not filter now, or would not
    /// after this process, each with what is missing. Asks the kernel.
    fn lost(&self) -> Vec<(AttachedLink, String)>;
    /// Links of [`Self::attached`] that programs of another schema filter still, by the plan
    /// that they had, each with its number.
    fn unswitched(&self) -> Vec<(AttachedLink, u32)> {
        Vec::new()
    }
    /// Every program of ours on a link, asked of the kernel.
    fn programs(&self) -> Vec<AttachedProgram> {
        Vec::new()
    }
    /// Begins to test beside whether the programs judge by `plan`, which is in force; from
    /// then on what comes in force is tested before.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn self_test(&mut self, _plan: &Plan) -> Result<(), Failure> {
        Ok(())
    }
    /// What was tested last.
    fn tested(&self) -> Option<Tested> {
        None
    }
    /// What the loaded programs make of a packet by the plan in force, as the first of its
    /// connection, on a node that has the address `local` and has banned nobody; nothing on
    /// the node notices. `None`: they cannot be asked, or not yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn ask(&mut self, _packet: &Packet, _local: IpAddr) -> Result<Option<Vec<Answer>>, Failure> {
        Ok(None)
    }
    /// What the datapath remembers of a connection.
    ///
    /// # Errors
    /// When it cannot be read.
    fn connection(&self, _key: &FlowKey) -> Result<Option<Known>, Failure> {
        Ok(None)
    }
    /// States again what packets read beside the plan, where somebody has changed it;
    /// returns what that was.
    ///
    /// # Errors
    /// When the kernel cannot be asked, or refuses.
    fn mend(&mut self) -> Result<Vec<&'static str>, Failure> {
        Ok(Vec::new())
    }
    /// Keeps the tables for a later process again, where somebody has removed what
    /// keeps them. Returns whether anything was missing.
    ///
    /// # Errors
    /// When it cannot be done.
    fn repin(&mut self) -> Result<bool, Failure>;
    /// Filters a link no more.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn detach(&mut self, index: u32) -> Result<(), Failure>;
    /// Bans an address until `until`: nanoseconds of the monotonic clock, or
    /// [`fw_common::wire::BAN_FOR_GOOD`]. Takes effect before this returns.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses: then nothing has changed.
    fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), Failure>;
    /// Bans an address no longer; one that is not banned is fine.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn unban(&mut self, address: IpAddr) -> Result<(), Failure>;
    /// Every ban of the kernel with its `until`, also those that have run out.
    fn bans(&self) -> BTreeMap<IpAddr, u64>;
    /// What became of packets.
    ///
    /// # Errors
    /// When the counters cannot be read.
    fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, Failure>;
    /// What the first `rules` rules of the plan in force decided.
    ///
    /// # Errors
    /// When the counters cannot be read.
    fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, Failure>;
    /// The same of generation `number`, in force or not; `None`: the kernel does not hold it.
    ///
    /// # Errors
    /// When the counters cannot be read.
    fn rule_counters_of(
        &self,
        number: u64,
        rules: usize,
    ) -> Result<Option<Vec<RuleTally>>, Failure>;
    /// How full tables are.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn occupancy(&self) -> Result<Vec<Occupancy>, Failure> {
        Ok(Vec::new())
    }
    /// Verdicts that were not reported.
    ///
    /// # Errors
    /// When the counter cannot be read.
    fn lost_events(&self) -> Result<u64, Failure>;

    /// How full the table of connections is.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn pressure(&self) -> Result<Pressure, Failure>;

    /// What the node has open. Never fails: what is not known is noted there.
    fn open_connections(&self) -> Sockets;
    /// The TCP connections that the datapath remembers, and that are open.
    ///
    /// # Errors
    /// When they cannot be read.
    fn remembered(&self) -> Result<Vec<Remembered>, Failure>;
    /// Remembers connections that began before anybody looked; what is known better
    /// stays. Returns how many are remembered that were not.
    ///
    /// # Errors
    /// When they cannot be written.
    fn seed(&mut self, seeds: &[Seed]) -> Result<usize, Failure>;
}
