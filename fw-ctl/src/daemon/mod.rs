//! The daemon: keeps the kernel as the operator declared it.
//!
//! [`Firewall`] decides, one request after the other; everything around it only
//! brings it requests: the control socket, netlink, signals, the watchdog. It
//! reaches the kernel through [`Kernel`], so that its decisions are tested
//! without one.

mod amend;
mod atomic;
mod audit;
mod ban_harm;
mod ban_journal;
mod ban_store;
mod bans;
mod caution;
mod change;
mod command;
mod confirmed;
mod counting;
mod declared;
mod doubts;
pub mod ebpf_log;
mod events;
mod expected;
mod failsafe;
pub mod filters;
mod firewall;
mod glance;
mod guard;
mod held;
mod inputs;
mod journal;
mod kept_lists;
mod kernel;
mod leap;
mod ledger;
mod ledger_store;
mod links;
mod lists;
mod lock;
mod look;
mod manager;
mod mode;
mod names;
mod numbers;
mod peers;
mod pinned;
mod policies;
mod recent;
mod reloads;
mod report;
mod restore;
mod rollback;
mod run;
mod sealed;
pub mod service;
mod shelf;
pub mod sources;
pub mod status;
mod tallies;
mod tap;
mod trace;
mod trial;
mod unconfirmed;
mod watch;

pub use crate::datapath::Ingress;
pub use ban_store::{Ban, BanStore};
pub use confirmed::{Confirmed, ConfirmedStore, Event, Kept};
pub use declared::{Compiled, Sources, Wrong};
pub use firewall::Firewall;
pub use held::HeldStore;
pub use inputs::Inputs;
pub use journal::{Entry, Journal};
pub use kernel::{AttachedLink, InForce, Kernel, Trial};
pub use ledger::Ledger;
pub use ledger_store::LedgerStore;
pub use lists::{ListLook, RefusedLists};
pub use lock::Lock;
pub use look::{Look, Refusal, Seen};
pub use mode::ModeStore;
pub use names::Names;
pub use recent::{Recent, SharedRecent};
pub use run::{last_config, run};
pub use tallies::{RuleId, TallyStore};
