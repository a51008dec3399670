//! The loaded programs, judging frames without an interface.
//!
//! A private copy of programs and tables: nothing is attached, nothing is shared
//! with a running firewall, nothing stays. The kernel's `BPF_PROG_TEST_RUN` runs
//! the very instructions that packets meet.

use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use aya::programs::{ProgramError, TestRun as _, TestRunOptions, TestRunResult};
use fw_common::wire::{Counter, Direction, Event, RULE_NO_POLICY, RuleTally, Tally};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::amend::amendment;
use super::error::{DatapathError, words};
use super::events::EventReader;
use super::flows::{CONNTRACK, Flows};
use super::frame::Packet;
use super::host::{self, BPF_FILE_SYSTEM};
use super::image::plan_hash;
use super::limits::RATES;
use super::programs::Programs;
use super::switch::write_and_flip;
use super::tables::Tables;
use crate::compile::plan::Plan;
use crate::netlink::LocalAddresses;

/// Small, because it is emptied after every flow.
const SIZES: [(&str, u32); 3] = [(CONNTRACK, 128), ("FRAGMENTS", 1_024), (RATES, 8)];

/// `TC_ACT_UNSPEC` and `TC_ACT_SHOT` of `linux/pkt_cls.h`.
const TC_PASS_DROP: [u32; 2] = [u32::MAX, 2];
/// `XDP_PASS` and `XDP_DROP` of linux/bpf.h.
const XDP_PASS_DROP: [u32; 2] = [2, 1];
/// Offset of `ingress_ifindex` in `struct __sk_buff` of linux/bpf.h.
const SKB_INGRESS_IFINDEX: usize = 36;

/// Which program judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP: ingress.
    Xdp,
    /// TC ingress.
    TcIngress,
    /// TC egress.
    TcEgress,
    /// TC egress of a packet that came in through another interface.
    TcEgressForwarded,
}

impl Hook {
    /// The direction that it judges.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Xdp | Self::TcIngress => Direction::Ingress,
            Self::TcEgress | Self::TcEgressForwarded => Direction::Egress,
        }
    }

    /// As people say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "XDP",
            Self::TcIngress => "TC ingress",
            Self::TcEgress | Self::TcEgressForwarded => "TC egress",
        }
    }
}

/// What the program did with the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handed it on.
    Pass,
    /// Dropped it.
    Drop,
}

/// Everything that a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the program returned.
    pub verdict: Verdict,
    /// The counters that moved, and by how much.
    pub moved: Vec<(Direction, Counter, Tally)>,
    /// The event that it reported.
    pub event: Option<Event>,
}

impl Outcome {
    /// Id of the rule that decided: the reported one, or "no policy", which is
    /// counted but not reported; `None` if no rule was asked (not for the node,
    /// a built-in, a malformed packet, …).
    #[must_use]
    pub fn rule(&self) -> Option<u16> {
        let counter = self.moved.first().map(|(_, counter, _)| *counter)?;
        match (counter, &self.event) {
            (Counter::Allowed | Counter::Failsafe, None) => Some(RULE_NO_POLICY),
            (Counter::Allowed | Counter::Failsafe, Some(event)) => Some(event.rule),
            (Counter::Dropped(reason) | Counter::Audited(reason), Some(event))
                if reason.is_policy() =>
            {
                Some(event.rule)
            }
            _ => None,
        }
    }
}

/// Runs in one call of the kernel: some tenths of a second.
const MEASURED_AT_ONCE: u64 = 1_000_000;

/// One call of the kernel.
pub(super) struct Ran {
    /// Of the last run.
    pub verdict: Verdict,
    /// Mean of a run.
    pub duration: Duration,
}

/// Programs and tables of its own.
pub struct TestRun {
    programs: Programs,
    tables: Tables,
    /// `None`: somebody else reads them.
    events: Option<EventReader>,
    installed: u64,
    headerless: bool,
}

impl TestRun {
    /// Loads everything.
    ///
    /// # Errors
    /// Kernel or capabilities do not suffice, or the binary has no programs.
    pub fn new() -> Result<Self, DatapathError> {
        host::check()?;
        // Two objects share maps only through pins. They are made in a mount
        // namespace that ends with its thread, so that nobody sees them and
        // nothing has to be removed.
        let loaded = thread::spawn(|| {
            let maps = Path::new(BPF_FILE_SYSTEM);
            mount_private(maps)?;
            let programs = Programs::load(maps, &SIZES)?;
            Ok((programs, Tables::open(maps)?, EventReader::open(maps)?))
        })
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (programs, tables, events) = loaded?;
        Ok(Self {
            programs,
            tables,
            events: Some(events),
            installed: 0,
            headerless: false,
        })
    }

    /// From now on the hooks of TC judge as on an interface without an Ethernet header:
    /// that of a frame is not read, but tells the kernel what the packet is.
    pub const fn set_headerless(&mut self) {
        self.headerless = true;
    }

    /// Judges by `plan` from now on.
    ///
    /// # Errors
    /// As [`super::Datapath::install`].
    pub fn install(&mut self, plan: &Plan) -> Result<(), DatapathError> {
        self.installed += 1;
        // Every event is wanted.
        write_and_flip(&mut self.tables, plan, self.installed, u32::MAX, None)?;
        Ok(())
    }

    /// Judges by `plan` for `patience`, then by the plan before again, as
    /// [`super::Datapath::install_on_trial`].
    ///
    /// # Errors
    /// As there.
    pub fn install_on_trial(
        &mut self,
        plan: &Plan,
        patience: Duration,
    ) -> Result<(), DatapathError> {
        self.installed += 1;
        let number = self.installed;
        write_and_flip(&mut self.tables, plan, number, u32::MAX, Some(patience))?;
        Ok(())
    }

    /// Judges by `plan` from now on, which differs from `old`, by which it judged, by few
    /// addresses. Returns whether it does.
    ///
    /// # Errors
    /// As [`super::Datapath::amend`].
    pub fn amend(&mut self, old: &Plan, plan: &Plan) -> Result<bool, DatapathError> {
        let Some(changes) = amendment(old, plan) else {
            return Ok(false);
        };
        self.installed += 1;
        let hash = plan_hash(plan);
        let header = self.tables.amend(&changes, hash, self.installed)?;
        Ok(header.is_some())
    }

    /// Judges by `plan` from now on, and reports nothing: for [`Self::measure`].
    ///
    /// # Errors
    /// As [`super::Datapath::install`].
    pub fn install_silent(&mut self, plan: &Plan) -> Result<(), DatapathError> {
        self.install_reporting(plan, 0)
    }

    /// Judges by `plan` from now on, and reports as many events as `limit` allows: see
    /// [`super::live::EVENT_LIMIT`].
    ///
    /// # Errors
    /// As [`super::Datapath::install`].
    pub fn install_reporting(&mut self, plan: &Plan, limit: u32) -> Result<(), DatapathError> {
        self.installed += 1;
        write_and_flip(&mut self.tables, plan, self.installed, limit, None)?;
        Ok(())
    }

    /// Hands out the reader of events; no [`Outcome`] has one from then on. `None`: it was
    /// handed out before.
    pub const fn take_events(&mut self) -> Option<EventReader> {
        self.events.take()
    }

    /// How long the program of `hook` takes for `times` runs on one frame, by the
    /// kernel's own clock.
    ///
    /// # Errors
    /// The kernel refuses to run.
    pub fn measure(
        &mut self,
        hook: Hook,
        frame: &[u8],
        times: u64,
    ) -> Result<Duration, DatapathError> {
        let mut total = Duration::ZERO;
        let mut left = times;
        while left > 0 {
            let repeat = left.min(MEASURED_AT_ONCE) as u32;
            // The kernel answers with the mean of a run.
            total += self.execute(hook, frame, repeat)?.duration * repeat;
            left -= u64::from(repeat);
        }
        Ok(total)
    }

    /// Makes `addresses` those of the node.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_local(&mut self, addresses: &LocalAddresses) -> Result<(), DatapathError> {
        self.tables.set_local_addresses(addresses)
    }

    /// Bans an address until `until`, in nanoseconds of the monotonic clock; 0: for good.
    ///
    /// # Errors
    /// The table is full, or the kernel refuses.
    pub fn ban(&mut self, address: IpAddr, until: u64) -> Result<(), DatapathError> {
        self.tables.ban(address, until)
    }

    /// Bans an address no longer.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unban(&mut self, address: IpAddr) -> Result<(), DatapathError> {
        self.tables.unban(address)
    }

    /// Lifts every ban.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn unban_all(&mut self) -> Result<(), DatapathError> {
        for address in self.tables.bans().into_keys() {
            self.tables.unban(address)?;
        }
        Ok(())
    }

    /// Judges `packet` as the first of a connection: whatever former packets left
    /// in the connection tables is forgotten.
    ///
    /// # Errors
    /// The kernel refuses to run, or the packet's addresses are of two families.
    pub fn judge(&mut self, hook: Hook, packet: &Packet) -> Result<Outcome, DatapathError> {
        let Some(frame) = packet.frame() else {
            return Err(DatapathError::Refused {
                what: format!("{} to {}", packet.source, packet.destination),
                why: "no packet has addresses of two families".into(),
                help: None,
            });
        };
        self.forget()?;
        self.run(hook, &frame)
    }

    /// Runs the program of `hook` on a frame (Ethernet header first, at least 14
    /// bytes), with the connections that former frames left.
    ///
    /// # Errors
    /// The kernel refuses to run.
    pub fn run(&mut self, hook: Hook, frame: &[u8]) -> Result<Outcome, DatapathError> {
        while self.next_event()?.is_some() {}
        let before = self.tables.counters()?;
        let verdict = self.execute(hook, frame, 1)?.verdict;
        let after = self.tables.counters()?;
        let moved = before
            .into_iter()
            .zip(after)
            .filter(|(before, after)| before.2 != after.2)
            .map(|(before, (direction, counter, after))| {
                let tally = Tally {
                    packets: after.packets.wrapping_sub(before.2.packets),
                    bytes: after.bytes.wrapping_sub(before.2.bytes),
                };
                (direction, counter, tally)
            })
            .collect();
        Ok(Outcome {
            verdict,
            moved,
            event: self.next_event()?,
        })
    }

    /// Runs the program of `hook` on a frame, as [`Self::run`] does, and asks for no
    /// counters: for many frames, of which [`Self::counters`] tells the sum. The event
    /// is the run's, if those of former runs were taken.
    ///
    /// # Errors
    /// The kernel refuses to run.
    pub fn glance(
        &mut self,
        hook: Hook,
        frame: &[u8],
    ) -> Result<(Verdict, Option<Event>), DatapathError> {
        let verdict = self.execute(hook, frame, 1)?.verdict;
        Ok((verdict, self.next_event()?))
    }

    /// What all runs together have counted.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn counters(&self) -> Result<Vec<(Direction, Counter, Tally)>, DatapathError> {
        self.tables.counters()
    }

    /// Forgets connections, fragments, who has passed how much, and what was reported.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget(&mut self) -> Result<(), DatapathError> {
        self.tables.flows_mut().clear();
        self.tables.clear_told();
        self.tables.flush_fragments()?;
        self.tables.clear_rates()
    }

    /// The connections.
    #[must_use]
    pub const fn flows(&self) -> &Flows {
        self.tables.flows()
    }

    /// The connections, to change them.
    pub const fn flows_mut(&mut self) -> &mut Flows {
        self.tables.flows_mut()
    }

    /// Seconds of the datapath's clock.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn now(&self) -> Result<u32, DatapathError> {
        self.programs.now()
    }

    /// What each of the first `rules` rules decided since the plan was installed.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, DatapathError> {
        self.tables.rule_counters(self.tables.active()?, rules)
    }

    fn execute(&mut self, hook: Hook, frame: &[u8], repeat: u32) -> Result<Ran, DatapathError> {
        execute(&mut self.programs, hook, frame, repeat, self.headerless)
    }

    fn next_event(&mut self) -> Result<Option<Event>, DatapathError> {
        let Some(events) = &mut self.events else {
            return Ok(None);
        };
        events
            .next_event()
            .map_err(|error| DatapathError::io("reading an event", &error))
    }
}

/// Runs the program of `hook` on a frame, `repeat` times; on an interface without an
/// Ethernet header, if `headerless`.
///
/// # Errors
/// The kernel refuses to run.
pub(super) fn execute(
    programs: &mut Programs,
    hook: Hook,
    frame: &[u8],
    repeat: u32,
    headerless: bool,
) -> Result<Ran, DatapathError> {
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.repeat = repeat;
    let mut context = [0_u8; SKB_INGRESS_IFINDEX + 4];
    if hook == Hook::TcEgressForwarded {
        // The loopback interface, which every network namespace has as 1.
        context[SKB_INGRESS_IFINDEX..].copy_from_slice(&1_u32.to_ne_bytes());
        options.ctx_in = Some(&context);
    }
    let (result, [pass, drop]): (Result<TestRunResult, ProgramError>, _) = match hook {
        Hook::Xdp => (programs.xdp_mut()?.test_run(options), XDP_PASS_DROP),
        Hook::TcIngress | Hook::TcEgress | Hook::TcEgressForwarded => {
            let direction = hook.direction();
            let program = match headerless {
                true => programs.headerless_mut(direction)?,
                false => programs.tc_mut(direction)?,
            };
            (program.test_run(options), TC_PASS_DROP)
        }
    };
    let result = result.map_err(|error| {
        DatapathError::aya(
            format!("running the program on a frame of {} bytes", frame.len()),
            &error,
        )
    })?;
    let verdict = match result.return_value {
        value if value == pass => Verdict::Pass,
        value if value == drop => Verdict::Drop,
        value => {
            return Err(DatapathError::Refused {
                what: format!("the verdict on a frame of {} bytes", frame.len()),
                why: format!("the program returned {value}, neither to pass nor to drop"),
                help: None,
            });
        }
    };
    Ok(Ran {
        verdict,
        duration: result.duration,
    })
}

/// Mounts a BPF file system that only this thread sees.
fn mount_private(at: &Path) -> Result<(), DatapathError> {
    let failed = |what: &'static str| {
        move |errno: nix::errno::Errno| DatapathError::NoBpfFileSystem {
            path: at.to_owned(),
            why: format!("{what} failed: {}", words(&errno.into())),
        }
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("making a private mount namespace"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("making the mounts private"))?;
    mount(Some("bpf"), at, Some("bpf"), MsFlags::empty(), none)
        .map_err(failed("mounting a private BPF file system"))
}
