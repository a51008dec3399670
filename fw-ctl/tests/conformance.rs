//! Every verdict of Cilium's own policy engine in the conformance corpora, through
//! all engines.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests may, and say what they have seen"
)]

mod common;

use common::corpus::{self, describe};
use common::engines::judge_with_all;
use common::guest::{self, CORPORA};
use fw_ctl::engine::{Engine, Judgement};
use fw_ctl::policy::label::{Label, LabelKey};
use fw_ctl::reference::Reference;

/// File, how many entries and flows it has at least.
type File = (&'static str, usize, usize);
const NAMED: File = ("policy.yaml", 100, 500);
const MERGES: File = ("golden-merge.jsonl", 50, 1_000);
const RANDOM: File = ("golden-random.jsonl", 100, 3_000);

/// A guest judges every so manieth entry: all of them would take it half an hour.
const SHARE_OF_GUEST: usize = 40;

/// Judges a file with every engine, or of `share` entries one.
///
/// With ICMP type 0 read as Cilium reads it (every type), every verdict must be
/// Cilium's. Read as we read it (echo reply), only verdicts on ICMP may differ.
fn check((file, least_entries, least_flows): File, share: usize) {
    let Some(place) = corpus::corpora() else {
        return;
    };
    let corpus = corpus::read(&place, file, share);
    assert!(
        corpus.skipped.len() * 20 <= corpus.entries.len(),
        "too many do not apply: {:?}",
        corpus.skipped
    );
    assert!(
        corpus.entries.len() >= least_entries / share,
        "{}",
        corpus.entries.len()
    );
    let mut judged = 0;
    let mut by_type_zero = 0;
    let mut wrong = Vec::new();
    for mut entry in corpus.entries {
        let ours = all(&entry.name, &entry.context, &entry.flows);
        let documents = corpus::with_type_zero_as_wildcard(&entry.context.documents);
        let cilium = match documents {
            Some(documents) => {
                entry.context.documents = documents;
                all(&entry.name, &entry.context, &entry.flows)
            }
            None => ours.clone(),
        };
        for ((flow, ours), cilium) in entry.flows.iter().zip(&ours).zip(&cilium) {
            judged += 1;
            let expected = flow.expect.expect("every case has a verdict");
            if cilium.allow != expected {
                wrong.push(format!("{}: {}: {cilium:?}", entry.name, describe(flow)));
            }
            if ours.allow != cilium.allow {
                by_type_zero += 1;
                assert!([1, 58].contains(&flow.protocol) && flow.icmp_type != 0);
            }
        }
    }
    assert!(judged >= least_flows / share / 2, "only {judged} flows");
    assert!(
        wrong.is_empty(),
        "{} of {judged} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{file}: {judged} flows, {by_type_zero} decided by ICMP type 0 alone");
}

/// What the engines say; they must agree on who decided, too.
fn all(
    name: &str,
    context: &fw_ctl::engine::Context,
    flows: &[fw_ctl::engine::Flow],
) -> Vec<Judgement> {
    let reference = Reference::new(context.clone()).judge(flows).unwrap();
    let plan = context
        .plan()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    for (engine, found) in judge_with_all(plan, flows) {
        for ((flow, reference), found) in flows.iter().zip(&reference).zip(&found) {
            assert_eq!(reference, found, "{name}, {engine}: {}", describe(flow));
        }
    }
    reference
}

#[test]
fn named_cases() {
    check(NAMED, 1);
}

#[test]
fn generated_merges() {
    check(MERGES, 1);
}

#[test]
fn generated_policies() {
    check(RANDOM, 1);
}

/// What other kernels make of the same packets.
#[test]
fn judged_alike_in_guests() {
    let Some(place) = corpus::corpora() else {
        return;
    };
    if guest::is_here() {
        let share = (SHARE_OF_GUEST / guest::effort() as usize).max(1);
        // One after another, so that the programs are loaded only once.
        return [NAMED, MERGES, RANDOM]
            .into_iter()
            .for_each(|file| check(file, share));
    }
    guest::passes_in_guests("judged_alike_in_guests", CORPORA, |guest| {
        guest.file(place.join("conformance"), "/corpora/conformance")
    });
}

#[test]
fn label_parsing() {
    let Some(place) = corpus::corpora() else {
        return;
    };
    let text = std::fs::read_to_string(place.join("conformance/golden-tables.json")).unwrap();
    let tables: serde_json::Value = serde_json::from_str(&text).unwrap();
    let labels = tables["labels"].as_object().unwrap();
    assert!(!labels.is_empty());
    for (text, expected) in labels {
        let label = Label::parse(text);
        let key = LabelKey::parse(text.split('=').next().unwrap());
        let source = &label.source;
        let (name, value) = (&label.key, &label.value);
        let seen = format!(
            "label source={source:?} key={name:?} value={value:?}; \
             select source={:?} key={:?} value={value:?}",
            key.source, key.key
        );
        assert_eq!(expected.as_str().unwrap(), seen, "{text}");
    }
}
