//! The daemon's decisions, against a kernel of memory.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;

use fw_common::wire::{Counter, Direction, Tally, VerdictWord};

use super::*;
use crate::compile::plan::Plan;
use crate::compile::plan::{DirectionPlan, PlanRule};
use crate::config::{ModeSetting, Require, XdpSetting};
use crate::control::protocol::ModeChange;
use crate::daemon::{AttachedLink, Ingress, Inputs, Wish};
use crate::datapath::flows::Pressure;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::{Severity, Source};
use crate::exit;
use crate::inventory::Identities;
use crate::lists::Found;
use crate::lookup::Runs;
use crate::netlink::{Address, Link, LocalAddresses};
use crate::observe::Numbered;
use crate::policy::rules::{CidrMatchMode, RuleSet};

/// What the kernel keeps; shared by the daemons that come and go.
#[derive(Default)]
struct Pins {
    active: Option<InForce>,
    tables: [u8; 16],
    links: Vec<AttachedLink>,
    addresses: LocalAddresses,
    /// What was done, in order.
    log: Vec<String>,
    full: bool,
    /// So many of the next plans differ by few addresses from those before them.
    amendable: u32,
    /// Links that somebody has detached, by index.
    lost: BTreeSet<u32>,
    /// Somebody has removed the pins of the tables.
    unpinned: bool,
    bans: BTreeMap<IpAddr, u64>,
    foreign: Option<&'static str>,
    no_native: bool,
    pressure: Pressure,
}

#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Pins>>);

fn fake_hash(plan: &Plan) -> [u8; 16] {
    let mut hash = [0; 16];
    hash[0] = u8::from(plan.mode == Mode::Enforce) + 1;
    hash[1] = plan.rules[0].policy.len().try_into().unwrap();
    hash
}

/// As the service does it.
impl Firewall<Fake, FakeSources> {
    fn start(&mut self, network: Network) -> Result<Reloaded, Failure> {
        self.begin(network);
        self.reload()
    }

    fn reload(&mut self) -> Result<Reloaded, Failure> {
        let look = Look::take(&self.sources, &self.confirmed, self.refusal().as_ref());
        self.apply(look, true)
    }
}

impl Kernel for Fake {
    fn active(&self) -> Result<Option<InForce>, Failure> {
        Ok(self.0.borrow().active)
    }
    fn install(&mut self, plan: &Plan, number: u64) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the plan does not fit"));
        }
        let in_force = InForce {
            number,
            hash: fake_hash(plan),
            mode: plan.mode,
        };
        pins.active = Some(in_force);
        pins.tables = in_force.hash;
        pins.log.push(format!("install {number}"));
        Ok(in_force)
    }
    fn amend(&mut self, old: &Plan, plan: &Plan, number: u64) -> Result<Option<InForce>, Failure> {
        let mut pins = self.0.borrow_mut();
        let Some(left) = pins.amendable.checked_sub(1) else {
            return Ok(None);
        };
        pins.amendable = left;
        assert_eq!(pins.active.map(|active| active.hash), Some(fake_hash(old)));
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the table is full"));
        }
        let in_force = InForce {
            number,
            hash: fake_hash(plan),
            mode: plan.mode,
        };
        pins.active = Some(in_force);
        pins.tables = in_force.hash;
        pins.log.push(format!("amend {number}"));
        Ok(Some(in_force))
    }
    fn set_mode(&mut self, mode: Mode) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the tables cannot be written"));
        }
        let Some(active) = &mut pins.active else {
            return Err(Failure::new(exit::REFUSED, "no plan is in force"));
        };
        active.mode = mode;
        active.hash[0] = u8::from(mode == Mode::Enforce) + 1;
        let in_force = *active;
        pins.tables = in_force.hash;
        pins.log.push(format!("mode {mode:?}"));
        Ok(in_force)
    }
    fn read_back(&self) -> Result<[u8; 16], Failure> {
        Ok(self.0.borrow().tables)
    }
    fn hash(&self, plan: &Plan) -> [u8; 16] {
        fake_hash(plan)
    }
    fn set_local_addresses(&mut self, addresses: &LocalAddresses) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        pins.addresses = addresses.clone();
        pins.log.push("addresses".into());
        Ok(())
    }
    fn attach(&mut self, link: &Link, wish: &Wish) -> Result<AttachedLink, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.foreign == Some(link.name.as_str()) {
            return Err(Failure::new(
                exit::REFUSED,
                "interface eth0: XDP program 17 is attached already",
            )
            .help("remove it"));
        }
        let (ingress, why) = match wish {
            Wish::Auto | Wish::Native if pins.no_native => {
                (Ingress::Tc, "the driver has no XDP".to_owned())
            }
            Wish::Auto | Wish::Native => (Ingress::XdpNative, String::new()),
            Wish::Generic => (Ingress::XdpGeneric, String::new()),
            Wish::Tc(why) => (Ingress::Tc, why.clone()),
        };
        let attached = AttachedLink {
            index: link.index,
            name: link.name.clone(),
            ingress,
            why,
        };
        pins.links.retain(|old| old.index != link.index);
        pins.links.push(attached.clone());
        pins.lost.remove(&link.index);
        pins.log.push(format!("attach {}", link.name));
        Ok(attached)
    }
    fn attached(&self) -> Vec<AttachedLink> {
        self.0.borrow().links.clone()
    }
    fn lost(&self) -> Vec<(AttachedLink, String)> {
        let pins = self.0.borrow();
        let lost = pins.links.iter().filter(|l| pins.lost.contains(&l.index));
        lost.map(|link| (link.clone(), "its XDP program was detached".into()))
            .collect()
    }
    fn repin(&mut self) -> Result<bool, Failure> {
        let mut pins = self.0.borrow_mut();
        let unpinned = std::mem::take(&mut pins.unpinned);
        if unpinned {
            pins.log.push("repin".into());
        }
        Ok(unpinned)
    }
    fn detach(&mut self, index: u32) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        pins.links.retain(|link| link.index != index);
        pins.log.push(format!("detach {index}"));
        Ok(())
    }
    fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the table is full"));
        }
        pins.bans.insert(address, until);
        Ok(())
    }
    fn unban(&mut self, address: IpAddr) -> Result<(), Failure> {
        self.0.borrow_mut().bans.remove(&address);
        Ok(())
    }
    fn bans(&self) -> BTreeMap<IpAddr, u64> {
        self.0.borrow().bans.clone()
    }
    fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, Failure> {
        let tally = Tally {
            packets: 3,
            bytes: 180,
        };
        Ok(vec![
            (Direction::Ingress, Counter::Allowed, tally),
            (Direction::Egress, Counter::Allowed, Tally::default()),
        ])
    }
    fn rule_counters(&self, rules: usize) -> Result<Vec<Tally>, Failure> {
        Ok(vec![Tally::default(); rules])
    }
    fn lost_events(&self) -> Result<u64, Failure> {
        Ok(0)
    }
    fn pressure(&self) -> Result<Pressure, Failure> {
        Ok(self.0.borrow().pressure)
    }
}

/// Files that a test may change under the daemon.
#[derive(Default)]
struct Files {
    config: Config,
    policy: String,
    error: Option<&'static str>,
    lists: Vec<Found>,
    /// Texts that were compiled.
    compiled: Vec<String>,
}

#[derive(Clone, Default)]
struct FakeSources(Rc<RefCell<Files>>);

fn finding(message: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        source: Arc::new(Source {
            name: "a.yaml".into(),
            text: String::new(),
        }),
        span: None,
        path: String::new(),
        message: message.into(),
        label: None,
        help: None,
    }
}

impl Sources for FakeSources {
    fn config(&self) -> Result<Config, Vec<Diagnostic>> {
        Ok(self.0.borrow().config.clone())
    }
    fn read(&self, config: &Config) -> (Inputs, Vec<Diagnostic>) {
        let files = self.0.borrow();
        let policy = Source {
            name: "a.yaml".into(),
            text: files.policy.clone(),
        };
        let mut unreadable: Vec<_> = files.error.map(finding).into_iter().collect();
        let mut lists = Vec::new();
        for found in &files.lists {
            match &found.list {
                Ok(list) => lists.push(Arc::clone(list)),
                Err(errors) => unreadable.extend(errors.iter().cloned()),
            }
        }
        let inputs = Inputs {
            config: config.clone(),
            node: "n".into(),
            ssh_ports: BTreeSet::new(),
            policies: vec![Arc::new(policy)],
            inventory: vec![],
            lists,
            expired: 0,
        };
        (inputs, unreadable)
    }
    fn lists(&self, _config: &Config) -> Vec<Found> {
        self.0.borrow().lists.clone()
    }
    fn compile(&self, inputs: Arc<Inputs>, unreadable: Vec<Diagnostic>) -> Result<Compiled, Wrong> {
        let text = inputs.policies[0].text.clone();
        self.0.borrow_mut().compiled.push(text.clone());
        if !unreadable.is_empty() {
            return Err(Wrong::Files(unreadable));
        }
        if text == "wrong" || inputs.lists.iter().any(|list| list.name == "wrong") {
            return Err(Wrong::Files(vec![finding("wrong")]));
        }
        let direction = DirectionPlan {
            columns: 1,
            ports: [vec![], vec![], vec![]],
            icmp: [vec![], vec![]],
            protocols: vec![],
            cells: vec![VerdictWord::allow(0)],
        };
        Ok(Compiled {
            plan: Plan {
                mode: inputs.config.policy.mode.into(),
                builtins: 0,
                peers: Runs::of(&[]),
                rows: 1,
                directions: [direction.clone(), direction],
                rules: vec![PlanRule {
                    policy: inputs.policies[0].text.clone(),
                    rule: "ingress[0]".into(),
                    origin: "a.yaml:1".into(),
                    direction: None,
                    allow: true,
                    match_type: "all",
                    rate: None,
                }],
            },
            policies: 1,
            warnings: vec![],
            rules: RuleSet::default(),
            cidr_match_mode: CidrMatchMode::World,
            identities: Arc::new(Numbered::new(Identities::default())),
            node_addresses: BTreeSet::new(),
            inputs,
        })
    }
}

struct Fixture {
    kernel: Fake,
    files: FakeSources,
    state: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            kernel: Fake::default(),
            files: FakeSources::default(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// A daemon that has not started yet; the kernel outlives it.
    fn daemon(&self) -> Firewall<Fake, FakeSources> {
        let (names, _) = watch::channel(Arc::new(Names::new("default/n".into())));
        let mut config = self.files.0.borrow().config.clone();
        config.paths.state_dir = self.state.path().to_owned();
        Firewall::new(self.kernel.clone(), self.files.clone(), config, names)
    }

    fn break_files(&self, error: Option<&'static str>) {
        self.files.0.borrow_mut().error = error;
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.kernel.0.borrow_mut().log)
    }

    fn links(&self) -> Vec<String> {
        let pins = self.kernel.0.borrow();
        pins.links.iter().map(|link| link.name.clone()).collect()
    }
}

fn network(names: &[&str]) -> Network {
    let link = |(index, name): (usize, &&str)| Link {
        index: u32::try_from(index).unwrap() + 2,
        name: (*name).into(),
        ethernet: true,
        up: true,
        ..Link::default()
    };
    Network {
        links: names.iter().enumerate().map(link).collect(),
        addresses: vec![Address {
            link: 2,
            address: "10.0.0.1".parse().unwrap(),
            global: true,
        }],
        ..Network::default()
    }
}

#[path = "firewall_tests/bans.rs"]
mod bans;
#[path = "firewall_tests/guard.rs"]
mod guard;
#[path = "firewall_tests/interfaces.rs"]
mod interfaces;
#[path = "firewall_tests/lists.rs"]
mod lists;
#[path = "firewall_tests/outlasting.rs"]
mod outlasting;

#[test]
fn the_plan_is_in_force_before_the_first_link() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    let reloaded = daemon.start(network(&["eth0", "eth1"])).unwrap();
    assert_eq!(reloaded.generation, 1);
    assert_eq!(
        fixture.log(),
        [
            "addresses",
            "install 1",
            "addresses",
            "attach eth0",
            "attach eth1"
        ]
    );
    let status = daemon.status().unwrap();
    assert_eq!(status.degraded, [""; 0]);
    assert_eq!(
        (status.mode.as_str(), status.mode_source.as_str()),
        ("audit", "configuration")
    );
    let generation = status.generation;
    assert_eq!(generation.declared, generation.compiled);
    assert_eq!(generation.compiled, generation.kernel);
    assert_eq!(generation.kernel, generation.read_back);
    assert_eq!(
        status.counters.len(),
        1,
        "counters that never moved are left out"
    );
}

#[test]
fn a_wrong_change_is_refused_whole_and_told() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.break_files(Some("no such entity"));
    let failure = daemon.reload().unwrap_err();
    assert_eq!(
        (failure.exit, failure.message.as_str()),
        (
            exit::INVALID,
            "the change is refused, generation 1 stays in force: 1 error"
        )
    );
    assert!(failure.findings[0].contains("no such entity"));
    assert_eq!(fixture.log(), [""; 0], "nothing was touched");
    let status = daemon.status().unwrap();
    assert_eq!(status.degraded, ["a.yaml: no such entity"]);
    assert_eq!(status.generation.number, Some(1));
    assert_eq!(status.generation.declared, None);

    fixture.break_files(None);
    assert_eq!(daemon.reload().unwrap().generation, 2);
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
}

#[test]
fn a_plan_that_does_not_fit_leaves_the_old_one() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    fixture.files.0.borrow_mut().config.policy.mode = ModeSetting::Enforce;
    assert_eq!(daemon.reload().unwrap_err().exit, exit::REFUSED);
    let status = daemon.status().unwrap();
    assert_eq!(
        (status.generation.number, status.mode.as_str()),
        (Some(1), "audit")
    );
    assert_eq!(status.degraded, ["the plan does not fit"]);
}

#[test]
fn broken_policies_at_start_never_judge_by_nothing() {
    let fixture = Fixture::new();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert_eq!(fixture.links(), [""; 0]);
    let status = daemon.status().unwrap();
    assert_eq!(
        status.degraded,
        ["a.yaml: broken", "nothing is filtered: there is no plan"]
    );
    assert_eq!(status.mode, "none");
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert_eq!(fixture.links(), [""; 0]);
    let mode = daemon.set_mode(ModeChange::Enforce).unwrap();
    assert!(mode.warnings[0].starts_with("no plan is in force"));
    assert_eq!(mode.mode, "none");

    fixture.break_files(None);
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["eth0", "eth1"]);
    assert_eq!(daemon.mode().unwrap().mode, "enforce", "it was kept");
}

#[test]
fn broken_policies_at_start_keep_what_is_pinned() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap_err();
    assert_eq!(
        fixture.links(),
        ["eth0", "eth1"],
        "the pinned plan guards new links too"
    );
    let status = daemon.status().unwrap();
    assert_eq!(status.generation.number, Some(1));
    assert_eq!(status.degraded, ["a.yaml: broken"]);
    assert!(daemon.check());
}

#[test]
fn after_a_reboot_broken_files_leave_the_last_accepted_plan() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.set_mode(ModeChange::Enforce).unwrap();
    drop(daemon);
    *fixture.kernel.0.borrow_mut() = Pins::default();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    let failure = daemon.start(network(&["eth0"])).unwrap_err();
    assert!(
        failure
            .message
            .starts_with("the change is refused, generation 1 stays in force"),
        "{failure}"
    );
    assert_eq!(fixture.links(), ["eth0"]);
    let status = daemon.status().unwrap();
    assert_eq!(status.mode, "enforce");
    assert_eq!(status.degraded, ["a.yaml: broken"]);
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    assert_eq!(daemon.set_mode(ModeChange::Audit).unwrap().mode, "audit");
    assert!(daemon.check());
}

#[test]
fn broken_files_at_a_restart_leave_names_and_mode_changes() {
    let fixture = Fixture::new();
    fixture.files.0.borrow_mut().policy = "good".into();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    fixture.log();
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    assert!(
        !fixture
            .log()
            .iter()
            .any(|entry| entry.starts_with("install")),
        "it is in force already"
    );
    assert_eq!(daemon.rules().unwrap().rules[0].policy, "good");
    assert_eq!(
        daemon.set_mode(ModeChange::Enforce).unwrap().mode,
        "enforce"
    );
}

#[test]
fn a_later_plan_in_the_kernel_is_not_replaced_by_a_kept_one() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let mut pins = fixture.kernel.0.borrow_mut();
    pins.active = pins.active.map(|active| InForce {
        number: 5,
        hash: [9; 16],
        ..active
    });
    drop(pins);
    fixture.break_files(Some("broken"));
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap_err();
    let status = daemon.status().unwrap();
    assert_eq!(status.generation.number, Some(5));
    // The brake works on what nobody has the files of any more.
    assert_eq!(
        daemon.set_mode(ModeChange::Enforce).unwrap().mode,
        "enforce"
    );
    assert_eq!(daemon.set_mode(ModeChange::Audit).unwrap().mode, "audit");
}

#[test]
fn a_damaged_mode_leaves_the_mode_that_is_in_force() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.set_mode(ModeChange::Enforce).unwrap();
    drop(daemon);
    std::fs::write(fixture.state.path().join("mode.json"), "{").unwrap();
    for pinned in [true, false] {
        if !pinned {
            *fixture.kernel.0.borrow_mut() = Pins::default();
        }
        let mut daemon = fixture.daemon();
        daemon.start(network(&["eth0"])).unwrap();
        let status = daemon.status().unwrap();
        assert_eq!(status.mode, "enforce");
        assert!(status.degraded[0].starts_with("the stored mode"));
    }
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    daemon.set_mode(ModeChange::Audit).unwrap();
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_until_it_can() {
    let mut fixture = Fixture::new();
    let good = fixture.state;
    fixture.state = tempfile::tempdir().unwrap();
    let state = fixture.state.path().to_owned();
    std::fs::remove_dir(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let degraded = daemon.status().unwrap().degraded;
    assert!(
        degraded[0].starts_with("what is in force cannot be kept for the next boot"),
        "{degraded:?}"
    );
    assert_eq!(fixture.links(), ["eth0"], "it filters all the same");
    std::fs::remove_file(&state).unwrap();
    assert!(daemon.check());
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
    drop(good);
}

#[test]
fn numbers_go_on_after_a_restart() {
    let fixture = Fixture::new();
    fixture.daemon().start(network(&["eth0"])).unwrap();
    assert_eq!(
        fixture
            .daemon()
            .start(network(&["eth0"]))
            .unwrap()
            .generation,
        2
    );
}

#[test]
fn a_mode_that_was_set_outlives_daemon_and_configuration() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let mode = daemon.set_mode(ModeChange::Enforce).unwrap();
    assert_eq!(
        (mode.mode.as_str(), mode.source.as_str()),
        ("enforce", "fw-ctl mode")
    );
    daemon.reload().unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
    drop(daemon);

    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.mode().unwrap().mode, "enforce");
    let mode = daemon.set_mode(ModeChange::Configured).unwrap();
    assert_eq!(
        (mode.mode.as_str(), mode.source.as_str()),
        ("audit", "configuration")
    );
}

#[test]
fn a_mode_that_cannot_be_installed_is_not_remembered() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.kernel.0.borrow_mut().full = true;
    daemon.set_mode(ModeChange::Enforce).unwrap_err();
    assert_eq!(daemon.mode().unwrap().mode, "audit");
    assert_eq!(ModeStore::open(fixture.state.path()).get(), None);
    assert_eq!(
        daemon.rules().unwrap().generation,
        1,
        "the old plan is known still"
    );
    assert!(daemon.check());
}

#[test]
fn links_come_and_go() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.log();
    daemon.network_changed(network(&["eth0"]));
    assert_eq!(fixture.log(), [""; 0], "nothing has changed");
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert_eq!(fixture.log(), ["addresses", "attach eth1"]);
    daemon.network_changed(network(&["eth0"]));
    assert_eq!(fixture.log(), ["addresses", "detach 3"]);
    daemon.network_changed(network(&["eth0", "lan0"]));
    daemon.network_changed(network(&["eth0", "lan1"]));
    assert_eq!(fixture.links(), ["eth0", "lan1"], "a new name is learnt");
    daemon.network_changed(network(&[]));
    let degraded = daemon.status().unwrap().degraded;
    assert!(
        degraded[0].starts_with("no interface is filtered"),
        "{degraded:?}"
    );
}

#[test]
fn a_foreign_program_degrades_and_is_tried_again() {
    let fixture = Fixture::new();
    fixture.kernel.0.borrow_mut().foreign = Some("eth0");
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0", "eth1"])).unwrap();
    assert_eq!(fixture.links(), ["eth1"]);
    let status = daemon.status().unwrap();
    assert_eq!(
        status.degraded,
        ["interface eth0: XDP program 17 is attached already (try: remove it)"]
    );
    fixture.kernel.0.borrow_mut().foreign = None;
    assert!(daemon.check());
    assert_eq!(fixture.links(), ["eth1", "eth0"]);
    assert_eq!(daemon.status().unwrap().degraded, [""; 0]);
}

#[test]
fn slower_modes_warn_and_are_refused_when_native_is_required() {
    let fixture = Fixture::new();
    fixture.kernel.0.borrow_mut().no_native = true;
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    let status = daemon.status().unwrap();
    assert_eq!(
        status.warnings,
        ["eth0: tc in place of native XDP: the driver has no XDP"]
    );
    assert_eq!(status.degraded, [""; 0]);

    fixture.files.0.borrow_mut().config.interfaces.require = Require::Native;
    daemon.reload().unwrap();
    assert_eq!(
        daemon.status().unwrap().degraded,
        ["eth0: `interfaces.require` = \"native\", but it is tc: the driver has no XDP"]
    );
    let mut files = fixture.files.0.borrow_mut();
    files.config.interfaces.require = Require::Any;
    files.config.interfaces.xdp = XdpSetting::Off;
    drop(files);
    daemon.reload().unwrap();
    let status = daemon.status().unwrap();
    assert_eq!(
        (status.degraded, status.warnings),
        (vec![], vec![]),
        "it was asked for"
    );
}

#[test]
fn veth_gets_tc_unless_native_is_asked_for() {
    let veth = Link {
        kind: "veth".into(),
        ..Link::default()
    };
    assert!(matches!(links::wish(&veth, XdpSetting::Auto), Wish::Tc(_)));
    assert_eq!(links::wish(&veth, XdpSetting::Native), Wish::Native);
    assert_eq!(links::wish(&Link::default(), XdpSetting::Auto), Wish::Auto);
}

#[test]
fn detach_opens_until_the_next_reload() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert_eq!(daemon.detach().unwrap().interfaces, ["eth0"]);
    daemon.network_changed(network(&["eth0", "eth1"]));
    assert!(daemon.check());
    assert_eq!(fixture.links(), [""; 0]);
    let degraded = daemon.status().unwrap().degraded;
    assert!(degraded[0].starts_with("nothing is filtered: `fw-ctl detach` was run"));
    daemon.reload().unwrap();
    assert_eq!(fixture.links(), ["eth0", "eth1"]);
}

#[test]
fn tables_that_somebody_else_changed_are_noticed() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    assert!(daemon.check());
    fixture.kernel.0.borrow_mut().tables[3] ^= 1;
    assert!(!daemon.check());
    let degraded = daemon.status().unwrap().degraded;
    assert!(
        degraded[0].starts_with("the kernel's tables are not those"),
        "{degraded:?}"
    );
    daemon.reload().unwrap();
    assert!(daemon.check());
}

#[test]
fn files_that_changed_since_the_reload_are_mentioned() {
    let fixture = Fixture::new();
    let mut daemon = fixture.daemon();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "another".into();
    let warnings = daemon.status().unwrap().warnings;
    assert_eq!(
        warnings,
        ["the files have changed since the last reload; try: fw-ctl reload"]
    );
}

#[test]
fn events_find_the_names_of_their_plan() {
    let fixture = Fixture::new();
    let (names, receiver) = watch::channel(Arc::new(Names::new("default/n".into())));
    let mut daemon = fixture.daemon();
    daemon.names = names;
    fixture.files.0.borrow_mut().policy = "first".into();
    daemon.start(network(&["eth0"])).unwrap();
    fixture.files.0.borrow_mut().policy = "second".into();
    daemon.reload().unwrap();
    let names = receiver.borrow();
    assert_eq!(names.rules(1).unwrap()[0].policy, "first");
    assert_eq!(names.rules(2).unwrap()[0].policy, "second");
    assert_eq!(names.links[&2], "eth0");
}
