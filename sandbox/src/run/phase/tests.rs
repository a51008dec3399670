//! The comparison itself: a wrong firewall must not pass.

use sandbox::probe::Outcome;
use sandbox::{Lab, Verdict};

use super::{Phase, RowResult};
use crate::run::policy::Answer;
use crate::run::row::{Kind, rows};

fn result(kind: Kind, policy: &str, outcome: Outcome, action: Option<&str>) -> Option<RowResult> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: namespaces need root");
        return None;
    }
    let lab = Lab::new().unwrap();
    let row = rows(&lab).into_iter().find(|row| row.kind == kind).unwrap();
    let answer = format!(r#"{{"id":"0","verdict":"{policy}"}}"#);
    let answer: Answer = serde_json::from_str(&answer).unwrap();
    let report = action.map(|action| {
        let line = format!(
            "Policy verdict log: flow 0x0 local EP ID 1, remote ID world, proto 6, ingress, \
             action {action}, auth: disabled, match none, 10.0.9.5:41000 -> 10.0.0.10:22 tcp SYN"
        );
        Verdict::parse(&line).unwrap()
    });
    Some(RowResult {
        row,
        answer,
        outcome,
        report,
        report_of_answer: None,
    })
}

#[test]
fn agreement_is_all_three_and_nothing_less() {
    use Outcome::{Answered, Refused, Silence};
    let cases = [
        (Phase::Enforce, "allow", Answered, Some("allow"), true),
        (Phase::Enforce, "deny", Silence, Some("deny"), true),
        (Phase::Audit, "deny", Answered, Some("audit"), true),
        // dropped although allowed; let through although denied
        (Phase::Enforce, "allow", Silence, Some("allow"), false),
        (Phase::Enforce, "deny", Answered, Some("deny"), false),
        (Phase::Audit, "deny", Silence, Some("audit"), false),
        // not reported, or otherwise than it was
        (Phase::Enforce, "deny", Silence, None, false),
        (Phase::Enforce, "deny", Silence, Some("audit"), false),
        (Phase::Audit, "deny", Answered, Some("allow"), false),
        // the packet arrived, but nobody listened: that shows nothing
        (Phase::Enforce, "allow", Refused, Some("allow"), false),
    ];
    for (phase, policy, outcome, action, agrees) in cases {
        let case = format!("{phase:?} {policy} {outcome} {action:?}");
        let Some(result) = result(Kind::New, policy, outcome, action) else {
            return;
        };
        assert_eq!(result.disagreements(phase).is_empty(), agrees, "{case}");
        assert_eq!(result.complaint(phase).is_none(), agrees, "{case}");
    }
}

#[test]
fn an_answer_passes_although_policy_would_deny_it() {
    let result = |policy| result(Kind::Answer, policy, Outcome::Answered, Some("allow"));
    let Some(good) = result("deny") else { return };
    assert!(good.disagreements(Phase::Enforce).is_empty());
    let Some(pointless) = result("allow") else {
        return;
    };
    assert!(!pointless.disagreements(Phase::Enforce).is_empty());
}
