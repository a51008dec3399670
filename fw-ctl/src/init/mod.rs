//! The first configuration of a host: what `fw-ctl init` finds there, writes, and shows.
//!
//! - `found`: what the host says of itself; `settings` and `rancher` of RKE2 and k3s,
//!   `kubeadm`, `addresses`, `listening`.
//! - `profile`: the policies of each kind of host, which are those of `config/policies`.
//! - `configuration`, `inventory`: what was found, as text.
//! - `files`: all of it is written, or nothing.
//! - `judge`: who could still reach what is listening.

mod addresses;
mod configuration;
mod files;
mod found;
mod inventory;
mod judge;
mod kubeadm;
mod listening;
mod place;
mod profile;
mod rancher;
mod settings;

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

pub use configuration::SHIPPED;
pub use files::{NewFile, There, conflict, write};
pub use found::{Fact, Found};
use judge::judge;
pub use judge::{Judged, Port, Who};
pub use listening::Listening;
pub use place::Root;
pub use profile::Profile;

use crate::control::protocol::Failure;

/// The file of the inventory that is written.
const INVENTORY: &str = "site.yaml";

/// What the operator asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The kind of host.
    pub profile: Profile,
    /// Where the host's files are.
    pub root: Root,
    /// The configuration, as the host sees it.
    pub config: PathBuf,
    /// The directory of policies, likewise.
    pub policies: PathBuf,
    /// The directory of the inventory, likewise.
    pub inventory: PathBuf,
    /// The name of the node, if it is said.
    pub node: Option<String>,
    /// Where administrators come from, if that is said.
    pub admin: Vec<IpNet>,
    /// The other end of the operator's SSH session.
    pub ssh_client: Option<IpAddr>,
    /// The environment, of which the configuration may come, too.
    pub environment: Vec<(String, String)>,
}

impl Wish {
    /// Whether the host is this machine, so that what the kernel says is the host's.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        self.root.is_here() && self.profile != Profile::Talos
    }
}

/// Everything that would be written, and what it would do.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What was found.
    pub found: Found,
    /// The files: configuration, inventory, policies.
    pub files: Vec<NewFile>,
    /// What they come to.
    pub judged: Judged,
}

/// Looks at the host, and makes everything but the files.
///
/// # Errors
/// What describes the host is wrong or cannot be read; or the result, with what is there
/// already, would be refused.
pub fn draft(wish: &Wish) -> Result<Draft, Failure> {
    let found = found::find(wish)?;
    let mut texts = vec![
        (wish.config.clone(), configuration::text(wish, &found)),
        (
            wish.inventory.join(INVENTORY),
            inventory::text(wish, &found),
        ),
    ];
    let policies = wish
        .profile
        .policies(&found.ssh_ports, found.calico.is_some());
    let policies = policies.into_iter();
    texts.extend(policies.map(|(name, text)| (wish.policies.join(name), text)));
    let files: Vec<NewFile> = texts
        .into_iter()
        .map(|(path, text)| {
            let shipped = (path == wish.config).then_some(SHIPPED);
            NewFile::new(path.clone(), wish.root.join(&path), text, shipped)
        })
        .collect();
    let judged = judge(wish, &found, &files)?;
    Ok(Draft {
        found,
        files,
        judged,
    })
}

#[cfg(test)]
mod tests;
