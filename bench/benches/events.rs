//! What events cost a dropped packet, at a million drops a second on one CPU; and what it
//! costs to know that a packet which is allowed begins nothing.
//!
//! `BPF_PROG_TEST_RUN` drops many times as many. Events are limited by time, so at that speed
//! hardly any packet is reported; the limit is raised by as much as the packets are faster than
//! a million a second, and the same share of packets is reported as there. Another thread
//! reads, as the daemon does. It is the program alone: what receiving costs beside it would
//! make the growth smaller.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::machine::Machine;
use bench::statistics::Summary;
use bench::{NODE, frame, plan, rules, syn};
use fw_ctl::datapath::frame::{ACK, Payload};
use fw_ctl::datapath::{EVENT_LIMIT, EventReader, Hook, TestRun};
use fw_ctl::inventory::Identities;
use fw_ctl::policy::rules::{ServiceRange, Services};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const STRANGER: [u8; 4] = [203, 0, 113, 9];
/// Packets of a sample: about a tenth of a second.
const SAMPLE: u32 = 2_000_000;
const ROUNDS: usize = 25;
/// Packets a second that the share of reported ones is to be that of.
const SPEED: f64 = 1e6;
/// Percent by which a drop may become slower at that share; the median of the rounds.
const TOLERATED: f64 = 10.0;

fn main() {
    let mut run = match TestRun::new() {
        Ok(run) => run,
        Err(why) => {
            anstream::println!("skipped: {why}");
            return;
        }
    };
    let machine = Machine::here();
    anstream::println!(
        "{} {} Linux {} {} load {:.2} commit {}",
        machine.date,
        machine.cpu,
        machine.kernel,
        machine.mitigations,
        machine.load,
        machine.commit
    );
    run.set_local(&[NODE.into()].into())
        .expect("the kernel takes addresses");
    let told = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let events = run.take_events().expect("nobody has it");
    let reader = {
        let (told, stop) = (Arc::clone(&told), Arc::clone(&stop));
        thread::spawn(move || read(events, &told, &stop))
    };
    let mut growths = Vec::new();
    for (hook, name) in [(Hook::Xdp, "xdp"), (Hook::TcIngress, "tc")] {
        growths.push((name, compare(&mut run, hook, name, &told)));
        go_on(&mut run, hook, name);
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("it only reads");
    let mut is_slow = false;
    for (name, growth) in growths {
        if growth > TOLERATED {
            is_slow = true;
            anstream::eprintln!("{name}: events cost a drop {growth:+.1} %, more than {TOLERATED}");
        }
    }
    if is_slow {
        std::process::exit(1);
    }
}

fn read(mut events: EventReader, told: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut wait = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
        poll(&mut wait, PollTimeout::from(50_u8)).expect("the kernel waits");
        while events.next_event().expect("they are ours").is_some() {
            told.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns by how many percent a drop is slower at the share of a million a second.
fn compare(run: &mut TestRun, hook: Hook, name: &str, told: &AtomicU64) -> f64 {
    let plan = plan(&rules(1_000), &Identities::default());
    let frame = syn(STRANGER, 22);
    let mut sample = |limit: u32| {
        run.install_reporting(&plan, limit).expect("the plan fits");
        // The next window, and warm caches.
        run.measure(hook, &frame, SAMPLE.into())
            .expect("the program runs");
        let (before, began) = (told.load(Ordering::Relaxed), Instant::now());
        run.measure(hook, &frame, SAMPLE.into())
            .expect("the program runs");
        let took = began.elapsed();
        thread::sleep(Duration::from_millis(60));
        let events = told.load(Ordering::Relaxed) - before;
        let events = u32::try_from(events).expect("fewer than packets");
        (took.as_secs_f64() * 1e9 / f64::from(SAMPLE), events)
    };
    let (silent, _) = sample(0);
    let faster = 1e9 / silent / SPEED;
    let scaled = (f64::from(EVENT_LIMIT) * faster).round() as u32;
    anstream::println!("{name}: {silent:.1} ns a drop, {faster:.1} times {SPEED:.0} a second");
    anstream::println!(
        "{name}: limits 0, {EVENT_LIMIT} (as it is) and {scaled} (the share of a million a second)"
    );
    anstream::println!("{name} round  none/ns  as-is/ns  events  million/ns  events  in 100,000");
    let mut growth = Vec::new();
    let mut growth_as_is = Vec::new();
    for round in 0..ROUNDS {
        let (none, no_events) = sample(0);
        assert_eq!(no_events, 0, "nothing is reported");
        let (as_is, few) = sample(EVENT_LIMIT);
        let (million, many) = sample(scaled);
        let share = 1e5 * f64::from(many) / f64::from(SAMPLE);
        anstream::println!(
            "{name} {round:5} {none:8.2} {as_is:9.2} {few:7} {million:11.2} {many:7} {share:11.1}"
        );
        growth.push(100.0 * (million / none - 1.0));
        growth_as_is.push(100.0 * (as_is / none - 1.0));
    }
    let say = |what: &str, growth: Vec<f64>| {
        let summary = Summary::of(growth).expect("there are rounds");
        anstream::println!(
            "{name}: a drop costs {:+.1} % ({:+.1} to {:+.1}) with events, {what}",
            summary.median,
            summary.min,
            summary.max
        );
        summary.median
    };
    say("as it is", growth_as_is);
    say("at a million a second", growth)
}

/// A datagram of a flow that was reported beside a packet of TCP in the middle: by rules
/// that say the same of both.
fn go_on(run: &mut TestRun, hook: Hook, name: &str) {
    let mut rules = rules(1_000);
    for rule in &mut rules.directions[0].rules {
        if let Services::Only(services) = &mut rule.services {
            services.push(ServiceRange::Ports {
                protocol: 17,
                first: 22,
                last: 22,
            });
        }
    }
    let plan = plan(&rules, &Identities::default());
    run.install_reporting(&plan, EVENT_LIMIT)
        .expect("the plan fits");
    let (source, destination) = (40_000, 22);
    let admitted = [10, 0, 3, 1];
    let segment = Payload::Tcp {
        source,
        destination,
        flags: ACK,
    };
    let segment = frame(admitted, segment);
    let datagram = frame(
        admitted,
        Payload::Udp {
            source,
            destination,
        },
    );
    let mut sample = |frame: &[u8]| {
        let took = run.measure(hook, frame, SAMPLE.into());
        took.expect("the program runs").as_secs_f64() * 1e9 / f64::from(SAMPLE)
    };
    let (mut segments, mut datagrams) = (Vec::new(), Vec::new());
    anstream::println!("{name} round  segment/ns  datagram/ns");
    for round in 0..ROUNDS {
        let (one, other) = (sample(&segment), sample(&datagram));
        anstream::println!("{name} {round:5} {one:11.2} {other:12.2}");
        segments.push(one);
        datagrams.push(other);
    }
    for (what, costs) in [
        ("a segment of TCP", segments),
        ("a datagram that begins nothing", datagrams),
    ] {
        let summary = Summary::of(costs).expect("there are rounds");
        anstream::println!(
            "{name}: {what} costs {:.1} ns ({:.1} to {:.1})",
            summary.median,
            summary.min,
            summary.max
        );
    }
}
