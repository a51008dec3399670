//! Who judges packets: `fw-ctl`, what else firewalls a Linux host, and baselines.

pub mod fw_ctl;
pub mod rules;
mod xdp_filter;

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sandbox::{Family, Lab};

use crate::Result;
use crate::bpf::calls::Program;
use crate::bpf::{self, Action};
use rules::Rules;

/// A firewall, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Nothing attached: the network stack alone.
    Nothing,
    /// An XDP program that drops everything: the floor.
    XdpDrop,
    /// An XDP program that passes everything on.
    XdpPass,
    /// `fw-ctl`, judging in XDP.
    FwCtlXdp,
    /// `fw-ctl`, judging in traffic control.
    FwCtlTc,
    /// xdp-filter of xdp-tools.
    XdpFilter,
    /// nftables in the ingress hook of the device; host rules as `inet`.
    Nft,
    /// nftables in the prerouting hook, before connection tracking.
    NftRaw,
    /// iptables on its own tables; blocklists by ipset.
    IptablesLegacy,
    /// iptables on nftables.
    IptablesNft,
}

/// What a peer needs to know beside its rules.
#[derive(Clone, Debug)]
pub struct Means {
    /// The `fw-ctl` binary.
    pub fw_ctl: PathBuf,
    /// Directory of the RKE2 policies.
    pub policies: PathBuf,
}

/// Rules in force; dropping it may leave some of them, so the lab goes with it.
pub struct Installed {
    /// How long it took.
    pub took: Duration,
    _held: Box<dyn Any + Send>,
}

impl Peer {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::XdpDrop,
        Self::FwCtlXdp,
        Self::FwCtlTc,
        Self::XdpFilter,
        Self::Nft,
        Self::NftRaw,
        Self::IptablesLegacy,
        Self::IptablesNft,
        Self::XdpPass,
        Self::Nothing,
    ];

    /// Whether it can enforce these rules at all.
    #[must_use]
    pub fn enforces(self, rules: Rules) -> bool {
        match self {
            Self::Nothing | Self::XdpDrop | Self::XdpPass | Self::FwCtlXdp | Self::FwCtlTc => true,
            // A linear walk of ten thousand rules says nothing that a thousand do not.
            Self::Nft | Self::IptablesLegacy => {
                !matches!(rules, Rules::Many(count) if count > 1_000)
            }
            Self::NftRaw => matches!(rules, Rules::Blocklist(_)),
            Self::IptablesNft => matches!(rules, Rules::Host { .. }),
            // Single addresses only, and its tables are made for 10,000.
            Self::XdpFilter => {
                matches!(rules, Rules::Blocklist(list) if list.family == Family::V4 && list.count <= 10_000)
            }
        }
    }

    /// Whether `make bench-quick` takes it.
    #[must_use]
    pub fn is_quick(self) -> bool {
        !matches!(self, Self::NftRaw | Self::IptablesNft | Self::XdpPass)
    }

    /// Programs that it takes.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Nft | Self::NftRaw => &["nft"],
            Self::IptablesLegacy => &[
                "iptables-legacy-restore",
                "ip6tables-legacy-restore",
                "ipset",
            ],
            Self::IptablesNft => &["iptables-nft-restore", "ip6tables-nft-restore"],
            Self::XdpFilter => &["xdp-filter", "bpftool"],
            _ => &[],
        }
    }

    /// Why it cannot take part here, if so.
    #[must_use]
    pub fn missing(self, means: &Means) -> Option<String> {
        if matches!(self, Self::FwCtlXdp | Self::FwCtlTc) && !means.fw_ctl.is_file() {
            return Some(format!("there is no {}", means.fw_ctl.display()));
        }
        self.programs()
            .iter()
            .find(|program| !in_path(program))
            .map(|program| format!("{program} is not installed"))
    }

    /// Puts rules in force on the node. `list` is the blocklist's.
    ///
    /// # Errors
    /// It refuses them.
    pub fn install(
        self,
        lab: &Lab,
        means: &Means,
        rules: Rules,
        list: &[IpNet],
    ) -> Result<Installed> {
        let node = &lab.node.namespace;
        let start = Instant::now();
        let mut took = None;
        let held: Box<dyn Any + Send> = match self {
            Self::Nothing => Box::new(()),
            Self::XdpDrop => Box::new(attach(lab, Action::Drop)?),
            Self::XdpPass => Box::new(attach(lab, Action::Pass)?),
            Self::FwCtlXdp | Self::FwCtlTc => {
                let xdp = if self == Self::FwCtlXdp {
                    "native"
                } else {
                    "off"
                };
                let started = fw_ctl::start(lab, means, "eth0", xdp, rules, list)?;
                took = Some(started.took);
                Box::new(started.daemon)
            }
            Self::XdpFilter => {
                xdp_filter::install(lab, list)?;
                Box::new(())
            }
            Self::Nft | Self::NftRaw => {
                let text = rules::nft(rules, list, self == Self::NftRaw);
                Box::new(node.run_with_input("nft", &["-f", "-"], &text)?)
            }
            Self::IptablesLegacy => Box::new(iptables(lab, "legacy", rules, list)?),
            Self::IptablesNft => Box::new(iptables(lab, "nft", rules, list)?),
        };
        Ok(Installed {
            took: took.unwrap_or_else(|| start.elapsed()),
            _held: held,
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing attached",
            Self::XdpDrop => "bare XDP_DROP",
            Self::XdpPass => "bare XDP_PASS",
            Self::FwCtlXdp => "fw-ctl (XDP)",
            Self::FwCtlTc => "fw-ctl (TC)",
            Self::XdpFilter => "xdp-filter",
            Self::Nft => "nftables",
            Self::NftRaw => "nftables (raw)",
            Self::IptablesLegacy => "iptables-legacy",
            Self::IptablesNft => "iptables-nft",
        })
    }
}

fn attach(lab: &Lab, action: Action) -> Result<bpf::calls::Link> {
    let program = Program::load(&bpf::bare(action))?;
    lab.node.namespace.enter(|| program.attach("eth0"))
}

fn iptables(lab: &Lab, flavour: &str, rules: Rules, list: &[IpNet]) -> Result<()> {
    let node = &lab.node.namespace;
    let mut families = Family::BOTH.to_vec();
    match rules {
        Rules::Blocklist(blocklist) => {
            node.run_with_input("ipset", &["restore"], &rules::ipset(blocklist, list))?;
            families = vec![blocklist.family];
        }
        Rules::Many(_) => families = vec![Family::V4],
        Rules::Host { .. } => {}
    }
    for family in families {
        let program = match family {
            Family::V4 => format!("iptables-{flavour}-restore"),
            Family::V6 => format!("ip6tables-{flavour}-restore"),
        };
        node.run_with_input(&program, &[], &rules::iptables(rules, family))?;
    }
    Ok(())
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(Into::into))
        .any(|directory| Path::new(&directory).join(program).is_file())
}
