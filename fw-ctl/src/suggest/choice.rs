//! Which of the chosen rows a policy can allow, and why not the others.

use std::collections::BTreeSet;

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
    /// Rows, and addresses of rows, that no policy can allow or that need none, with the
    /// reason: a line each.
    pub left: Vec<String>,
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
        let mut left: Vec<(String, BTreeSet<String>)> = Vec::new();
        let mut taken = false;
        for entry in &group.entries {
            match need(&judge, entry, row) {
                Ok(need) => {
                    chosen.needs.insert(need);
                    taken = true;
                }
                Err(why) => {
                    let at = left.iter().position(|(known, _)| *known == why);
                    let at = at.unwrap_or_else(|| {
                        left.push((why, BTreeSet::new()));
                        left.len() - 1
                    });
                    left[at].1.insert(entry.remote.to_string());
                }
            }
        }
        if taken {
            chosen.rows.push(printable(&title(group)));
        }
        let whole = !taken && left.len() == 1;
        for (why, addresses) in left {
            let whom = if whole {
                String::new()
            } else {
                let named: Vec<_> = addresses.iter().take(4).cloned().collect();
                let more = addresses.len() - named.len();
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!(", {}{more}", named.join(", "))
            };
            chosen.left.push(printable(&format!(
                "row {} ({}){whom}: {why}",
                group.id,
                group.service()
            )));
        }
    }
    chosen
}

/// # Errors
/// Why no policy can allow it, or that none has to.
fn need(judge: &Judge<'_>, entry: &Entry, row: usize) -> Result<Need, String> {
    let seen = entry.seen(0);
    let flow = seen.flow();
    let service = flow.service();
    if entry.class == Class::Packet {
        let reason = &entry.because.reason;
        return Err(format!("{reason}: that is no matter of policy"));
    }
    if entry.because.reason == BANNED && !entry.passes {
        return Err("the address is banned; try: fw-ctl ban remove".to_owned());
    }
    let reason = match entry.class {
        Class::Limit => DropReason::RateLimited,
        Class::Policy | Class::Packet => DropReason::DefaultDeny,
    };
    let (passes, because) = judge.opinion(&seen, reason);
    if passes {
        return Err(format!(
            "the files allow it already: {because}; try: fw-ctl reload"
        ));
    }
    match because.reason.as_str() {
        reason if reason == Reason::DefaultDeny.name() => {}
        reason if reason == DropReason::RateLimited.name() => {
            return Err(format!("{because}: raise that, another policy cannot"));
        }
        reason if reason == NOT_ADMITTED => {
            return Err(format!(
                "`interfaces.vlans` does not admit VLAN {}, whatever policies say",
                entry.vlan
            ));
        }
        _ => {
            return Err(format!(
                "{because} denies it, and a deny rule wins over whatever allows: change that rule"
            ));
        }
    }
    match service {
        // A policy that says port 0 means every port.
        Service::Port { port: 0, .. } => return Err("no policy can name port 0".to_owned()),
        Service::Protocol(number) if !NAMED.contains(&number) => {
            return Err(format!("no policy can name {}", protocol(number)));
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
