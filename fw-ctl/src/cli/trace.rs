//! `fw-ctl trace`: asks the daemon, or with `--policies` compiles files and needs
//! neither root nor daemon.

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs};
use super::offline::FileArgs;
use super::output::{Format, Outcome, bad, good, print, print_json};
use crate::control::client::ask;
use crate::control::protocol::{Failure, Flow, Request};
use crate::exit;
use crate::trace::{From, To, Trace, trace};
use crate::vlans;

/// Arguments of `trace`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Sender: IP[:PORT]
    #[arg(long, value_name = "IP[:PORT]")]
    from: From,
    /// Receiver: IP:PORT/PROTO; IP[:TYPE]/icmp; IP/PROTO for other protocols
    #[arg(long, value_name = "IP:PORT/PROTO")]
    to: To,
    /// In this VLAN: its id
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(1..=i64::from(vlans::LAST)))]
    vlan: Option<u16>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Traces and prints.
///
/// # Errors
/// When files are wrong, or the daemon does not answer.
pub fn run(args: &Args) -> Outcome {
    if args.from.address.is_ipv4() != args.to.address.is_ipv4() {
        return Err(Failure::new(
            exit::USAGE,
            format!(
                "{} and {} are of different families",
                args.from.address, args.to.address
            ),
        ));
    }
    let flow = Flow {
        source: args.from.address,
        destination: args.to.address,
        protocol: args.to.protocol,
        source_port: args.from.port,
        destination_port: args.to.port,
        vlan: args.vlan.unwrap_or(vlans::UNTAGGED),
    };
    let answer: Trace = if args.files.are_named() {
        offline(args, flow)?
    } else {
        ask(&args.client.socket(), &Request::Trace(flow))?
    };
    match args.output.format {
        Format::Json => print_json(&answer)?,
        Format::Table => print(&text(&answer))?,
    }
    outcome(&answer)
}

/// Whether it passes, as far as plan and programs agree.
pub fn outcome(answer: &Trace) -> Outcome {
    if answer.programs.as_ref().is_some_and(|said| !said.agree) {
        return Err(Failure::new(
            exit::UNREACHABLE,
            "the programs in the kernel do not do what the plan says",
        )
        .help("report this as a bug, with the output above and that of fw-ctl status"));
    }
    Ok(if answer.verdict == "allow" {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

fn offline(args: &Args, flow: Flow) -> Result<Trace, Failure> {
    let compiled = args.files.compile(&args.client)?;
    let local = compiled.node_addresses.iter().copied().collect();
    Ok(trace(compiled.context(&local), flow))
}

/// Step by step.
pub fn text(answer: &Trace) -> String {
    let mut lines: Vec<_> = answer
        .steps
        .iter()
        .map(|step| format!("{:<10} {}", step.name, step.found))
        .collect();
    lines.push(if answer.verdict == "allow" {
        good("allowed")
    } else {
        bad("denied")
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Programs, SCHEMA};

    fn answer(verdict: &str, agree: Option<bool>) -> Trace {
        Trace {
            schema: SCHEMA,
            flow: Flow {
                source: "192.0.2.9".parse().unwrap(),
                destination: "10.0.0.1".parse().unwrap(),
                protocol: 6,
                source_port: 0,
                destination_port: 22,
                vlan: 0,
            },
            direction: Some("ingress".into()),
            steps: vec![],
            verdict: verdict.into(),
            mode: "enforce".into(),
            rule: None,
            programs: agree.map(|agree| Programs {
                answers: vec![],
                agree,
            }),
        }
    }

    #[test]
    fn programs_that_differ_are_an_error_whatever_the_plan_says() {
        for (verdict, agree, code) in [
            ("allow", None, exit::OK),
            ("deny", None, exit::NEGATIVE),
            ("allow", Some(true), exit::OK),
            ("deny", Some(true), exit::NEGATIVE),
            ("allow", Some(false), exit::UNREACHABLE),
            ("deny", Some(false), exit::UNREACHABLE),
        ] {
            let outcome = outcome(&answer(verdict, agree));
            let found = outcome.unwrap_or_else(|failure| failure.exit);
            assert_eq!(found, code, "{verdict} {agree:?}");
        }
    }
}
