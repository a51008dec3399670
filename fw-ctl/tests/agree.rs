//! Engines that must agree on every input: random policies, inventories and flows.

mod common;

use common::corpus::describe;
use common::engines::judge_with_all;
use common::scenario::{Scenario, scenarios};
use fw_ctl::engine::{Engine, Judgement};
use fw_ctl::reference::Reference;
use proptest::prelude::*;

/// Every engine must say what the reference says, to the rule that decides.
fn judge(scenario: &Scenario) -> Result<Vec<Judgement>, TestCaseError> {
    let context = scenario.context();
    let flows = scenario.read_flows(&context);
    let plan = context
        .plan()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let expected = judgements(&mut Reference::new(context), &flows)?;
    for (name, found) in judge_with_all(plan, &flows) {
        for ((flow, expected), found) in flows.iter().zip(&expected).zip(&found) {
            prop_assert_eq!(found, expected, "{}: {}", name, describe(flow));
        }
    }
    Ok(expected)
}

fn judgements(
    engine: &mut dyn Engine,
    flows: &[fw_ctl::engine::Flow],
) -> Result<Vec<Judgement>, TestCaseError> {
    engine
        .judge(flows)
        .map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(scenario in scenarios()) {
        judge(&scenario)?;
    }
}

/// Agreement on nothing but "no policy" would prove little.
#[test]
fn the_random_scenarios_reach_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..100 {
        let scenario = scenarios().new_tree(&mut runner).unwrap().current();
        for judgement in judge(&scenario).unwrap() {
            *seen.entry(judgement.reason.name()).or_default() += 1;
        }
    }
    for reason in [
        "default-deny",
        "deny-rule",
        "allow-rule",
        "default-allow",
        "no-policy",
        "failsafe",
    ] {
        assert!(
            seen.get(reason).is_some_and(|count| *count >= 10),
            "{seen:?}"
        );
    }
}
