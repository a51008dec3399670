//! The kernel's side of the firewall, as user space handles it.
//!
//! - [`objects`]: the compiled programs, embedded at build time.
//! - [`image`]: a plan as the kernel's tables hold it, and its hash.
//! - [`tables`]: the maps, typed; `generation`: writing and reading a plan.
//! - [`peer_store`]: the largest of them, sized by the plan.
//! - [`flows`]: the connections, `mapped`; [`seed`]: those that began before us.
//! - `told`: what was reported of late, `mapped`, too.
//! - `single`: single addresses beside a plan: bans, and what it was amended by
//!   (`amend`).
//! - `trial`: a generation that is left again unless somebody confirms it.
//! - [`pins`]: the directory on the BPF file system through which state
//!   outlives the daemon.
//! - [`attach`]: programs on interfaces, through links that stay.
//! - `former`: what a daemon of another schema left, or of tables of which some are missing.
//! - [`live`]: all of it together: the [`Datapath`] of a running node.
//! - `switch`: from one plan to the next; `detach`: to none.
//! - `selftest`: whether the programs judge by a plan, before it is in force.
//! - `occupancy`: how full the tables are.
//! - `ebpf_log`: lines that the programs write, in builds where they do.
//! - `mend`: what packets read beside a plan, looked at and stated again.
//! - [`testrun`]: a private copy that judges frames without an interface.
//! - [`modelrun`]: the same without a kernel.
//! - [`frame`]: real frames from flows, for tests and `policy test`.

mod amend;
pub mod attach;
mod brake;
pub mod capture;
mod clock;
mod command;
mod detach;
#[cfg(feature = "ebpf-log")]
mod ebpf_log;
pub mod error;
pub mod events;
pub mod flows;
mod former;
pub mod frame;
mod generation;
mod holds;
pub mod host;
pub mod image;
pub mod limits;
pub mod live;
pub mod local;
mod mapped;
mod mend;
pub mod modelrun;
pub mod objects;
mod occupancy;
pub mod peer_store;
pub mod pins;
pub mod programs;
pub mod seed;
mod selftest;
mod single;
mod switch;
pub mod tables;
pub mod testrun;
mod told;
mod trial;

pub use amend::{AMENDED, amendment};
pub use attach::{Attached, AttachedProgram, Ingress, LinkRef, XdpWish};
pub use brake::{brake, brake_beside, filtered, in_force};
pub use detach::Report;
#[cfg(feature = "ebpf-log")]
pub use ebpf_log::EbpfLog;
pub use error::DatapathError;
pub use events::EventReader;
pub use former::INCOMPLETE;
pub use image::plan_hash;
pub use live::{Datapath, EVENT_LIMIT, Installed};
pub use modelrun::ModelRun;
pub use occupancy::Occupancy;
pub use selftest::{Answer, Said, Tested};
pub use testrun::{Hook, Outcome, TestRun, Verdict};
pub use trial::Trial;
