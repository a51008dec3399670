//! `fw-ctl` as a user runs it: the daemon in the node's namespaces, with files.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sandbox::{Daemon, DaemonFiles, FwCtl, Lab, Settings, inventory};

use super::Means;
use super::rules::{self, Rules};
use crate::{Error, Result};

/// A daemon that enforces.
pub struct Started {
    /// It lives as long as this.
    pub daemon: Daemon,
    /// Its other commands.
    pub fw_ctl: FwCtl,
    /// From its start until it answered.
    pub took: Duration,
}

/// Starts the daemon on the interfaces that `include` names, and waits until it
/// enforces on all of them in the mode that `xdp` asks for.
///
/// # Errors
/// It does not start, or does not enforce so.
pub fn start(
    lab: &Lab,
    means: &Means,
    include: &'static str,
    xdp: &'static str,
    rules: Rules,
    list: &[IpNet],
) -> Result<Started> {
    let settings = Settings {
        node: inventory::NODE,
        mode: "enforce",
        include,
        xdp,
    };
    let files = DaemonFiles::new(lab, &settings)?;
    if let Rules::Host { egress, .. } = rules {
        copy_policies(&means.policies, &files.policies, egress)?;
    }
    for (number, policy) in rules::policies(rules).iter().enumerate() {
        write(&files.policies.join(format!("bench-{number}.yaml")), policy)?;
    }
    write(&files.inventory.join("cluster.yaml"), &inventory::rke2(lab))?;
    if let Rules::Blocklist(_) = rules {
        write(
            &files.inventory.join("blocklist.json"),
            &rules::cidr_group(list),
        )?;
    }
    let fw_ctl = FwCtl::new(lab, &means.fw_ctl, files)?;
    let start = Instant::now();
    let daemon = fw_ctl.start()?;
    let took = start.elapsed();
    let status = fw_ctl.status()?;
    let wanted = if xdp == "off" { "tc" } else { "xdp-native" };
    let as_wanted = status.interfaces.iter().all(|row| row.ingress == wanted);
    if status.is_degraded() || status.mode != "enforce" || status.ingress().is_none() || !as_wanted
    {
        return Err(Error::Unfit(format!(
            "fw-ctl does not enforce by {wanted} on {include}: {status:?}\n{}",
            fw_ctl.log()
        )));
    }
    Ok(Started {
        daemon,
        fw_ctl,
        took,
    })
}

/// All policies, or all but those of egress.
fn copy_policies(from: &Path, to: &Path, egress: bool) -> Result<()> {
    let entries = fs::read_dir(from).map_err(Error::file(format!("list {}", from.display())))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !egress && name.to_string_lossy().contains("egress") {
            continue;
        }
        fs::copy(entry.path(), to.join(&name))
            .map_err(Error::file(format!("copy {}", entry.path().display())))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file(format!("write {}", path.display())))
}
