//! Which of the chosen rows a policy can allow, and why not the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Base, Need};
use crate::audit::{Class, Entry, Group};
use crate::compile::plan::{Mode, NOT_ADMITTED};
use crate::engine::Reason;
use crate::harm::{Judge, Way, protocol};
use crate::policy::rules::Service;
use crate::printable::printable;
use fw_common::wire::DropReason;

/// Protocols without ports that policies can name.
const NAMED: [u8; 7] = [112, 2, 47, 4, 41, 50, 51];

/// What a policy is to allow.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// What each row is, for comments.
    pub rows: Vec<String>,
    /// What is to be allowed.
    pub needs: BTreeSet<Need>,
    /// How each is called in messages: `row 3f2a1b0c (22/TCP ssh)`.
    pub(super) called: Vec<String>,
    /// Rows, and addresses of rows, that no policy can allow, with the reason: a line each.
    pub left: Vec<String>,
    /// The same of those that need none.
    pub needless: Vec<String>,
}

/// Why there is nothing to allow.
enum Why {
    /// It is allowed.
    Needless(String),
    /// No policy can.
    Left(String),
}

impl From<String> for Why {
    fn from(why: String) -> Self {
        Self::Left(why)
    }
}

impl From<&str> for Why {
    fn from(why: &str) -> Self {
        Self::Left(why.to_owned())
    }
}

/// Takes those of the rows that a policy can allow and `base` does not. `title`: what a row
/// is, in a line.
#[must_use]
pub fn choose(base: &Base<'_>, groups: &[Group], title: impl Fn(&Group) -> String) -> Chosen {
    let mut chosen = Chosen::default();
    let judge = Judge {
        plan: &base.compiled.plan,
        mode: Mode::Enforce,
        banned: &|_| false,
    };
    for group in groups {
        let row = chosen.rows.len();
        let (mut left, mut needless) = (Reasons::new(), Reasons::new());
        let mut taken = false;
        for entry in &group.entries {
            let (reasons, why) = match need(&judge, entry, row) {
                Ok(need) => {
                    chosen.needs.insert(need);
                    taken = true;
                    continue;
                }
                Err(Why::Left(why)) => (&mut left, why),
                Err(Why::Needless(why)) => (&mut needless, why),
            };
            reasons.entry(why).or_default().insert(entry.remote);
        }
        let called = format!("row {} ({})", group.id, group.service());
        let whole = !taken && left.len() + needless.len() == 1;
        chosen.left.extend(lines(&called, whole, &left));
        chosen.needless.extend(lines(&called, whole, &needless));
        if taken {
            chosen.rows.push(printable(&title(group)));
            chosen.called.push(called);
        }
    }
    chosen
}

/// Addresses of a row by why they are not allowed.
pub(super) type Reasons = BTreeMap<String, BTreeSet<IpAddr>>;

/// `row 3f2a1b0c (22/TCP ssh), 10.0.0.12: the reason`; `whole`: all of the row, which needs
/// no addresses.
pub(super) fn lines(called: &str, whole: bool, reasons: &Reasons) -> Vec<String> {
    let line = |(why, addresses): (&String, &BTreeSet<IpAddr>)| {
        let mut whom = String::new();
        if !whole {
            let named: Vec<_> = addresses.iter().take(4).map(IpAddr::to_string).collect();
            whom = format!(", {}", named.join(", "));
            if addresses.len() > named.len() {
                whom = format!("{whom} and {} more", addresses.len() - named.len());
            }
        }
        printable(&format!("{called}{whom}: {why}"))
    };
    reasons.iter().map(line).collect()
}

/// # Errors
/// Why no policy can allow it, or that none has to.
fn need(judge: &Judge<'_>, entry: &Entry, row: usize) -> Result<Need, Why> {
    let seen = entry.seen(0);
    let flow = seen.flow();
    let service = flow.service();
    if entry.class == Class::Packet {
        let reason = &entry.because.reason;
        return Err(format!("{reason}: that is no matter of policy").into());
    }
    if entry.because.reason == BANNED && !entry.passes {
        return Err("the address is banned; try: fw-ctl ban remove".into());
    }
    let reason = match entry.class {
        Class::Limit => DropReason::RateLimited,
        Class::Policy | Class::Packet => DropReason::DefaultDeny,
    };
    let (passes, because) = judge.opinion(&seen, reason);
    if passes {
        return Err(Why::Needless(format!("it is allowed already: {because}")));
    }
    match because.reason.as_str() {
        reason if reason == Reason::DefaultDeny.name() => {}
        reason if reason == DropReason::RateLimited.name() => {
            return Err(format!("{because}: raise that, another policy cannot").into());
        }
        reason if reason == NOT_ADMITTED => {
            return Err(format!(
                "`interfaces.vlans` does not admit VLAN {}, whatever policies say",
                entry.vlan
            )
            .into());
        }
        _ => {
            return Err(format!(
                "{because} denies it, and a deny rule wins over whatever allows: change that rule"
            )
            .into());
        }
    }
    match service {
        // A policy that says port 0 means every port.
        Service::Port { port: 0, .. } => return Err("no policy can name port 0".into()),
        Service::Protocol(number) if !NAMED.contains(&number) => {
            return Err(format!("no policy can name {}", protocol(number)).into());
        }
        _ => {}
    }
    // Where nothing depends on the VLAN, a policy for some would make everything do so.
    let by_vlan = !judge.plan.vlans.is_empty();
    Ok(Need {
        way: usize::from(entry.direction == Way::Egress),
        vlan: by_vlan.then_some(entry.vlan),
        service,
        address: entry.remote,
        row,
    })
}

/// The reason of a ban, as verdicts name it.
const BANNED: &str = "banned-peer";
