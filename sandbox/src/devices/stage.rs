//! A lab with servers and the running daemon, in which devices come and go.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sandbox::{
    Daemon, DaemonFiles, Error, FwCtl, Host, Lab, Result, Servers, Settings, Status, inventory,
};

use super::counters::Judged;
use super::flows;
use super::report::Report;
use crate::run::policy::{Answer, ask_reference};
use crate::run::row::{Row, wanted_of};

/// How long the daemon may take to filter a device that has appeared. A kernel that is
/// emulated beside others may verify for half a minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the programs and files are that a scenario needs.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The fw-ctl binary.
    pub fw_ctl: PathBuf,
    /// Directory of policies.
    pub policies: PathBuf,
}

/// `interfaces.xdp` of the daemon's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xdp {
    /// As a fresh install has it.
    Auto,
    /// Also where it has drawbacks, as on veth.
    Native,
}

/// All of it; dropping it ends the daemon, then takes the lab away.
#[derive(Debug)]
pub struct Stage {
    daemon: Option<Daemon>,
    /// What the daemon was configured with.
    pub xdp: Xdp,
    /// The commands of the daemon.
    pub fw_ctl: FwCtl,
    /// Servers of every host.
    pub servers: Vec<(&'static str, Servers)>,
    /// What is tried over every device.
    pub rows: Vec<Row>,
    /// What the policy says about each of them.
    pub answers: Vec<Answer>,
    /// The network.
    pub lab: Lab,
}

impl Stage {
    /// With the daemon running in enforce mode, and the node not connected to anything.
    ///
    /// # Errors
    /// If something does not start.
    pub fn new(sources: &Sources, xdp: Xdp) -> Result<Self> {
        Self::in_lab(Lab::unplugged()?, sources, xdp, None, "fw-ctl")
    }

    /// The same in a lab that is there, with one more policy (its name and its text), and
    /// with this directory below the bpffs for pins.
    ///
    /// # Errors
    /// If something does not start.
    pub fn in_lab(
        lab: Lab,
        sources: &Sources,
        xdp: Xdp,
        more: Option<(&str, &str)>,
        pins: &str,
    ) -> Result<Self> {
        let settings = Settings {
            node: inventory::NODE,
            mode: "enforce",
            include: "auto",
            xdp: match xdp {
                Xdp::Auto => "auto",
                Xdp::Native => "native",
            },
        };
        let files = DaemonFiles::new(&lab, &settings)?;
        lab.dir
            .write("inventory/cluster.yaml", &inventory::rke2(&lab))?;
        let config = std::fs::read_to_string(&files.config)
            .map_err(Error::io(format!("read {}", files.config.display())))?;
        let pins = format!("\n[paths]\npin_dir = \"/sys/fs/bpf/{pins}\"\n");
        lab.dir.write("fw-ctl.toml", &(config + &pins))?;
        copy_files(&sources.policies, &files.policies)?;
        if let Some((name, text)) = more {
            lab.dir.write(&format!("policies/{name}.yaml"), text)?;
        }
        let rows = flows::rows(&lab);
        let hosts = [&lab.node, &lab.jump, &lab.node2, &lab.stranger];
        let start = |host: &Host| Ok((host.name, Servers::start(host, &wanted_of(host, &rows))?));
        let servers = hosts.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        let fw_ctl = FwCtl::new(&lab, &sources.fw_ctl, files)?;
        let answers = ask_reference(&fw_ctl, &rows)?;
        let daemon = Some(fw_ctl.start()?);
        Ok(Self {
            daemon,
            xdp,
            fw_ctl,
            servers,
            rows,
            answers,
            lab,
        })
    }

    /// Kills the daemon, as when memory is short, and starts it again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.daemon = Some(self.fw_ctl.start()?);
        Ok(())
    }

    /// Kills the daemon; what it has pinned stays.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::kill)
    }

    /// What the firewall has counted so far.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn judged(&self) -> Result<Judged> {
        Ok(Judged::told_by(&self.fw_ctl.status()?))
    }

    /// The servers of a host.
    ///
    /// # Panics
    /// If there is no host of this name.
    #[must_use]
    pub fn servers_of(&self, host: &str) -> &Servers {
        let found = self.servers.iter().find(|(name, _)| *name == host);
        &found.expect("every host has servers").1
    }

    /// Waits until exactly these interfaces are filtered, in these modes, and nothing is
    /// degraded; checks it.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn check_modes(&self, report: &mut Report, when: &str, expected: &[&str]) -> Result<()> {
        let expected = expected.join(", ");
        let status =
            self.await_status(|status| modes(status) == expected && !status.is_degraded())?;
        report.check(format!("{when}filtered"), &expected, modes(&status));
        report.check(format!("{when}degraded"), "[]", &status.degraded);
        Ok(())
    }

    /// The status as soon as it is as wanted, or the last one when patience is over.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn await_status(&self, wanted: impl Fn(&Status) -> bool) -> Result<Status> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.fw_ctl.status()?;
            if wanted(&status) || Instant::now() > end {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Packets that arrived and were denied by a rule so far.
    ///
    /// # Errors
    /// If the daemon does not answer as expected.
    pub fn denied_by_rules(&self) -> Result<u64> {
        let text = self.fw_ctl.must(&["rules", "-o", "json"])?;
        let odd = || Error::Unexpected(format!("`fw-ctl rules -o json` wrote {text}"));
        let rules: serde_json::Value = serde_json::from_str(&text).map_err(|_| odd())?;
        let rules = rules["rules"].as_array().ok_or_else(odd)?;
        rules
            .iter()
            .filter(|rule| rule["direction"] == "ingress" && rule["verdict"] == "deny")
            .map(|rule| rule["packets"].as_u64().ok_or_else(odd))
            .sum()
    }
}

/// `bond0 xdp-native, br0 tc`: every filtered interface, sorted.
#[must_use]
pub fn modes(status: &Status) -> String {
    let mut modes: Vec<_> = status
        .interfaces
        .iter()
        .map(|row| format!("{} {}", row.name, row.ingress))
        .collect();
    modes.sort();
    modes.join(", ")
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let what = || Error::io(format!("copy the policies of {}", from.display()));
    for entry in std::fs::read_dir(from).map_err(what())? {
        let path = entry.map_err(what())?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, to.join(name)).map_err(what())?;
        }
    }
    Ok(())
}
