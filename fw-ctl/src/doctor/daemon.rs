//! What is said of the daemon: what it says itself, with what to do.

use super::facts::{Answer, Daemon};
use super::{Finding, Group, Level};
use crate::daemon::status::Status;

fn finding(subject: &str, level: Level, what: impl Into<String>) -> Finding {
    Finding::new(Group::Daemon, subject, level, what)
}

pub fn findings(daemon: &Daemon) -> Vec<Finding> {
    let refused = daemon
        .configuration
        .iter()
        .map(|message| Finding::told(Group::Daemon, "configuration", Level::Missing, message));
    let mut findings: Vec<_> = refused.collect();
    let socket = daemon.socket.display();
    match &daemon.answer {
        Answer::Status(status) => findings.extend(of_status(status)),
        Answer::Absent { pins: Some(false) } => findings.push(
            finding(
                "daemon",
                Level::Note,
                format!("none listens on {socket}, and none has left its filter"),
            )
            .advice("systemctl start fw-ctl; --config or --run-dir if the daemon has others"),
        ),
        Answer::Absent { pins: None } => findings.push(
            finding("daemon", Level::Note, format!("none listens on {socket}"))
                .advice("sudo fw-ctl doctor, which can see whether one has left its filter"),
        ),
        Answer::Absent { pins: Some(true) } => findings.push(
            finding(
                "daemon",
                Level::Missing,
                format!("none listens on {socket}"),
            )
            .why(
                "what a former one attached still filters, but nobody follows changes of \
                     interfaces, addresses and policies",
            )
            .advice("systemctl start fw-ctl, or fw-ctl detach to open the node"),
        ),
        Answer::Forbidden => findings.push(
            finding(
                "daemon",
                Level::Note,
                format!("{socket} may not be opened by this user"),
            )
            .advice("sudo fw-ctl doctor"),
        ),
        Answer::Failed(message) => {
            findings.push(Finding::told(
                Group::Daemon,
                "daemon",
                Level::Missing,
                message,
            ));
        }
    }
    findings
}

fn of_status(status: &Status) -> Vec<Finding> {
    let told = |subject: &str, level, message: &String| {
        Finding::told(Group::Daemon, subject, level, message)
    };
    let what = format!("fw-ctl {}, mode {}", status.version, status.mode);
    let mut findings = vec![finding("daemon", Level::Ok, what)];
    if status.version != env!("CARGO_PKG_VERSION") {
        findings.push(
            finding(
                "version",
                Level::Note,
                format!(
                    "the daemon is {}, this is {}",
                    status.version,
                    env!("CARGO_PKG_VERSION")
                ),
            )
            .advice("systemctl restart fw-ctl; the filter stays in force meanwhile"),
        );
    }
    if status.mode == "audit" {
        findings.push(
            finding("mode", Level::Note, "audit: nothing is dropped")
                .advice("fw-ctl mode enforce, when fw-ctl monitor shows no verdict that surprises"),
        );
    }
    findings.extend(
        status
            .degraded
            .iter()
            .map(|line| told("degraded", Level::Missing, line)),
    );
    // Interfaces have findings of their own.
    let names: Vec<_> = status
        .interfaces
        .iter()
        .map(|i| &i.name)
        .chain(status.unfiltered.iter().map(|u| &u.name))
        .collect();
    let about_interface = |line: &str| {
        names.iter().any(|name| {
            line.split_once(": ")
                .is_some_and(|(first, _)| first == name.as_str())
        })
    };
    let warnings = status.warnings.iter().filter(|line| !about_interface(line));
    findings.extend(warnings.map(|line| told("warning", Level::Note, line)));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "version": env!("CARGO_PKG_VERSION"), "node": "n1", "mode": "enforce",
            "mode_source": "configuration", "degraded": [], "warnings": [],
            "generation": {"number": 1, "declared": null, "compiled": null, "kernel": null, "read_back": null},
            "interfaces": [], "unfiltered": [{"name": "ib0", "why": "no Ethernet header", "gap": true}],
            "addresses": [], "policies": 1, "rules": 1, "builtins": [], "counters": [], "lost_events": 0,
        }))
        .unwrap()
    }

    fn said(answer: Answer) -> Vec<(String, Level, String, Option<String>)> {
        let daemon = Daemon {
            socket: "/run/fw-ctl/control.sock".into(),
            answer,
            configuration: Vec::new(),
        };
        findings(&daemon)
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| (finding.subject, finding.level, finding.what, finding.advice))
            .collect()
    }

    #[test]
    fn what_degrades_is_repeated_with_what_to_do() {
        assert_eq!(said(Answer::Status(Box::new(status()))), []);
        let status = Status {
            mode: "audit".into(),
            degraded: vec![
                "nothing is filtered: `fw-ctl detach` was run; try: fw-ctl reload".into(),
            ],
            warnings: vec![
                "the files have changed (try: fw-ctl reload)".into(),
                "ib0: no Ethernet header".into(),
            ],
            ..status()
        };
        let said = said(Answer::Status(Box::new(status)));
        let reload = Some("fw-ctl reload".to_owned());
        assert_eq!(said[0].0, "mode");
        assert_eq!(
            said[1..],
            [
                (
                    "degraded".into(),
                    Level::Missing,
                    "nothing is filtered: `fw-ctl detach` was run".into(),
                    reload.clone()
                ),
                (
                    "warning".into(),
                    Level::Note,
                    "the files have changed".into(),
                    reload
                ),
            ]
        );
    }

    #[test]
    fn no_daemon_is_worse_where_its_filter_is_still_there() {
        let level = |answer| said(answer)[0].1;
        assert_eq!(level(Answer::Absent { pins: Some(false) }), Level::Note);
        assert_eq!(level(Answer::Absent { pins: Some(true) }), Level::Missing);
        assert_eq!(level(Answer::Forbidden), Level::Note);
        assert_eq!(level(Answer::Failed("it hangs".into())), Level::Missing);
    }

    #[test]
    fn a_configuration_that_is_refused_is_missing() {
        let daemon = Daemon {
            socket: "/run/fw-ctl/control.sock".into(),
            answer: Answer::Absent { pins: Some(false) },
            configuration: vec!["fw-ctl.toml:1:1: unknown key".into()],
        };
        let first = &findings(&daemon)[0];
        assert_eq!(
            (first.subject.as_str(), first.level),
            ("configuration", Level::Missing)
        );
    }
}
