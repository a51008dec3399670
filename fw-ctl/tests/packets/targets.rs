//! What the table is played on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fw_common::wire::{BAN_FOR_GOOD, Counter, Direction, Event, RuleTally, Tally};
use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::{Hook, ModelRun, Outcome, TestRun, Verdict};
use fw_ctl::netlink::LocalAddresses;

use crate::scenarios::Until;

/// The model's clock, in seconds; the kernel's is later than its first nanosecond, too.
const NOW: u32 = 1_000;

fn deadline(until: &Until) -> u64 {
    match until {
        Until::Never => BAN_FOR_GOOD,
        Until::Passed => 1,
        Until::Later => u64::MAX,
    }
}

/// What a run is seen to do without asking for counters.
pub type Glance = (Verdict, Option<Event>);

/// A datapath.
pub trait Target {
    /// For messages.
    fn name(&self) -> &'static str;
    /// The hook that judges ingress.
    fn ingress(&self) -> Hook;
    /// Installs a plan, with no memory of connections.
    fn begin(&mut self, plan: &Plan, local: &LocalAddresses);
    /// Installs another plan; connections stay.
    fn reload(&mut self, plan: &Plan);
    /// Replaces the plan by one that differs by the classes of few addresses.
    fn amend(&mut self, old: &Plan, plan: &Plan);
    /// Bans an address.
    fn ban(&mut self, address: IpAddr, until: &Until);
    /// Forgets connections, fragments and who has passed how much.
    fn forget(&mut self);
    /// Lets a second pass.
    fn wait(&mut self);
    /// Whether it can see what a step with this frame is about.
    fn sees(&self, _frame: &[u8]) -> bool {
        true
    }
    /// Bytes that it counts for a frame.
    fn counted(&self, frame: &[u8]) -> u64 {
        frame.len() as u64
    }
    /// Judges; `None` if the target cannot be given such a frame.
    fn run(&mut self, hook: Hook, frame: &[u8]) -> Option<Outcome>;
    /// The same in a hurry: counters are asked for after many frames.
    fn glance(&mut self, hook: Hook, frame: &[u8]) -> Option<Glance> {
        self.run(hook, frame)
            .map(|outcome| (outcome.verdict, outcome.event))
    }
    /// What all runs together have counted, in any order.
    fn counters(&self) -> Vec<(Direction, Counter, Tally)>;
    /// What the first so many rules of the plan decided.
    fn rules(&self, count: usize) -> Vec<RuleTally>;
}

/// The model, which forgets what it has counted with every run.
#[derive(Default)]
pub struct Model {
    run: ModelRun,
    counted: BTreeMap<(Direction, Counter), Tally>,
}

impl Target for Model {
    fn name(&self) -> &'static str {
        "model"
    }
    fn ingress(&self) -> Hook {
        Hook::Xdp
    }
    fn begin(&mut self, plan: &Plan, local: &LocalAddresses) {
        self.run.set_local(local);
        self.run.install(plan);
        self.run.forget();
        self.run.unban_all();
        self.run.set_clock(NOW);
    }
    fn amend(&mut self, old: &Plan, plan: &Plan) {
        assert!(self.run.amend(old, plan));
    }
    fn ban(&mut self, address: IpAddr, until: &Until) {
        self.run.ban(address, deadline(until));
    }
    fn forget(&mut self) {
        self.run.forget();
    }
    fn reload(&mut self, plan: &Plan) {
        self.run.install(plan);
    }
    fn wait(&mut self) {
        self.run.let_pass(1);
    }
    fn run(&mut self, hook: Hook, frame: &[u8]) -> Option<Outcome> {
        let outcome = self.run.run(hook, frame);
        for (direction, counter, tally) in &outcome.moved {
            let sum = self.counted.entry((*direction, *counter)).or_default();
            sum.packets += tally.packets;
            sum.bytes += tally.bytes;
        }
        Some(outcome)
    }
    fn counters(&self) -> Vec<(Direction, Counter, Tally)> {
        let counted = self.counted.iter();
        counted
            .map(|((direction, counter), tally)| (*direction, *counter, *tally))
            .collect()
    }
    fn rules(&self, count: usize) -> Vec<RuleTally> {
        self.run.rule_counters(count)
    }
}

struct Kernel {
    run: TestRun,
    ingress: Hook,
    name: &'static str,
}

impl Target for Kernel {
    fn name(&self) -> &'static str {
        self.name
    }
    fn ingress(&self) -> Hook {
        self.ingress
    }
    fn begin(&mut self, plan: &Plan, local: &LocalAddresses) {
        self.run.set_local(local).expect("local addresses");
        self.run.install(plan).expect("install");
        self.run.forget().expect("forget");
        self.run.unban_all().expect("unban");
    }
    fn amend(&mut self, old: &Plan, plan: &Plan) {
        assert!(self.run.amend(old, plan).expect("amend"));
    }
    fn ban(&mut self, address: IpAddr, until: &Until) {
        self.run.ban(address, deadline(until)).expect("ban");
    }
    fn forget(&mut self) {
        self.run.forget().expect("forget");
    }
    fn reload(&mut self, plan: &Plan) {
        self.run.install(plan).expect("install");
    }
    fn wait(&mut self) {
        // And a tick of its clock more.
        std::thread::sleep(std::time::Duration::from_millis(1_010));
    }
    fn run(&mut self, hook: Hook, frame: &[u8]) -> Option<Outcome> {
        is_taken(hook, frame).then(|| self.run.run(hook, frame).expect("test run"))
    }
    fn glance(&mut self, hook: Hook, frame: &[u8]) -> Option<Glance> {
        is_taken(hook, frame).then(|| self.run.glance(hook, frame).expect("test run"))
    }
    fn counters(&self) -> Vec<(Direction, Counter, Tally)> {
        self.run.counters().expect("counters")
    }
    fn rules(&self, count: usize) -> Vec<RuleTally> {
        self.run.rule_counters(count).expect("counters of rules")
    }
}

/// Whether the kernel makes a test packet of the frame: none for TC whose IP header is
/// cut short.
fn is_taken(hook: Hook, frame: &[u8]) -> bool {
    let whole = if frame[12..14] == [0x86, 0xdd] {
        54
    } else {
        34
    };
    hook == Hook::Xdp || frame.len() >= whole
}

/// A target as it judges on an interface without an Ethernet header. That of the frames
/// stays behind: it only says what is in them.
struct Headerless<T: Target>(T);

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

impl<T: Target> Target for Headerless<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn ingress(&self) -> Hook {
        Hook::TcIngress
    }
    fn begin(&mut self, plan: &Plan, local: &LocalAddresses) {
        self.0.begin(plan, local);
    }
    fn reload(&mut self, plan: &Plan) {
        self.0.reload(plan);
    }
    fn amend(&mut self, old: &Plan, plan: &Plan) {
        self.0.amend(old, plan);
    }
    fn ban(&mut self, address: IpAddr, until: &Until) {
        self.0.ban(address, until);
    }
    fn forget(&mut self) {
        self.0.forget();
    }
    fn wait(&mut self) {
        self.0.wait();
    }
    /// Neither tags, ARP nor broadcasts are there, nor frames that end within the header.
    fn sees(&self, frame: &[u8]) -> bool {
        let is_of_ethernet = || matches!(frame[12..HEADER], [0x81, 0] | [0x88, 0xa8] | [8, 6]);
        frame.len() >= HEADER && frame[..6] != [0xff; 6] && !is_of_ethernet()
    }
    fn counted(&self, frame: &[u8]) -> u64 {
        (frame.len() - HEADER) as u64
    }
    fn run(&mut self, hook: Hook, frame: &[u8]) -> Option<Outcome> {
        self.0.run(hook, frame)
    }
    fn glance(&mut self, hook: Hook, frame: &[u8]) -> Option<Glance> {
        self.0.glance(hook, frame)
    }
    fn counters(&self) -> Vec<(Direction, Counter, Tally)> {
        self.0.counters()
    }
    fn rules(&self, count: usize) -> Vec<RuleTally> {
        self.0.rules(count)
    }
}

/// The model, and the kernel's programs where they may be loaded.
pub fn all() -> Vec<Box<dyn Target>> {
    let mut targets: Vec<Box<dyn Target>> = vec![Box::new(Model::default())];
    for (name, ingress) in [("xdp", Hook::Xdp), ("tc", Hook::TcIngress)] {
        if let Some(run) = kernel(name) {
            targets.push(Box::new(Kernel { run, ingress, name }));
        }
    }
    targets
}

/// The same two on an interface without an Ethernet header.
pub fn headerless() -> Vec<Box<dyn Target>> {
    let mut model = Model::default();
    model.run.set_headerless();
    let mut targets: Vec<Box<dyn Target>> = vec![Box::new(Headerless(model))];
    let name = "tc without an Ethernet header";
    if let Some(mut run) = kernel(name) {
        run.set_headerless();
        let ingress = Hook::TcIngress;
        targets.push(Box::new(Headerless(Kernel { run, ingress, name })));
    }
    targets
}

/// The kernel's programs, or a line why not.
fn kernel(name: &str) -> Option<TestRun> {
    match TestRun::new() {
        Ok(run) => Some(run),
        Err(why) if std::env::var_os("FW_KERNEL_TESTS").is_some_and(|v| v == "require") => {
            panic!("{name}: {why}")
        }
        Err(why) => {
            println!("skipped: {name}: {}", why.to_string().replace('\n', "; "));
            None
        }
    }
}
