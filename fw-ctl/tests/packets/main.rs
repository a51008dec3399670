//! The packet table: described packets, the verdict and the exact counters that
//! move, on the model, on XDP, on TC, and on TC without an Ethernet header.
//!
//! Each scenario is a sequence, so that connections and fragments can be told.
//! `scenarios` is the specification; a bug gets a row named after it.
#![allow(
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "the table is one list, and a skipped target is printed"
)]

mod frames;
mod hostile;
mod plan;
mod random;
mod scenarios;
mod targets;

use fw_common::wire::{Action, Counter, Direction, DropReason, RuleTally};
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::{Hook, Outcome, Verdict};

use scenarios::{Scenario, Step, Way};
use targets::Target;

#[test]
fn every_scenario_on_every_target() {
    let mut targets = targets::all();
    targets.extend(targets::headerless());
    let mut failures = Vec::new();
    let mut steps = 0;
    for scenario in scenarios::all() {
        for target in &mut targets {
            let mut frames = scenario.steps.iter().map(|step| &step.frame);
            if !frames.all(|frame| frame.is_empty() || target.sees(frame)) {
                continue;
            }
            steps += scenario.steps.len();
            if let Err(failure) = play(&scenario, target.as_mut()) {
                failures.push(format!("{} on {}: {failure}", scenario.name, target.name()));
            }
        }
    }
    assert!(steps > 100, "only {steps} steps were played");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn play(scenario: &Scenario, target: &mut dyn Target) -> Result<(), String> {
    let plan = |mode| Plan {
        builtins: scenario.builtins,
        ..plan::plan(mode)
    };
    let mut present = plan(scenario.mode);
    target.begin(&present, &plan::local());
    for (index, step) in scenario.steps.iter().enumerate() {
        if let Way::Reload(mode) = step.way {
            present = plan(mode);
            target.reload(&present);
            continue;
        }
        if let Way::Amend(singles) = step.way {
            let old = std::mem::replace(&mut present, plan::amended(scenario.mode, singles));
            target.amend(&old, &present);
            continue;
        }
        if let Way::Ban(address, until) = &step.way {
            target.ban(address.parse().expect("an address"), until);
            continue;
        }
        if let Way::Wait = step.way {
            target.wait();
            continue;
        }
        let hook = match step.way {
            Way::In => target.ingress(),
            Way::Out => Hook::TcEgress,
            Way::Forwarded | Way::Reload(_) | Way::Amend(_) | Way::Ban(..) | Way::Wait => {
                Hook::TcEgressForwarded
            }
        };
        let before = target.rules(present.rules.len());
        let Some(outcome) = target.run(hook, &step.frame) else {
            continue;
        };
        let rules = moved(&before, &target.rules(present.rules.len()));
        let bytes = target.counted(&step.frame);
        check(step, hook.direction(), &outcome, bytes)
            .and_then(|()| check_rules(step, &rules, bytes))
            .map_err(|why| format!("step {} ({}): {why}; {outcome:?}", index + 1, step.what))?;
    }
    Ok(())
}

/// Rules whose counters moved, and by how much.
fn moved(before: &[RuleTally], after: &[RuleTally]) -> Vec<(u16, RuleTally)> {
    (0..)
        .zip(before.iter().zip(after))
        .filter(|(_, (before, after))| before != after)
        .map(|(rule, (before, after))| {
            let moved = RuleTally {
                packets: after.packets - before.packets,
                bytes: after.bytes - before.bytes,
                limited: after.limited - before.limited,
            };
            (rule, moved)
        })
        .collect()
}

/// One rule counts what it decides; what is beyond its limit apart.
fn check_rules(step: &Step, moved: &[(u16, RuleTally)], bytes: u64) -> Result<(), String> {
    let decided = RuleTally {
        packets: 1,
        bytes,
        limited: 0,
    };
    let beyond = RuleTally {
        limited: 1,
        ..RuleTally::default()
    };
    let wanted = match step.expect {
        Counter::Allowed | Counter::Failsafe => vec![(step.rule, decided)],
        Counter::Dropped(reason) | Counter::Audited(reason) if !reason.is_policy() => vec![],
        Counter::Dropped(DropReason::RateLimited) | Counter::Audited(DropReason::RateLimited) => {
            vec![(step.rule, beyond)]
        }
        Counter::Dropped(_) | Counter::Audited(_) => vec![(step.rule, decided)],
        _ => vec![],
    };
    if moved != wanted {
        return Err(format!("rules counted {moved:?} instead of {wanted:?}"));
    }
    Ok(())
}

fn check(step: &Step, direction: Direction, outcome: &Outcome, bytes: u64) -> Result<(), String> {
    let expected = match step.expect {
        Counter::Dropped(_) => Verdict::Drop,
        _ => Verdict::Pass,
    };
    if outcome.verdict != expected {
        return Err(format!("verdict {:?}", outcome.verdict));
    }
    let [(moved_direction, counter, tally)] = outcome.moved[..] else {
        return Err(format!("{} counters moved", outcome.moved.len()));
    };
    if (moved_direction, counter) != (direction, step.expect) {
        return Err(format!(
            "counter {} instead of {}",
            counter.name(),
            step.expect.name()
        ));
    }
    if (tally.packets, tally.bytes) != (1, bytes) {
        return Err(format!(
            "{} packets, {} bytes counted",
            tally.packets, tally.bytes
        ));
    }
    let reported = outcome
        .event
        .as_ref()
        .map(|event| (event.action, event.rule, event.vlan));
    let action = match step.expect {
        Counter::Dropped(_) => Some(Action::Deny),
        Counter::Audited(_) if step.begins => Some(Action::Audit),
        Counter::Allowed | Counter::Failsafe if step.begins => Some(Action::Allow),
        _ => None,
    };
    let wanted = action.map(|action| (action as u8, step.rule, step.vlan));
    if reported != wanted {
        return Err(format!("reported {reported:?} instead of {wanted:?}"));
    }
    Ok(())
}
