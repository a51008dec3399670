//! `fw-ctl doctor`

mod plan;

use clap::Args as ClapArgs;

use super::args::{ClientArgs, OutputArgs, load};
use super::output::{Format, Outcome, bad, doubtful, good, plain, print, print_json};
use crate::config::Overrides;
use crate::doctor::{Finding, Level, Report, Where, diagnose, gather};

/// Columns of a level and of a subject, with the gap behind each.
const LEVEL: usize = 9;
const SUBJECT: usize = 21;

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Print what would be attached to which interface, and nothing else
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Examines and prints.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args) -> Outcome {
    if args.plan {
        return plan::run(&args.client, args.output.format);
    }
    let report = diagnose(&gather(&place(&args.client)));
    match args.output.format {
        Format::Json => print_json(&report)?,
        Format::Table => print(&text(&report))?,
    }
    Ok(report.exit_code())
}

/// The instance that the flags name. A broken configuration is a finding and no obstacle.
fn place(client: &ClientArgs) -> Where {
    let overrides = Overrides {
        config: client.config.clone(),
        run_dir: client.run_dir.clone(),
        ..Overrides::default()
    };
    match load(&overrides) {
        Ok(loaded) => Where {
            interfaces: loaded.config.interfaces,
            paths: loaded.config.paths,
            configuration: Vec::new(),
        },
        Err(errors) => Where {
            paths: client.paths(),
            configuration: errors.iter().map(plain).collect(),
            ..Where::default()
        },
    }
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    let mut group = None;
    for finding in &report.findings {
        if group != Some(finding.group) {
            if group.is_some() {
                lines.push(String::new());
            }
            lines.push(finding.group.title().to_owned());
            group = Some(finding.group);
        }
        lines.extend(one(finding));
    }
    lines.join("\n")
}

/// A line for what was found, and lines below it for why and what to do.
fn one(finding: &Finding) -> Vec<String> {
    let indent = " ".repeat(2 + LEVEL);
    let name = format!("{:<LEVEL$}", finding.level.name());
    let level = match finding.level {
        Level::Ok => good(&name),
        Level::Note => name,
        Level::Slow => doubtful(&name),
        Level::Missing => bad(&name),
    };
    let what = indented(&finding.what, &indent);
    let mut lines = vec![format!("  {level}{:<SUBJECT$}{what}", finding.subject)];
    for (label, part) in [("why", &finding.why), ("try", &finding.advice)] {
        if let Some(part) = part {
            lines.push(format!("{indent}{label}: {}", indented(part, &indent)));
        }
    }
    lines
}

/// Further lines of a text below its first.
fn indented(text: &str, indent: &str) -> String {
    text.replace('\n', &format!("\n{indent}     "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Group;
    use anstream::adapter::strip_str;

    #[test]
    fn findings_stand_in_groups_with_reason_and_advice_below() {
        let findings = vec![
            Finding::new(Group::Kernel, "release", Level::Ok, "Linux 6.1"),
            Finding::new(Group::Kernel, "BPF JIT", Level::Slow, "off")
                .why("it is 0")
                .advice("set it\nto 1"),
            Finding::new(Group::Daemon, "daemon", Level::Missing, "none"),
        ];
        let text = text(&Report::new(findings, true));
        let expected = "\
Kernel
  ok       release              Linux 6.1
  slow     BPF JIT              off
           why: it is 0
           try: set it
                to 1

Daemon
  missing  daemon               none";
        assert_eq!(strip_str(&text).to_string(), expected);
    }
}
