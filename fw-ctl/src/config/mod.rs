//! What the operator configured: `fw-ctl.toml`, drop-ins, environment, flags.
//!
//! The values here are final and checked; where they come from is the business
//! of [`layers`]. An unknown key is an error everywhere: a misspelt `mode` that is
//! silently ignored would leave a node open.

mod contradictions;
mod failsafe;
mod hubble;
mod keys;
mod layers;
mod listen;
mod metrics;
mod overlaps;
pub mod patience;
mod place;
mod sshd;
mod vlans;
mod wording;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compile::plan::Mode;
pub use failsafe::{FailsafeEntry, FailsafePorts, Origin};
pub use hubble::{Hubble, HubbleTls, TlsFiles};
pub use layers::{Loaded, Overrides, load, load_text, paths, preview};
pub use listen::Listen;
pub use metrics::Metrics;
pub use patience::Patience;
pub use sshd::{declared_ports, listening_ports};
pub use vlans::VlanEntry;

/// Where the configuration file is unless `--config` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/fw-ctl/fw-ctl.toml";
/// Name of the control socket in the run directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Name of the socket of Hubble's API there.
const HUBBLE_SOCKET: &str = "hubble.sock";
/// The file of the package, below everything that the operator writes.
pub const VENDOR_FILE: &str = "/usr/lib/fw-ctl/fw-ctl.toml";

/// The whole configuration. The defaults are those of a fresh install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// What is enforced, and how.
    pub policy: Policy,
    /// Where it is enforced.
    pub interfaces: Interfaces,
    /// What always passes, before any policy.
    pub failsafe: Failsafe,
    /// The allowances that come with the program.
    pub builtins: Builtins,
    /// Hubble's API for other machines.
    #[serde(skip_serializing_if = "Hubble::is_unsaid")]
    pub hubble: Hubble,
    /// What monitoring systems are told. Former versions, which know nothing of it, can read
    /// what is kept of a configuration that does not say it.
    #[serde(skip_serializing_if = "Metrics::is_usual")]
    pub metrics: Metrics,
    /// Files and directories of this instance.
    pub paths: Paths,
}

/// `[node]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name of the node in the inventory; the hostname where none is given.
    pub name: String,
    /// Labels added to those of the inventory's Node.
    pub labels: BTreeMap<String, String>,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Drop or only report.
    pub mode: ModeSetting,
    /// For how long a change is on trial where nobody says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Patience>,
    /// For how long what a list loses by itself stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrink_delay: Option<Patience>,
    /// Files and directories of policies.
    pub dirs: Vec<PathBuf>,
    /// Files and directories of the inventory.
    pub inventory: Vec<PathBuf>,
    /// Name of the cluster, as in Cilium's `cluster-name`.
    pub cluster_name: String,
    /// What CIDR rules match beyond addresses outside the cluster.
    pub cidr_match_mode: Vec<CidrMatchMode>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: ModeSetting::Audit,
            confirm: None,
            shrink_delay: None,
            dirs: vec!["/etc/fw-ctl/policies".into()],
            inventory: vec!["/etc/fw-ctl/inventory".into()],
            cluster_name: "default".into(),
            cidr_match_mode: Vec::new(),
        }
    }
}

/// [`Policy::shrink_delay`] where it is not said.
const SHRINK_DELAY: u32 = 5 * 60;

impl Policy {
    /// For how many seconds what a list loses by itself stays in force.
    #[must_use]
    pub fn shrink_delay(&self) -> u32 {
        let said = self.shrink_delay.map(Patience::seconds);
        said.map_or(SHRINK_DELAY, |seconds| {
            u32::try_from(seconds).expect("a span is a day at most")
        })
    }
}

/// `policy.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeSetting {
    /// Report what would be dropped, and let it pass.
    #[default]
    Audit,
    /// Drop it.
    Enforce,
}

impl From<ModeSetting> for Mode {
    fn from(setting: ModeSetting) -> Self {
        match setting {
            ModeSetting::Audit => Self::Audit,
            ModeSetting::Enforce => Self::Enforce,
        }
    }
}

/// An entry of `policy.cidr_match_mode`; Cilium's `policy-cidr-match-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CidrMatchMode {
    /// CIDR rules also match the addresses of nodes.
    Nodes,
}

/// `[interfaces]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interfaces {
    /// Names, globs, or `auto`.
    pub include: Vec<String>,
    /// Names or globs that are left alone whatever `include` says.
    pub exclude: Vec<String>,
    /// How ingress is attached.
    pub xdp: XdpSetting,
    /// The slowest attach mode that is accepted.
    pub require: Require,
    /// The VLANs that are admitted.
    pub vlans: Vec<VlanEntry>,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self {
            include: vec!["auto".into()],
            exclude: Vec::new(),
            xdp: XdpSetting::default(),
            require: Require::default(),
            vlans: vec![VlanEntry::All],
        }
    }
}

/// `interfaces.xdp`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpSetting {
    /// Native where the driver can, else TC.
    #[default]
    Auto,
    /// Native XDP.
    Native,
    /// Generic XDP: after the kernel made a socket buffer; slow, for tests.
    Generic,
    /// TC only.
    Off,
}

/// `interfaces.require`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// Any attach mode will do.
    #[default]
    Any,
    /// An interface without native XDP is not accepted.
    Native,
}

/// `[failsafe]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Failsafe {
    /// What always reaches the node.
    pub inbound: Vec<FailsafeEntry>,
    /// What always leaves it.
    pub outbound: Vec<FailsafeEntry>,
}

impl Default for Failsafe {
    fn default() -> Self {
        Self {
            inbound: vec![FailsafeEntry {
                protocol: 6,
                ports: FailsafePorts::Ssh,
                cidr: None,
                origin: Origin::default(),
            }],
            outbound: Vec::new(),
        }
    }
}

/// `[builtins]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Builtins {
    /// Names of built-ins that are switched off.
    pub disable: Vec<BuiltinName>,
}

/// A built-in by its name in `fw_common::wire::BUILTINS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuiltinName(pub fw_common::wire::Builtin);

impl TryFrom<String> for BuiltinName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = fw_common::wire::BUILTINS;
        match known.iter().find(|row| row.1 == name) {
            Some(row) => Ok(Self(row.0)),
            None => {
                let names: Vec<_> = known.iter().map(|row| row.1).collect();
                Err(format!(
                    "no built-in is called `{name}`; there are: {}",
                    names.join(", ")
                ))
            }
        }
    }
}

impl From<BuiltinName> for String {
    fn from(name: BuiltinName) -> Self {
        let mut known = fw_common::wire::BUILTINS.iter();
        let row = known.find(|row| row.0 == name.0);
        row.map_or_else(Self::new, |row| row.1.to_owned())
    }
}

impl Builtins {
    /// Bits of the built-ins that stay on.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.disable
            .iter()
            .fold(fw_common::wire::Builtin::ALL, |bits, name| {
                bits & !name.0.bit()
            })
    }
}

/// `[paths]`: several instances on one machine differ in these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// What outlives a reboot.
    pub state_dir: PathBuf,
    /// Control socket and lock.
    pub run_dir: PathBuf,
    /// Directory on a bpffs; the pins are in `v<schema>` below it.
    pub pin_dir: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/fw-ctl".into(),
            run_dir: "/run/fw-ctl".into(),
            pin_dir: "/sys/fs/bpf/fw-ctl".into(),
        }
    }
}

impl Paths {
    /// The control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir.join(CONTROL_SOCKET)
    }

    /// The socket of Hubble's API.
    #[must_use]
    pub fn hubble_socket(&self) -> PathBuf {
        self.run_dir.join(HUBBLE_SOCKET)
    }
}

impl Config {
    /// The node's name: configured, else the hostname.
    #[must_use]
    pub fn node_name(&self) -> String {
        if !self.node.name.is_empty() {
            return self.node.name.clone();
        }
        nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}
