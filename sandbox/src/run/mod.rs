//! The story that the program tells, from the lab's start to the last table.

mod phase;
pub mod policy;
pub mod row;
mod table;
mod walk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::{
    DaemonFiles, Error, Family, FwCtl, Lab, Monitor, Result, Servers, Settings, inventory,
};

use crate::{Arguments, Xdp};
use phase::Phase;
use row::Row;

/// Runs everything; whether every row agreed.
///
/// # Errors
/// When something could not even be tried.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let policies = absolute(&arguments.policies)?;
    let begin = Instant::now();
    let lab = Lab::new()?;
    let rows = row::rows(&lab);
    let _servers = start_servers(&lab, &rows)?;
    let fw_ctl = configure(&lab, arguments, &policies)?;
    anstream::println!("{}", introduction(&lab, begin.elapsed()));

    let mut answers = policy::ask_reference(&fw_ctl, &rows)?;

    let daemon = fw_ctl.start()?;
    check_attached(&fw_ctl, arguments.xdp)?;
    let mut wrong = Vec::new();
    for phase in Phase::ALL {
        if phase == Phase::Enforce {
            answers = walk::adjust(&fw_ctl, &lab, &rows, &answers)?;
            fw_ctl.must(&["mode", "enforce"])?;
        }
        let mode = fw_ctl.status()?.mode;
        if mode != phase.mode() {
            let message = format!("`fw-ctl status` says mode {mode}, not {}", phase.mode());
            return Err(Error::Unexpected(message));
        }
        let monitor = Monitor::start(&fw_ctl, &["-t", "policy-verdict"])?;
        let results = phase::run(phase, &lab, &rows, &answers, &monitor);
        anstream::println!("{}", table::render(phase, &results, arguments.verbose));
        wrong.extend(results.iter().filter_map(|result| result.complaint(phase)));
    }
    anstream::println!("{}", table::heading("fw-ctl status"));
    anstream::println!("{}", fw_ctl.must(&["status"])?.trim_end());
    anstream::println!("{}", table::heading("fw-ctl rules"));
    anstream::println!("{}", fw_ctl.must(&["rules"])?.trim_end());
    anstream::println!("{}", table::conclusion(rows.len(), &wrong));
    if arguments.hold {
        hold(&lab, &fw_ctl);
    }
    drop(daemon);
    Ok(wrong.is_empty())
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(Error::io(format!("find {}", path.display())))
}

/// Whatever a row wants is served, whether or not policy lets anybody reach it: what
/// gets no answer was stopped on its way.
fn start_servers(lab: &Lab, rows: &[Row]) -> Result<Vec<Servers>> {
    [&lab.node, &lab.jump, &lab.node2, &lab.stranger]
        .into_iter()
        .map(|host| Servers::start(host, &row::wanted_of(host, rows)))
        .collect()
}

fn configure(lab: &Lab, arguments: &Arguments, policies: &std::path::Path) -> Result<FwCtl> {
    let xdp = match arguments.xdp {
        Xdp::Native => "native",
        Xdp::Generic => "generic",
        Xdp::Off => "off",
    };
    let settings = Settings {
        node: inventory::NODE,
        mode: Phase::Audit.mode(),
        include: "eth0",
        xdp,
    };
    let files = DaemonFiles::new(lab, &settings)?;
    lab.dir
        .write("inventory/cluster.yaml", &inventory::rke2(lab))?;
    let entries =
        std::fs::read_dir(policies).map_err(Error::io(format!("read {}", policies.display())))?;
    for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
        let to = files.policies.join(entry.file_name());
        std::fs::copy(entry.path(), &to)
            .map_err(Error::io(format!("copy a policy to {}", to.display())))?;
    }
    FwCtl::new(lab, &arguments.fw_ctl(), files)
}

fn introduction(lab: &Lab, took: Duration) -> String {
    let mut text = format!(
        "A lab of network namespaces, built in {} ms: real sockets, one Ethernet segment.\n\n",
        took.as_millis()
    );
    let who = [
        (&lab.node, "an RKE2 server; fw-ctl runs here"),
        (&lab.jump, "where administrators come from"),
        (&lab.node2, "the other RKE2 server"),
        (&lab.stranger, "somebody on the Internet"),
    ];
    for (host, role) in who {
        let (v4, v6) = (host.address(Family::V4), host.address(Family::V6));
        text += &format!(
            "  {:<9} {:<13} {:<19} {role}\n",
            host.name,
            v4.to_string(),
            v6.to_string()
        );
    }
    text + "\nThe failsafe entries are empty here, so policy alone decides. On a real node, SSH\n\
            passes until you configure otherwise.\n"
}

fn check_attached(fw_ctl: &FwCtl, xdp: Xdp) -> Result<()> {
    let expected = match xdp {
        Xdp::Native => "xdp-native",
        Xdp::Generic => "xdp-generic",
        Xdp::Off => "tc",
    };
    let status = fw_ctl.status()?;
    match status.ingress() {
        Some(ingress) if ingress == expected => Ok(()),
        other => Err(Error::Unexpected(format!(
            "eth0 of the node should be filtered by {expected}, but `fw-ctl status` says {}",
            other.unwrap_or("nothing about it")
        ))),
    }
}

fn hold(lab: &Lab, fw_ctl: &FwCtl) {
    anstream::println!("\nThe lab stays until Ctrl-C. A shell in it, as root:");
    for host in lab.on_segment() {
        let path = host.namespace.path();
        anstream::println!("  {:<9} nsenter --net={}", host.name, path.display());
    }
    anstream::println!(
        "Commands for the daemon, from anywhere: fw-ctl monitor --run-dir {}",
        fw_ctl.files().run.display()
    );
    loop {
        std::thread::park();
    }
}
