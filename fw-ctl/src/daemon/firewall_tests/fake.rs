//! A kernel of memory.

use super::*;
use crate::datapath::Tested;

/// What the kernel keeps; shared by the daemons that come and go.
#[derive(Default)]
pub(super) struct Pins {
    pub(super) active: Option<InForce>,
    /// What is in force without the plan on trial, and what is left of its time.
    pub(super) trial: Option<(InForce, Duration)>,
    pub(super) tables: [u8; 16],
    pub(super) links: Vec<AttachedLink>,
    pub(super) addresses: LocalAddresses,
    /// What was done, in order.
    pub(super) log: Vec<String>,
    pub(super) full: bool,
    /// So many of the next plans differ by few addresses from those before them.
    pub(super) amendable: u32,
    /// Links that somebody has detached, by index.
    pub(super) lost: BTreeSet<u32>,
    /// Links that programs of another schema filter, by index.
    pub(super) former: BTreeMap<u32, u32>,
    /// Why the self-test of the plan in force fails.
    pub(super) misjudged: Option<String>,
    /// Somebody has removed the pins of the tables.
    pub(super) unpinned: bool,
    pub(super) bans: BTreeMap<IpAddr, u64>,
    pub(super) foreign: Option<&'static str>,
    pub(super) no_native: bool,
    pub(super) pressure: Pressure,
    pub(super) sockets: Sockets,
    pub(super) remembered: Vec<Remembered>,
    /// What was asked to be remembered.
    pub(super) seeds: Vec<Seed>,
    /// Packets that each rule of a generation has decided, by its number.
    pub(super) counted: BTreeMap<u64, u64>,
}

impl Pins {
    /// The plan is in force from now on.
    fn hold(&mut self, plan: &Plan, number: u64, how: &str) -> InForce {
        let in_force = InForce {
            number,
            hash: fake_hash(plan),
            mode: plan.mode,
        };
        self.counted.insert(number, 0);
        self.active = Some(in_force);
        self.tables = in_force.hash;
        self.log.push(format!("{how} {number}"));
        in_force
    }
}

#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Rc<RefCell<Pins>>);

pub(super) fn fake_hash(plan: &Plan) -> [u8; 16] {
    let mut hash = [0; 16];
    hash[0] = u8::from(plan.mode == Mode::Enforce) + 1;
    hash[1] = plan.rules[0].policy.len().try_into().unwrap();
    hash
}

impl Kernel for Fake {
    fn active(&self) -> Result<Option<InForce>, Failure> {
        let pins = self.0.borrow();
        Ok(match pins.trial {
            Some((former, left)) if left.is_zero() => Some(former),
            _ => pins.active,
        })
    }
    fn install(&mut self, plan: &Plan, number: u64) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the plan does not fit"));
        }
        Ok(pins.hold(plan, number, "install"))
    }
    fn install_on_trial(
        &mut self,
        plan: &Plan,
        number: u64,
        patience: Duration,
    ) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the plan does not fit"));
        }
        assert!(pins.trial.is_none(), "there is no room for another");
        let former = pins.active.expect("there is a plan before");
        let in_force = pins.hold(plan, number, "try");
        pins.trial = Some((former, patience));
        Ok(in_force)
    }
    fn trial(&self) -> Result<Option<Trial>, Failure> {
        let pins = self.0.borrow();
        Ok(pins.trial.map(|(former, left)| Trial {
            in_force: pins.active.unwrap(),
            former: Some(former),
            left,
        }))
    }
    fn confirm(&mut self) -> Result<Option<InForce>, Failure> {
        let mut pins = self.0.borrow_mut();
        let Some((_, left)) = pins.trial.take() else {
            return Ok(pins.active);
        };
        assert!(!left.is_zero(), "the daemon looks first");
        pins.log.push("confirm".into());
        Ok(pins.active)
    }
    fn go_back(&mut self) -> Result<Option<InForce>, Failure> {
        let mut pins = self.0.borrow_mut();
        if let Some((former, _)) = pins.trial.take() {
            pins.active = Some(former);
            pins.tables = former.hash;
            pins.log.push("go back".into());
        }
        Ok(pins.active)
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
        Ok(Some(pins.hold(plan, number, "amend")))
    }
    fn set_mode(&mut self, mode: Mode) -> Result<InForce, Failure> {
        let mut pins = self.0.borrow_mut();
        if pins.full {
            return Err(Failure::new(exit::REFUSED, "the tables cannot be written"));
        }
        let set = |plan: &mut InForce| {
            plan.mode = mode;
            plan.hash[0] = u8::from(mode == Mode::Enforce) + 1;
            *plan
        };
        if let Some((former, _)) = &mut pins.trial {
            set(former);
        }
        let Some(active) = &mut pins.active else {
            return Err(Failure::new(exit::REFUSED, "no plan is in force"));
        };
        let in_force = set(active);
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
    fn set_local_addresses(
        &mut self,
        addresses: &LocalAddresses,
        _anew: bool,
    ) -> Result<(), Failure> {
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
        pins.former.remove(&link.index);
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
    fn unswitched(&self) -> Vec<(AttachedLink, u32)> {
        let pins = self.0.borrow();
        let links = pins.links.iter();
        links
            .filter_map(|link| Some((link.clone(), *pins.former.get(&link.index)?)))
            .collect()
    }
    fn tested(&self) -> Option<Tested> {
        let pins = self.0.borrow();
        Some(Tested {
            number: pins.active?.number,
            packets: 1,
            took: Duration::from_millis(1),
            at: std::time::SystemTime::UNIX_EPOCH,
            failed: pins.misjudged.clone(),
        })
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
    fn rule_counters(&self, rules: usize) -> Result<Vec<RuleTally>, Failure> {
        let active = self.active()?.map_or(0, |active| active.number);
        let counted = self.rule_counters_of(active, rules)?;
        Ok(counted.unwrap_or_else(|| vec![RuleTally::default(); rules]))
    }
    fn rule_counters_of(
        &self,
        number: u64,
        rules: usize,
    ) -> Result<Option<Vec<RuleTally>>, Failure> {
        let pins = self.0.borrow();
        let Some(packets) = pins.counted.get(&number).copied() else {
            return Ok(None);
        };
        let tally = RuleTally {
            packets,
            bytes: packets * 60,
            limited: 0,
        };
        Ok(Some(vec![tally; rules]))
    }
    fn lost_events(&self) -> Result<u64, Failure> {
        Ok(0)
    }
    fn pressure(&self) -> Result<Pressure, Failure> {
        Ok(self.0.borrow().pressure)
    }
    fn open_connections(&self) -> Sockets {
        self.0.borrow().sockets.clone()
    }
    fn remembered(&self) -> Result<Vec<Remembered>, Failure> {
        Ok(self.0.borrow().remembered.clone())
    }
    fn seed(&mut self, seeds: &[Seed]) -> Result<usize, Failure> {
        let mut pins = self.0.borrow_mut();
        pins.seeds.extend(seeds);
        if !seeds.is_empty() {
            pins.log.push(format!("seed {}", seeds.len()));
        }
        Ok(seeds.len())
    }
}
