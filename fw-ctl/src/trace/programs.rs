//! What the programs in the kernel say of a packet, held against what the plan says.

use serde::{Deserialize, Serialize};

use super::Decision;
use crate::compile::plan::{Mode, Plan, PlanRule};
use crate::datapath::{Answer, Said, Verdict};

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// Those of the packet's direction.
    pub answers: Vec<Program>,
    /// Whether all of them do what the trace says.
    pub agree: bool,
}

/// What one of them says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// `XDP`, `TC ingress` or `TC egress`.
    pub name: String,
    /// `pass` or `drop`.
    pub verdict: String,
    /// In words, with the rule.
    pub said: String,
}

impl Programs {
    /// A line for each thing that is said, with those who say it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<(Vec<&str>, &str)> = Vec::new();
        for answer in &self.answers {
            match lines.iter_mut().find(|(_, said)| *said == answer.said) {
                Some((names, _)) => names.push(&answer.name),
                None => lines.push((vec![&answer.name], &answer.said)),
            }
        }
        lines
            .into_iter()
            .map(|(names, said)| format!("{}: it {said}", names.join(" and ")))
            .collect()
    }
}

/// Compares their answers with the decision by `plan`; `None` if there is nothing to ask them.
#[must_use]
pub fn compare(plan: &Plan, decision: Decision, answers: &[Answer]) -> Option<Programs> {
    let enforces = plan.mode == Mode::Enforce;
    let expected = match decision {
        Decision::NotJudged | Decision::Banned => return None,
        Decision::Builtin => Said::UNASKED,
        Decision::Rule(word) => Said::by_word(word, enforces),
    };
    let told = answers.iter().map(|answer| Program {
        name: answer.hook.name().to_owned(),
        verdict: match answer.said.verdict {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
        }
        .to_owned(),
        said: described(answer.said, &plan.rules),
    });
    Some(Programs {
        answers: told.collect(),
        agree: answers.iter().all(|answer| answer.said == expected),
    })
}

/// With the line that says so, where there is one.
fn described(said: Said, rules: &[PlanRule]) -> String {
    let rule = said
        .decided
        .and_then(|(_, rule)| rules.get(usize::from(rule)));
    match rule.filter(|rule| !rule.origin.is_empty()) {
        Some(rule) => format!("{} ({})", said.describe(rules), rule.origin),
        None => said.describe(rules),
    }
}

#[cfg(test)]
mod tests {
    use fw_common::wire::{Action, VerdictWord};

    use super::*;
    use crate::compile::{Enforcement, Options, compile};
    use crate::datapath::Hook;
    use crate::inventory::Identities;
    use crate::policy::rules::{CidrMatchMode, RuleSet};

    fn plan(mode: Mode) -> Plan {
        let options = Options {
            mode,
            builtins: 0,
            enforcement: Enforcement::Default,
            cidr_match_mode: CidrMatchMode::World,
            failsafe: vec![],
            vlans: None,
        };
        let mut plan = compile(&RuleSet::default(), &Identities::new([]), &options).unwrap();
        plan.rules.push(PlanRule {
            policy: "web".into(),
            rule: "ingress[0]".into(),
            origin: "web.yaml:9".into(),
            ..plan.rules[0].clone()
        });
        plan
    }

    fn answers(verdict: Verdict, decided: Option<(Action, u16)>) -> Vec<Answer> {
        let decided = decided.map(|(action, rule)| (action as u8, rule));
        let said = Said { verdict, decided };
        [Hook::Xdp, Hook::TcIngress]
            .map(|hook| Answer { hook, said })
            .to_vec()
    }

    #[test]
    fn what_does_the_same_is_said_once_and_with_the_line() {
        let plan = plan(Mode::Enforce);
        let rule = u16::try_from(plan.rules.len() - 1).unwrap();
        let allowed = Decision::Rule(VerdictWord::allow(rule));
        let mut said = answers(Verdict::Pass, Some((Action::Allow, rule)));
        let programs = compare(&plan, allowed, &said).unwrap();
        assert!(programs.agree);
        let text = format!("it passes by rule {rule} (web ingress[0]) (web.yaml:9)");
        assert_eq!(programs.lines(), [format!("XDP and TC ingress: {text}")]);

        said[1] = answers(Verdict::Pass, None)[1];
        let programs = compare(&plan, allowed, &said).unwrap();
        assert!(!programs.agree, "one of them asks no rule");
        let expected = [
            format!("XDP: {text}"),
            "TC ingress: it passes, by no rule".to_owned(),
        ];
        assert_eq!(programs.lines(), expected);
    }

    #[test]
    fn the_verdict_the_rule_and_what_the_mode_makes_of_it_must_agree() {
        let plan = |mode| {
            (
                plan(mode),
                u16::try_from(plan(mode).rules.len() - 1).unwrap(),
            )
        };
        let (enforce, rule) = plan(Mode::Enforce);
        let (audit, _) = plan(Mode::Audit);
        let denied = Decision::Rule(VerdictWord::deny(rule));
        let drop = answers(Verdict::Drop, Some((Action::Deny, rule)));
        let audited = answers(Verdict::Pass, Some((Action::Audit, rule)));
        let other = answers(Verdict::Drop, Some((Action::Deny, rule - 1)));
        let silent = answers(Verdict::Pass, None);
        for (plan, decision, said, agree) in [
            (&enforce, denied, &drop, true),
            (&enforce, denied, &audited, false),
            (&enforce, denied, &other, false),
            (&enforce, denied, &silent, false),
            (&audit, denied, &audited, true),
            (&audit, denied, &drop, false),
            (&audit, denied, &silent, false),
            (&enforce, Decision::Builtin, &silent, true),
            (&enforce, Decision::Builtin, &drop, false),
        ] {
            let programs = compare(plan, decision, said).unwrap();
            assert_eq!(programs.agree, agree, "{decision:?} {programs:?}");
        }
        let lines = compare(&audit, denied, &audited).unwrap().lines();
        assert!(
            lines[0].contains("it passes as AUDITED by rule"),
            "{lines:?}"
        );
        for decision in [Decision::Banned, Decision::NotJudged] {
            assert_eq!(compare(&enforce, decision, &drop), None);
        }
    }
}
