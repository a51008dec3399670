//! Readings of one thing after another.

use super::*;
use crate::observe::Message;
use crate::observe::text::tests::record;

fn counter(name: &str, packets: u64) -> CounterStatus {
    CounterStatus {
        direction: "ingress".into(),
        name: name.into(),
        packets,
        bytes: packets.wrapping_mul(60),
    }
}

fn rule(id: usize, packets: u64, limited: Option<u64>) -> RuleStatus {
    RuleStatus {
        id,
        direction: "ingress".into(),
        verdict: "allow".into(),
        rate: limited.map(|_| "5/m burst 5".to_owned()),
        vlans: None,
        policy: "web".into(),
        rule: format!("ingress[{id}]"),
        origin: "web.yaml:9".into(),
        packets,
        bytes: packets.wrapping_mul(60),
        limited,
        since: "2026-11-22T00:00:00Z".into(),
        last_hit: None,
    }
}

/// At `seconds`, of plan `generation`: what the first rule and its counter say.
fn reading(seconds: u64, generation: u64, packets: u64) -> News {
    reading_of(
        seconds,
        generation,
        vec![rule(0, packets, None)],
        vec![counter("allowed", packets)],
    )
}

fn reading_of(
    seconds: u64,
    generation: u64,
    rules: Vec<RuleStatus>,
    counters: Vec<CounterStatus>,
) -> News {
    News::Reading(Box::new(Reading {
        at: Duration::from_secs(seconds),
        time: 1_795_233_983 + seconds,
        rules: Rules {
            schema: 1,
            generation,
            rules,
            node: "node1".into(),
            mode: "enforce".into(),
            counters,
            lost_events: 10 * seconds,
        },
    }))
}

fn flow(change: impl FnOnce(&mut Record)) -> Flow {
    let mut record = record();
    change(&mut record);
    let message = record.messages()[0];
    Flow {
        message,
        record: Arc::new(record),
    }
}

fn heard(change: impl FnOnce(&mut Record)) -> News {
    News::Flow {
        flow: flow(change),
        is_past: false,
    }
}

fn gone() -> News {
    News::Unanswered(Failure::new(exit::UNREACHABLE, "nobody listens").help("start it"))
}

/// Rates of the first rule and of its counter.
fn rates(state: &State) -> (Option<f64>, Option<f64>) {
    let view = state.view();
    (
        view.rules[0].rate.packets_per_second,
        view.reasons[0].rate.packets_per_second,
    )
}

fn after(news: impl IntoIterator<Item = News>) -> State {
    let mut state = State::default();
    for news in news {
        state.take(news);
    }
    state
}

#[test]
fn a_rate_is_what_was_gained_between_two_readings() {
    let mut state = after([reading(0, 1, 100)]);
    assert_eq!(rates(&state), (None, None));
    assert_eq!(state.view().seconds, None);
    state.take(reading(2, 1, 150));
    assert_eq!(rates(&state), (Some(25.0), Some(25.0)));
    let view = state.view();
    assert_eq!(view.rules[0].rate.bytes_per_second, Some(1_500.0));
    assert_eq!(view.seconds, Some(2.0));
    assert_eq!(view.unreported_per_second, Some(10.0));
    assert_eq!(view.time, "2026-11-21T04:06:25Z");
    state.take(reading(6, 1, 150));
    assert_eq!(rates(&state), (Some(0.0), Some(0.0)));
}

#[test]
fn another_plan_is_not_compared_with_the_one_before() {
    let mut state = after([reading(0, 1, 1_000), reading(2, 2, 5_000)]);
    // The rule is another one, the counters of the node are the same.
    assert_eq!(rates(&state), (None, Some(2_000.0)));
    state.take(reading(4, 2, 5_010));
    assert_eq!(rates(&state), (Some(5.0), Some(5.0)));
    // Back to the first one, as after a trial.
    state.take(reading(6, 1, 9_999));
    assert_eq!(rates(&state).0, None);
}

#[test]
fn counters_that_begin_anew_or_wrap_have_no_rate_once() {
    for before in [1_000, u64::MAX] {
        let mut state = after([reading(0, 1, before), reading(2, 1, 10)]);
        assert_eq!(rates(&state), (None, None), "{before}");
        let view = state.view();
        assert_eq!(view.rules[0].rate.bytes_per_second, None);
        state.take(reading(4, 1, 30));
        assert_eq!(rates(&state), (Some(10.0), Some(10.0)));
    }
}

#[test]
fn a_counter_that_moves_for_the_first_time_was_zero() {
    let rules = || vec![rule(0, 0, None)];
    let state = after([
        reading_of(0, 1, rules(), Vec::new()),
        reading_of(2, 1, rules(), vec![counter("dropped/default-deny", 8)]),
    ]);
    assert_eq!(rates(&state), (Some(0.0), Some(4.0)));
}

#[test]
fn what_is_beyond_a_limit_has_a_rate_of_its_own() {
    let rules = |packets, limited| vec![rule(0, packets, Some(limited)), rule(1, packets, None)];
    let state = after([
        reading_of(0, 1, rules(10, 100), Vec::new()),
        reading_of(2, 1, rules(20, 300), Vec::new()),
    ]);
    let limited: Vec<_> = state
        .view()
        .rules
        .iter()
        .map(|rule| rule.limited_per_second)
        .collect();
    assert_eq!(limited, [Some(100.0), None]);
}

#[test]
fn a_daemon_that_was_gone_is_not_compared_with_the_one_that_is_back() {
    let mut state = after([reading(0, 1, 100), reading(2, 1, 200), gone()]);
    assert_eq!(rates(&state), (None, None));
    assert_eq!(
        state.view().trouble.as_deref(),
        Some("daemon gone, trying again: nobody listens (try: start it)")
    );
    state.take(reading(60, 1, 90_000));
    assert_eq!(rates(&state), (None, None));
    assert_eq!(state.view().trouble, None);
    state.take(reading(62, 1, 90_010));
    assert_eq!(rates(&state), (Some(5.0), Some(5.0)));
    state.take(News::Unanswered(Failure::new(exit::NEGATIVE, "no plan")));
    let trouble = state.view().trouble.as_deref();
    assert_eq!(trouble, Some("no counters, trying again: no plan"));
}

/// It may have come back between two readings.
#[test]
fn a_daemon_that_hung_up_is_not_compared_with_the_next_one() {
    let deaf = || News::Deaf(Failure::new(exit::UNREACHABLE, "hung up"));
    let mut state = after([News::Heard, reading(0, 1, 100), deaf(), reading(2, 1, 900)]);
    assert_eq!(rates(&state), (None, None));
    // Where there is no room for one more that listens, there are counters all the same.
    state.take(deaf());
    state.take(reading(4, 1, 910));
    assert_eq!(rates(&state), (Some(5.0), Some(5.0)));
}

#[test]
fn readings_that_come_together_are_one() {
    let mut state = after([reading(0, 1, 100), reading(2, 1, 200)]);
    state.take(reading(2, 1, 100_000));
    assert_eq!(rates(&state), (Some(50.0), Some(50.0)));
    state.take(reading(4, 1, 210));
    assert_eq!(rates(&state), (Some(5.0), Some(5.0)));
}

#[test]
fn flows_are_counted_once_by_source_port_and_interface() {
    let mut state = after([News::Heard, reading(0, 1, 0)]);
    for _ in 0..3 {
        let deny = |record: &mut Record| record.told = Told::Deny;
        state.take(heard(deny));
        // The second message about the same packet.
        let mut second = flow(deny);
        second.message = Message::Drop;
        state.take(News::Flow {
            flow: second,
            is_past: false,
        });
    }
    state.take(heard(|record| {
        (record.told, record.reason) = (Told::Allow, None);
    }));
    state.take(reading(2, 1, 0));
    let view = state.view();
    let source = &view.sources[0];
    assert_eq!(source.name, "10.0.2.2");
    assert_eq!(source.identity, "world");
    assert_eq!((source.denied, source.new), (3, 1));
    assert_eq!(source.denied_per_second, Some(1.5));
    assert_eq!(source.new_per_second, Some(0.5));
    assert_eq!(view.ports[0].name, "tcp/6443");
    assert_eq!(view.interfaces[0].name, "eth0");
    assert_eq!(view.drops.len(), 3);
    state.take(reading(4, 1, 0));
    let source = &state.view().sources[0];
    assert_eq!((source.denied, source.denied_per_second), (3, Some(0.0)));
}

#[test]
fn the_past_is_shown_and_is_part_of_no_rate() {
    let mut state = after([News::Heard]);
    state.take(News::Flow {
        flow: flow(|_| ()),
        is_past: true,
    });
    state.take(reading(0, 1, 0));
    state.take(reading(2, 1, 0));
    let view = state.view();
    assert!(view.sources.is_empty());
    let drop = &view.drops[0];
    assert!(drop.audited);
    assert_eq!(drop.reason, "default-deny");
    assert_eq!((&*drop.policy, &*drop.rule), ("host-all", "default-deny"));
    assert_eq!(drop.source, "10.0.2.2:47500");
}

#[test]
fn where_nobody_listened_all_the_time_there_is_no_rate() {
    let mut state = after([reading(0, 1, 0), News::Heard, heard(|_| ())]);
    let new = |state: &State| state.view().sources[0].denied_per_second;
    state.take(reading(2, 1, 0));
    assert_eq!(new(&state), None, "it began in between");
    state.take(reading(4, 1, 0));
    assert_eq!(new(&state), Some(0.0));
    state.take(News::Deaf(Failure::new(exit::UNREACHABLE, "full")));
    assert!(state.view().deaf.as_deref().unwrap().ends_with("full"));
    state.take(News::Heard);
    state.take(reading(6, 1, 0));
    assert_eq!(new(&state), None, "it was gone in between");
    state.take(reading(8, 1, 0));
    assert_eq!(new(&state), Some(0.0));
    assert_eq!(state.view().deaf, None);
}

#[test]
fn what_grows_is_bounded() {
    let mut state = after([News::Heard, reading(0, 1, 0)]);
    for number in 0..5_000_u32 {
        state.take(heard(|record| {
            record.source.address = IpAddr::from(number.to_be_bytes());
            record.destination.port = number as u16;
            record.interface = "".into();
            record.ifindex = number;
        }));
    }
    state.take(News::Missed(7));
    state.take(reading(1, 1, 0));
    let view = state.view();
    for (rows, room) in [
        (&view.sources, SOURCES),
        (&view.ports, SOURCES),
        (&view.interfaces, INTERFACES),
    ] {
        assert_eq!(rows.len(), room + 1);
        assert!(rows[room].others);
        let denied: u64 = rows.iter().map(|row| row.denied).sum();
        assert_eq!(denied, 5_000);
    }
    assert_eq!(view.drops.len(), DROPS);
    assert_eq!(view.missed, 7);
}

#[test]
fn names_of_ports() {
    let name = |change: fn(&mut Record)| port(&flow(change).record);
    assert_eq!(name(|_| ()), "tcp/6443");
    assert_eq!(name(|record| record.protocol = 17), "udp/6443");
    let echo = |record: &mut Record| (record.protocol, record.icmp_type) = (1, 8);
    assert_eq!(name(echo), "icmp/EchoRequest");
    assert_eq!(name(|record| record.protocol = 112), "vrrp");
    assert_eq!(name(|record| record.protocol = 200), "200");
    assert_eq!(name(|record| record.family = 0), "unreadable");
}

#[test]
fn nothing_that_is_told_moves_the_cursor() {
    let mut evil = rule(0, 1, None);
    evil.policy = "web\x1b[2J".into();
    let state = after([reading_of(0, 1, vec![evil], vec![counter("a\nb", 1)])]);
    assert_eq!(state.view().rules[0].policy, "web [2J");
    assert_eq!(state.view().reasons[0].reason, "a b");
}
