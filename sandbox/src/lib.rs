//! A lab of network namespaces around one node, for seeing and testing `fw-ctl`.
//!
//! From the outside in: [`Lab`] is the network (a node, its peers, one Ethernet
//! segment, a pod behind the node); [`Servers`] answer on it; [`probe`], [`ping`] and
//! [`frame`] send traffic; [`Daemon`] and [`FwCtl`] run the program under test in
//! the node's namespaces, [`Container`] from an image; [`Monitor`] reads what it reports;
//! [`Pty`] runs it on a [`terminal`], of which [`picture`] makes an image.
//!
//! [`guest`] runs other kernels than this machine's, with the same programs in them.
//!
//! Namespaces are held by file descriptors only, never by name, and children die
//! with the thread that started them: whatever ends this process, the kernel takes
//! the whole lab away. Only a directory of small files is left to remove.

pub mod bpf;
mod container;
mod daemon;
mod error;
pub mod frame;
pub mod guest;
mod host;
pub mod inventory;
mod lab;
mod monitor;
mod netns;
mod nic;
pub mod pcapng;
pub mod picture;
pub mod ping;
pub mod probe;
mod pty;
mod servers;
mod shared_objects;
pub mod signals;
pub mod terminal;
mod under_test;
mod workdir;

pub use container::Container;
pub use daemon::{Answer, Daemon, DaemonFiles, FwCtl, Settings, Status, StatusInterface};
pub use error::{Error, Result};
pub use host::{Family, Host};
pub use lab::Lab;
pub use monitor::{Monitor, Verdict};
pub use netns::Namespace;
pub use nic::Nic;
pub use probe::Outcome;
pub use pty::Pty;
pub use servers::{Protocol, Servers, Service, tcp, udp};
pub use shared_objects::shared_objects;
pub use under_test::binary;
pub use workdir::WorkDir;
