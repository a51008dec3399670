//! The dashboard and the alerts that are shipped ask for what there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::family::Kind;
use super::{CILIUM, OWN};

const DASHBOARD: &str = include_str!("../../../config/grafana/fw-ctl.json");
const ALERTS: &str = include_str!("../../../config/prometheus/fw-ctl.rules.yaml");
/// What Prometheus itself adds.
const ADDED: [&str; 3] = ["instance", "job", "le"];

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(rename = "alert")]
    name: String,
    expr: String,
    annotations: BTreeMap<String, String>,
}

fn alerts() -> Vec<Alert> {
    let rules: Rules = serde_saphyr::from_str(ALERTS).unwrap();
    rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            let queries = targets.map(|target| text(&target["expr"]));
            (text(&panel["title"]), queries.collect())
        })
        .collect()
}

/// Every sample name there is, with the labels of its family.
fn samples() -> BTreeMap<String, &'static [&'static str]> {
    let mut samples = BTreeMap::from([("up".to_owned(), &[][..])]);
    for definition in OWN.iter().chain(&CILIUM) {
        let suffixes: &[&str] = match definition.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Counter | Kind::Gauge | Kind::Info => &[""],
        };
        for suffix in suffixes {
            samples.insert(format!("{}{suffix}", definition.name), definition.labels);
        }
    }
    samples
}

/// Words of a query outside of strings and brackets of time, each with what follows it.
fn words(query: &str) -> Vec<(String, char)> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut in_string, mut in_time) = (false, false);
    for character in query.chars().chain([' ']) {
        match character {
            '"' => in_string = !in_string,
            '[' => in_time = true,
            ']' => in_time = false,
            _ => {}
        }
        let is_part = character.is_ascii_alphanumeric() || character == '_';
        if is_part && !in_string && !in_time {
            word.push(character);
        } else if !word.is_empty() {
            words.push((std::mem::take(&mut word), character));
        }
    }
    words
}

/// What is wrong with the names in a query.
fn unknown(query: &str) -> Vec<String> {
    const OPERATORS: [&str; 6] = ["by", "sum", "rate", "increase", "topk", "on"];
    let samples = samples();
    let words: Vec<_> = words(query)
        .into_iter()
        .filter(|(word, _)| word.parse::<f64>().is_err() && !OPERATORS.contains(&word.as_str()))
        .collect();
    let (names, labels): (Vec<_>, Vec<_>) = words
        .into_iter()
        .partition(|(word, _)| samples.contains_key(word));
    let mut known: BTreeSet<&str> = ADDED.into();
    for (name, _) in &names {
        known.extend(samples[name]);
    }
    let mut unknown: Vec<_> = labels.into_iter().map(|(label, _)| label).collect();
    unknown.retain(|label| !known.contains(label.as_str()));
    if names.is_empty() {
        unknown.push(format!("no metric in {query}"));
    }
    unknown
}

#[test]
fn every_metric_and_label_that_is_queried_exists() {
    let alerts = alerts();
    let panels = panels();
    assert!(alerts.len() >= 10 && panels.len() >= 15);
    let of_alerts = alerts.iter().map(|alert| (&alert.name, &alert.expr));
    let of_panels = panels
        .iter()
        .flat_map(|(title, queries)| queries.iter().map(move |query| (title, query)));
    for (of, query) in of_alerts.chain(of_panels) {
        assert_eq!(unknown(query), Vec::<String>::new(), "{of}: {query}");
    }
    // It would be seen.
    assert_eq!(
        unknown("rate(fw_ctl_packets[5m])"),
        ["fw_ctl_packets", "no metric in rate(fw_ctl_packets[5m])"]
    );
    assert_eq!(unknown(r#"fw_ctl_mode{moods="audit"} == 1"#), ["moods"]);
    assert_eq!(
        unknown("sum by (reasons) (fw_ctl_packets_total)"),
        ["reasons"]
    );
}

#[test]
fn every_alert_says_what_to_do() {
    for alert in alerts() {
        assert!(alert.name.starts_with("FwCtl"));
        let description = &alert.annotations["description"];
        let says = ["fw-ctl ", "systemctl ", "FwCtl"];
        assert!(
            says.iter().any(|says| description.contains(says)),
            "{}",
            alert.name
        );
        assert!(
            alert.annotations["summary"].contains("$labels.instance"),
            "{}",
            alert.name
        );
    }
}
