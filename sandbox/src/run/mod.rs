//! The story that the program tells, from the lab's start to the last table.

mod phase;
mod policy;
mod row;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::{
    DaemonFiles, Error, Family, FwCtl, Lab, Monitor, Result, Servers, Service, Settings, inventory,
    tcp, udp,
};

use crate::{Arguments, Xdp};
use phase::Phase;

/// What listens on the node, whether or not policy lets anybody reach it.
const NODE_SERVICES: [Service; 17] = [
    tcp(22),
    tcp(80),
    tcp(443),
    tcp(2379),
    tcp(2380),
    tcp(4240),
    tcp(6443),
    tcp(9345),
    tcp(10250),
    tcp(30080),
    udp(53),
    udp(8472),
    udp(51820),
    // Ports that nothing allows, for packets that look like answers.
    udp(row::UNSOLICITED),
    tcp(row::UNSOLICITED),
    udp(row::UNSOLICITED + 1),
    tcp(row::UNSOLICITED + 1),
];
/// What listens on the peers, for the connections of the node itself.
const PEER_SERVICES: [Service; 8] = [
    tcp(22),
    tcp(25),
    tcp(53),
    tcp(443),
    tcp(6443),
    udp(53),
    udp(123),
    udp(8472),
];

/// Runs everything; whether every row agreed.
///
/// # Errors
/// When something could not even be tried.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let policies = absolute(&arguments.policies)?;
    let begin = Instant::now();
    let lab = Lab::new()?;
    let _servers = start_servers(&lab)?;
    let fw_ctl = configure(&lab, arguments, &policies)?;
    anstream::println!("{}", introduction(&lab, begin.elapsed()));

    let rows = row::rows(&lab);
    let answers = policy::ask_reference(&fw_ctl, &rows)?;

    let daemon = fw_ctl.start()?;
    check_attached(&fw_ctl, arguments.xdp)?;
    let mut wrong = Vec::new();
    for phase in [Phase::Audit, Phase::Enforce] {
        if phase == Phase::Enforce {
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

fn start_servers(lab: &Lab) -> Result<Vec<Servers>> {
    let mut servers = vec![Servers::start(&lab.node, &NODE_SERVICES)?];
    for peer in [&lab.jump, &lab.node2, &lab.stranger] {
        servers.push(Servers::start(peer, &PEER_SERVICES)?);
    }
    Ok(servers)
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
    let binary = arguments
        .fw_ctl
        .clone()
        .or_else(|| std::env::var_os("FW_CTL").map(PathBuf::from))
        .unwrap_or_else(|| "target/release/fw-ctl".into());
    FwCtl::new(lab, &binary, files)
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
