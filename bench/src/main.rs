//! `bench`: fw-ctl beside what else firewalls a Linux host.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bench::bench::{Plan, run};
use bench::machine::Machine;
use bench::peer::{Means, Peer};
use bench::sample::{Line, lab_link};
use bench::{Error, Result, guest, pktgen, report, scenario};
use clap::Parser;
use sandbox::Nic;

/// Measure fw-ctl and its peers in network namespaces, and write a report.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent of each other"
)]
struct Arguments {
    /// Three short rounds over a choice of scenarios: less than two minutes
    #[arg(long)]
    quick: bool,
    /// Rounds [default: 5; with --quick 3, over real interfaces 8]
    #[arg(long)]
    rounds: Option<u32>,
    /// Milliseconds of a sample [default: 300; with --quick 40, over real interfaces 1500]
    #[arg(long, value_name = "MS")]
    sample: Option<u64>,
    /// Only scenarios whose name contains one of these texts
    #[arg(long, value_name = "TEXT")]
    scenario: Vec<String>,
    /// Only peers whose name contains one of these texts
    #[arg(long, value_name = "TEXT")]
    peer: Vec<String>,
    /// List scenarios and peers, and do nothing
    #[arg(long)]
    list: bool,
    /// The fw-ctl binary
    #[arg(long, value_name = "FILE", default_value = "target/release/fw-ctl")]
    fw_ctl: PathBuf,
    /// Policies of the host scenarios
    #[arg(long, value_name = "DIR", default_value = "config/policies/rke2")]
    policies: PathBuf,
    /// Where raw data and report go
    #[arg(long, value_name = "DIR", default_value = "bench/report")]
    out: PathBuf,
    /// Name of the files, behind the date [default: full, quick or latency]
    #[arg(long)]
    name: Option<String>,
    /// Measure nothing: make the report of this raw data again
    #[arg(long, value_name = "FILE.jsonl")]
    from: Option<PathBuf>,
    /// Only the ping-pong, over two real interfaces with a cable between them: the
    /// node's and its client's, which nothing else may use
    #[arg(long, value_name = "NODE,CLIENT", value_parser = two_names)]
    over: Option<(String, String)>,
    /// Only the ping-pong, over virtio in an emulated guest with Debian's newest kernel of
    /// this series, as 6.12; with --pktgen one series or several
    #[arg(long, value_name = "SERIES", value_delimiter = ',', conflicts_with_all = ["over", "from"])]
    guest: Vec<String>,
    /// With --guest: packets of the kernel's pktgen and TCP streams in place of the
    /// ping-pong; a series may be `newest`, too
    #[arg(long, conflicts_with_all = ["over", "from", "quick"])]
    pktgen: bool,
    /// Packets of a sample of pktgen's
    #[arg(long, value_name = "COUNT", default_value_t = pktgen::PACKETS, requires = "pktgen")]
    packets: u64,
    /// In the guest of --pktgen: measure, and write raw data only
    #[arg(long, hide = true, requires = "pktgen", conflicts_with = "guest")]
    here: bool,
    /// Exit with 1 if a ratio is above its limit in bench/budget.toml
    #[arg(long)]
    check: bool,
}

/// `eth0,eth1`.
fn two_names(text: &str) -> std::result::Result<(String, String), String> {
    text.split_once(',')
        .filter(|(one, other)| !one.is_empty() && !other.is_empty() && one != other)
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .ok_or_else(|| "two interfaces are needed, as eth1,eth2".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match sandbox::signals::clean_up_on_signals()
        .map_err(Error::from)
        .and_then(|()| bench_main(&arguments))
    {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench_main(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for scenario in scenario::all() {
            anstream::println!(
                "{}{}",
                scenario.name(),
                if scenario.quick { " *" } else { "" }
            );
        }
        anstream::println!("(* in --quick)\n");
        for peer in Peer::ALL {
            anstream::println!("{peer}");
        }
        return Ok(true);
    }
    let raw = match &arguments.from {
        Some(raw) => raw.clone(),
        None if arguments.pktgen => measure_pktgen(arguments)?,
        None => measure(arguments)?,
    };
    if arguments.here {
        return Ok(true);
    }
    let report = report::write(&raw)?;
    anstream::println!("{}", report.path.display());
    for line in &report.over_budget {
        anstream::eprintln!("over budget: {line}");
    }
    Ok(!arguments.check || report.over_budget.is_empty())
}

/// Has pktgen send in guests, or here; returns the file with the raw data.
fn measure_pktgen(arguments: &Arguments) -> Result<PathBuf> {
    if arguments.guest.is_empty() && !arguments.here {
        return Err(Error::Unfit(
            "--pktgen measures in a guest; try: --guest 6.12 --pktgen".into(),
        ));
    }
    let means = means(arguments);
    let rounds = arguments.rounds.unwrap_or(pktgen::ROUNDS);
    let (path, mut write) = raw(arguments, "guest-pktgen")?;
    if arguments.here {
        pktgen::measure_here(&means, rounds, arguments.packets, &mut write)?;
    }
    for series in &arguments.guest {
        pktgen::measure_in_guest(series, &means, rounds, arguments.packets)?
            .iter()
            .try_for_each(&mut write)?;
    }
    Ok(path)
}

fn means(arguments: &Arguments) -> Means {
    Means {
        fw_ctl: arguments.fw_ctl.clone(),
        policies: arguments.policies.clone(),
    }
}

/// A new file for raw data, and what writes a line to it.
fn raw(arguments: &Arguments, name: &str) -> Result<(PathBuf, impl FnMut(&Line) -> Result<()>)> {
    let name = arguments.name.as_deref().unwrap_or(name);
    fs::create_dir_all(&arguments.out)
        .map_err(Error::file(format!("make {}", arguments.out.display())))?;
    let file = format!("{}-{name}.jsonl", Machine::here().date);
    let path = arguments.out.join(file);
    let what = format!("write {}", path.display());
    let mut file = File::create(&path).map_err(Error::file(&what))?;
    let write = move |line: &Line| {
        tell(line);
        let text = serde_json::to_string(line).expect("a line has no maps with odd keys");
        writeln!(file, "{text}").map_err(Error::file(&what))
    };
    Ok((path, write))
}

/// Runs the plan; returns the file with the raw data.
fn measure(arguments: &Arguments) -> Result<PathBuf> {
    let named = |name: &str, texts: &[String]| {
        texts.is_empty() || texts.iter().any(|text| name.contains(text.as_str()))
    };
    if arguments.guest.len() > 1 {
        return Err(Error::Unfit(
            "the ping-pong is measured in one guest; try: --guest 6.12".into(),
        ));
    }
    let quick = arguments.quick;
    let over = match &arguments.over {
        Some((node, client)) => Some((Nic::named(node)?, Nic::named(client)?)),
        None => None,
    };
    let only_latency = over.is_some() || !arguments.guest.is_empty();
    let mut peers = Peer::ALL.to_vec();
    if only_latency {
        peers = guest::PEERS.to_vec();
    }
    let (rounds, sample) = match (only_latency, quick) {
        (true, _) => (8, 1_500),
        (false, true) => (3, 40),
        (false, false) => (5, 300),
    };
    let plan = Plan {
        scenarios: scenario::all()
            .into_iter()
            .filter(|scenario| (scenario.quick || !quick) && !only_latency)
            .filter(|scenario| named(&scenario.name(), &arguments.scenario))
            .collect(),
        peers: peers
            .into_iter()
            .filter(|peer| peer.is_quick() || !quick || only_latency)
            .filter(|peer| named(&peer.to_string(), &arguments.peer))
            .collect(),
        rounds: arguments.rounds.unwrap_or(rounds),
        duration: Duration::from_millis(arguments.sample.unwrap_or(sample)),
        latency: only_latency
            || arguments.scenario.is_empty()
            || arguments
                .scenario
                .iter()
                .any(|text| "ping-pong".contains(text.as_str())),
        over,
        means: means(arguments),
    };
    let name = match (only_latency, quick) {
        (true, _) => "latency",
        (false, true) => "quick",
        (false, false) => "full",
    };
    let (path, mut write) = raw(arguments, name)?;
    if let [series] = arguments.guest.as_slice() {
        let lines = guest::measure(series, &plan.means, plan.rounds, plan.duration)?;
        lines.iter().try_for_each(write)?;
        return Ok(path);
    }
    write(&Line::Run {
        machine: Machine::here(),
        rounds: plan.rounds,
        sample_ms: plan.duration.as_millis() as u64,
        generator: "XDP live frames (BPF_PROG_TEST_RUN) into the veth of the node, one CPU".into(),
        link: match &arguments.over {
            Some((node, client)) => format!("the interfaces {node} and {client}"),
            None => lab_link(),
        },
    })?;
    run(&plan, write)?;
    Ok(path)
}

/// Says on stderr what is going on.
fn tell(line: &Line) {
    match line {
        Line::Run { .. } => {}
        Line::Packets(sample) => anstream::eprintln!(
            "{} {:<44} {:<18} {:>8.1} ns  {:>5.1} % delivered",
            sample.round + 1,
            sample.scenario,
            sample.peer,
            sample.receive_ns(),
            sample.delivered * 100.0,
        ),
        Line::Latency(sample) => anstream::eprintln!(
            "{} {:<44} {:<18} {:>8.1} us  p99 {:.1} us",
            sample.round + 1,
            sample.scenario,
            sample.peer,
            sample.p50_us,
            sample.p99_us,
        ),
        Line::Flood(flood) => anstream::eprintln!(
            "{} {:<44} {:<18} {:>8.1} kpps, {} of {} counted",
            flood.round + 1,
            format!("{}, {}", flood.device, flood.traffic),
            flood.peer,
            flood.kpps(),
            flood.counted,
            flood.sent,
        ),
        Line::Bulk(bulk) => anstream::eprintln!(
            "{} {:<44} {:<18} {:>8.1} MB/s",
            bulk.round + 1,
            format!("TCP {}", bulk.direction),
            bulk.peer,
            bulk.megabytes_a_second(),
        ),
        Line::Install(install) => anstream::eprintln!(
            "{} {:<44} {:<18} {:>8.1} ms  to install",
            install.round + 1,
            install.rules,
            install.peer,
            install.ms,
        ),
        Line::Skipped {
            peer,
            scenario,
            why,
        } => anstream::eprintln!("skipped: {peer} {scenario}: {why}"),
    }
}
