//! What `fw-ctl init` prints: what was found, the files, and what they would close.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::output::{bad, doubtful, good};
use super::super::table::table;
use crate::engine::protocol_name;
use crate::init::{Draft, Fact, NewFile, Port, There, Who, Wish};
use crate::printable::printable;

/// An answer in all forms.
pub(super) struct Answer<'a> {
    pub(super) wish: &'a Wish,
    pub(super) draft: &'a Draft,
    /// Where the former text of each file is kept; `None`: nothing was written.
    pub(super) kept: Option<&'a [Option<PathBuf>]>,
}

impl Answer<'_> {
    /// For people. Where nothing was written, the texts of the files come first.
    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.kept.is_none() {
            let new = self.draft.files.iter().filter(|file| file.is_new());
            parts.extend(
                new.map(|file| format!("==> {} <==\n{}", file.at.display(), file.text.trim_end())),
            );
        }
        parts.push(self.found());
        let files = self.draft.files.iter().enumerate();
        let rows =
            files.map(|(place, file)| [file.at.display().to_string(), self.state(place, file)]);
        parts.push(table(["FILE", "STATE"], rows));
        parts.extend(self.ports());
        parts.join("\n\n")
    }

    fn found(&self) -> String {
        let found = &self.draft.found;
        let mut rows = Vec::new();
        let mut last = "";
        let mut row = |name: &'static str, value: String, from: &str| {
            // A name stands at the first of its values only.
            let shown = if name == last { "" } else { name };
            last = name;
            rows.push([shown.to_owned(), value, printable(from)]);
        };
        row("profile", self.wish.profile.name().to_owned(), "--profile");
        if let Some(node) = &found.node {
            row("node", printable(&node.value), &node.from);
        }
        for (key, label) in &found.labels {
            row(
                "label",
                printable(&format!("{key}={}", label.value)),
                &label.from,
            );
        }
        for address in &found.addresses {
            row("address", address.to_string(), "");
        }
        for port in &found.ssh_ports {
            row("SSH port", port.to_string(), "");
        }
        for admin in &found.admin {
            row("admin network", admin.value.to_string(), &admin.from);
        }
        for pods in &found.pods {
            row("pod network", pods.value.to_string(), &pods.from);
        }
        if let Some(from) = &found.calico {
            row("Calico", "yes".to_owned(), from);
        }
        table(["FOUND", "", "BY"], rows)
    }

    /// What becomes, or became, of a file.
    fn state(&self, place: usize, file: &NewFile) -> String {
        let Some(kept) = self.kept else {
            return match file.there {
                There::Nothing | There::Shipped => good("would be written"),
                There::Same => "unchanged".to_owned(),
                There::Other => doubtful("there, and says something else"),
                There::Unfit => bad("there, and no readable file"),
            };
        };
        match (file.there, kept.get(place).and_then(Option::as_ref)) {
            (There::Same, _) => "unchanged".to_owned(),
            (_, Some(kept)) => doubtful(&format!("replaced; before: {}", kept.display())),
            (_, None) => good("written"),
        }
    }

    /// What is listening, and a sentence about it.
    fn ports(&self) -> Option<String> {
        let ports = &self.draft.judged.ports;
        if !self.wish.is_of_this_machine() {
            return None;
        }
        if ports.is_empty() {
            return Some("nothing listens here for others".to_owned());
        }
        let header = ["PROTO", "PORT", "PROCESS", "ADDRESS", "OPEN TO", "BECAUSE"];
        let rows = ports.iter().map(cells);
        let is_closed = |port: &&Port| port.open_to != [Who::Everybody];
        let closed = ports.iter().filter(is_closed).count();
        let to_all = ports.iter().filter(|port| port.open_to.is_empty()).count();
        let mut said = match closed {
            0 => "nothing of it would be closed to strangers".to_owned(),
            _ => format!(
                "in enforce mode {closed} of {} would be closed to strangers, {to_all} of them to \
                 everybody",
                ports.len()
            ),
        };
        let is_failsafe = |port: &&Port| port.open_to != port.by_policy;
        for port in ports.iter().filter(is_failsafe) {
            said += &format!(
                "\n{}/{} is open to {} by [failsafe]; by policy alone, to {}",
                port.listening.port,
                protocol(port),
                names(&port.open_to),
                names(&port.by_policy)
            );
        }
        Some(format!("{}\n\n{said}", table(header, rows)))
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let found = &self.draft.found;
        let named = |facts: Vec<(String, &str)>| -> Vec<Value> {
            let facts = facts.into_iter();
            facts
                .map(|(prefix, from)| json!({"prefix": prefix, "from": from}))
                .collect()
        };
        let prefix = |fact: &'_ Fact<ipnet::IpNet>| fact.value.to_string();
        let labels = found.labels.iter();
        let labels: Vec<_> = labels
            .map(|(key, one)| json!({"key": key, "value": one.value, "from": one.from}))
            .collect();
        let files = self.draft.files.iter().enumerate();
        let files: Vec<_> = files
            .map(|(place, file)| self.file_json(place, file))
            .collect();
        let ports: Vec<_> = self.draft.judged.ports.iter().map(port_json).collect();
        let warnings = self.draft.judged.warnings.iter();
        let warnings: Vec<_> = warnings.map(super::plain).collect();
        json!({
            "schema": 1,
            "profile": self.wish.profile.name(),
            "written": self.kept.is_some(),
            "node": found.node.as_ref().map(|one| json!({"name": one.value, "from": one.from})),
            "labels": labels,
            "addresses": found.addresses,
            "ssh_ports": found.ssh_ports,
            "admin_networks": named(found.admin.iter().map(|one| (prefix(one), one.from.as_str())).collect()),
            "pod_networks": named(found.pods.iter().map(|one| (prefix(one), one.from.as_str())).collect()),
            "calico": found.calico,
            "files": files,
            "listening": self.wish.is_of_this_machine().then_some(ports),
            "notes": found.notes,
            "warnings": warnings,
        })
    }

    fn file_json(&self, place: usize, file: &NewFile) -> Value {
        let there = match file.there {
            There::Nothing => "nothing",
            There::Same => "same",
            There::Shipped => "shipped",
            There::Other => "other",
            There::Unfit => "unfit",
        };
        let kept = self.kept.and_then(|kept| kept.get(place)?.as_ref());
        let mut value = json!({
            "path": file.at.display().to_string(),
            "there": there,
            "written": self.kept.is_some() && file.is_new(),
            "kept": kept.map(|path| path.display().to_string()),
        });
        if self.kept.is_none() {
            value["text"] = json!(file.text);
        }
        value
    }
}

fn port_json(port: &Port) -> Value {
    json!({
        "protocol": protocol(port),
        "port": port.listening.port,
        "processes": port.listening.processes,
        "addresses": port.listening.addresses,
        "open_to": port.open_to,
        "by_policy": port.by_policy,
        "because": port.because,
    })
}

fn protocol(port: &Port) -> String {
    protocol_name(port.listening.protocol).unwrap_or_default()
}

fn cells(port: &Port) -> [String; 6] {
    let one = &port.listening;
    let or_dash = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    let processes: Vec<&str> = one.processes.iter().map(String::as_str).collect();
    let open_to = names(&port.open_to);
    [
        protocol(port),
        one.port.to_string(),
        or_dash(processes.join(", ")),
        addresses(&one.addresses.iter().copied().collect::<Vec<_>>()),
        match port.open_to.as_slice() {
            [Who::Everybody] => good(&open_to),
            [] => bad(&open_to),
            _ => doubtful(&open_to),
        },
        port.because.clone(),
    ]
}

/// `*` for every address, of whatever family.
fn addresses(all: &[IpAddr]) -> String {
    if all.iter().any(IpAddr::is_unspecified) {
        return "*".to_owned();
    }
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn names(who: &[Who]) -> String {
    if who.is_empty() {
        return "nobody".to_owned();
    }
    let names: Vec<&str> = who.iter().map(|one| one.name()).collect();
    names.join(", ")
}
