//! `fw-ctl doctor --plan`

use std::sync::Arc;

use super::super::args::{ClientArgs, load};
use super::super::output::{Format, Outcome, bad, doubtful, good, print, print_json, warn};
use super::super::table::table;
use crate::config::{Config, Overrides};
use crate::control::protocol::Failure;
use crate::daemon::{Inputs, sources};
use crate::doctor::{PlanReport, Planned, network};
use crate::exit;
use crate::lists::ListFiles;

/// Prints the plan for the interfaces of this network namespace.
///
/// # Errors
/// The configuration is wrong, or the interfaces cannot be listed.
pub fn run(client: &ClientArgs, format: Format) -> Outcome {
    let overrides = Overrides {
        config: client.config.clone(),
        run_dir: client.run_dir.clone(),
        ..Overrides::default()
    };
    let loaded = load(&overrides)
        .map_err(|errors| Failure::refused("the configuration is refused", &errors))?;
    let network = network().map_err(|why| Failure::new(exit::UNREACHABLE, why))?;
    let report = PlanReport::new(
        &network,
        &loaded.config.interfaces,
        needs_tags(&loaded.config),
    );
    match format {
        Format::Json => print_json(&report)?,
        Format::Table => print(&text(&report))?,
    }
    Ok(if report.is_whole() {
        exit::OK
    } else {
        exit::NEGATIVE
    })
}

/// Whether the policies make the VLAN of a packet matter. Refused ones make no plan: then
/// the one in force stays, and what is shown is what the configuration alone says.
fn needs_tags(config: &Config) -> bool {
    let (inputs, unreadable) = Inputs::read(config, &ListFiles::default());
    match sources::compile(Arc::new(inputs), unreadable) {
        Ok(compiled) => compiled.plan.needs_vlan(),
        Err(wrong) => {
            let lines = wrong.lines();
            warn(&format!(
                "the policies make no plan, so that it is not known whether rules for VLANs need \
                 tags: {}",
                lines.first().map_or("", String::as_str)
            ));
            false
        }
    }
}

fn text(report: &PlanReport) -> String {
    let header = ["INTERFACE", "KIND", "INGRESS", "EGRESS", "WHY"];
    let mut text = table(header, report.interfaces.iter().map(row));
    for name in &report.missing {
        text += &bad(&format!(
            "\n{name}: `interfaces.include` names it, but there is no such interface here"
        ));
    }
    text
}

fn row(planned: &Planned) -> [String; 5] {
    let ingress = planned.ingress.join(", else ");
    [
        planned.name.clone(),
        place(planned),
        match planned.ingress.first() {
            None if planned.gap => bad("none"),
            None => "-".into(),
            Some(&"xdp-native") => good(&ingress),
            Some(_) => doubtful(&ingress),
        },
        planned.egress.unwrap_or("-").into(),
        planned.why.clone(),
    ]
}

/// Its kind, and where in the stack it is.
fn place(planned: &Planned) -> String {
    let mut text = planned.kind.clone();
    if let Some(parent) = &planned.parent {
        text += &format!(" on {parent}");
    }
    if let Some(master) = &planned.master {
        text += &format!(" in {master}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Interfaces;
    use crate::netlink::{Link, Network};
    use anstream::adapter::strip_str;

    #[test]
    fn a_row_says_what_how_and_why() {
        let link = |index, name: &str, kind: &str| Link {
            index,
            name: name.into(),
            kind: kind.into(),
            ..Link::default()
        };
        let network = Network {
            links: vec![
                Link {
                    master: Some(2),
                    ..link(1, "eth0", "")
                },
                link(2, "bond0", "bond"),
                Link {
                    parent: Some(2),
                    ..link(3, "bond0.212", "vlan")
                },
            ],
            ..Network::default()
        };
        let report = PlanReport::new(&network, &Interfaces::default(), false);
        assert_eq!(
            strip_str(&text(&report)).to_string(),
            "\
INTERFACE  KIND               INGRESS              EGRESS  WHY
eth0       physical in bond0  xdp-native, else tc  tc
bond0      bond               -                    -       filtered on its members: eth0
bond0.212  vlan on bond0      -                    -       filtered on bond0, which carries it"
        );
    }
}
