//! `fw-ctl metrics list`: what `/metrics` tells, without asking anybody.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::args::OutputArgs;
use super::output::{Format, Outcome, print, print_json};
use super::table::table;
use crate::exit;
use crate::metrics::{CILIUM, Definition, OWN};

/// The commands below `metrics`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every metric with its type, unit, labels and meaning; needs neither root nor a daemon
    List(Args),
}

/// Arguments of `metrics list`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

/// Does what the command says.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(command: &Command) -> Outcome {
    let Command::List(args) = command;
    match args.output.format {
        Format::Json => print_json(&to_json())?,
        Format::Table => print(&table(
            ["METRIC", "TYPE", "UNIT", "LABELS", "WITH", "MEANING"],
            all().map(|(definition, only_with)| {
                [
                    definition.name.to_owned(),
                    definition.kind.name().to_owned(),
                    definition.unit.unwrap_or_default().to_owned(),
                    definition.labels.join(","),
                    only_with.unwrap_or_default().to_owned(),
                    definition.help.to_owned(),
                ]
            }),
        ))?,
    }
    Ok(exit::OK)
}

/// Each with the key that must be set for it, if one must.
fn all() -> impl Iterator<Item = (&'static Definition, Option<&'static str>)> {
    let own = OWN.iter().map(|definition| (*definition, None));
    let cilium = CILIUM.iter();
    own.chain(cilium.map(|definition| (*definition, Some("metrics.cilium_names"))))
}

fn to_json() -> Value {
    let metrics = all().map(|(definition, only_with)| {
        json!({
            "name": definition.name,
            "type": definition.kind.name(),
            "unit": definition.unit,
            "labels": definition.labels,
            "help": definition.help,
            "only_with": only_with,
        })
    });
    json!({"schema": 1, "metrics": metrics.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format as Text, Numbers, families, render};

    /// Names, types and meanings of the exposition, as a scraper reads them.
    #[test]
    fn what_is_listed_is_what_is_told() {
        let text = render(&families(&Numbers::default(), true), Text::Prometheus);
        let mut lines = text.lines();
        let listed = to_json();
        for metric in listed["metrics"].as_array().unwrap() {
            let [name, kind, help] =
                ["name", "type", "help"].map(|key| metric[key].as_str().unwrap());
            let mut next = || lines.find(|line| line.starts_with("# ")).unwrap();
            assert_eq!(next(), format!("# HELP {name} {help}"));
            assert_eq!(next(), format!("# TYPE {name} {kind}"));
        }
        assert!(!lines.any(|line| line.starts_with("# ")));
    }
}
