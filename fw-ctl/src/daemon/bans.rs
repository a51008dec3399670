//! Bans: what an operator, or a program that reads logs, decides about single
//! addresses, beside the plan.
//!
//! The kernel comes first: a ban holds when the command returns, whatever the disk
//! does. While what is pinned is there, it is the truth about who is banned, and the
//! file knows the reasons; after a reboot the file is all that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fw_common::wire::{BAN_FOR_GOOD, SINGLES};

use super::ban_store::Ban;
use super::firewall::Trouble;
use super::status::{BanStatus, Banned, Bans, SCHEMA, Unbanned};
use super::{Firewall, Kernel, Sources, ban_harm};
use crate::compile::plan::Mode;
use crate::control::protocol::{BanRequest, Failure, MAX_REASON};
use crate::exit;
use crate::moment;
use crate::observe::Clock;
use crate::printable::printable;

const NANOSECONDS: u64 = 1_000_000_000;

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// Bans addresses.
    ///
    /// # Errors
    /// When the request makes no sense, or the node or its operator depend on an
    /// address and no force is used: then nothing has changed. When the table is full
    /// or the kernel refuses: then those before it are banned, and the failure names it.
    pub fn ban(&mut self, request: &BanRequest) -> Result<Banned, Failure> {
        let addresses = once_each(&request.addresses);
        let (clock, since) = (Clock::now(), moment::now());
        refuse_nonsense(request, since)?;
        ban_harm::refuse_nobody(&addresses)?;
        let harm = self.harm_of(&addresses, request.asker);
        if !harm.is_empty() && !request.force {
            return Err(ban_harm::refusal(&harm));
        }
        if self.bans.all().len() + addresses.len() > SINGLES as usize {
            // Perhaps some have run out.
            self.sweep_bans();
        }
        let mut refused = None;
        for (before, address) in addresses.iter().enumerate() {
            let ban = Ban {
                address: *address,
                since,
                until: request.until,
                // It may come from a log, and that from an attacker.
                reason: printable(&request.reason),
            };
            if let Err(failure) = self.kernel.ban(*address, deadline(clock, ban.until)) {
                refused = Some(partly(address, before, failure));
                break;
            }
            tracing::warn!("{ban}");
            self.bans.insert(ban);
        }
        self.bans.save();
        if let Some(failure) = refused {
            return Err(failure);
        }
        let mut warnings = harm;
        warnings.extend(self.ineffective());
        warnings.extend(self.tell_bans());
        Ok(Banned {
            schema: SCHEMA,
            addresses,
            warnings,
        })
    }

    /// Lifts the bans of `addresses`, or all.
    ///
    /// # Errors
    /// When the kernel refuses: then the bans before that one are lifted.
    pub fn unban(&mut self, addresses: Option<&[IpAddr]>) -> Result<Unbanned, Failure> {
        let asked: Vec<IpAddr> = match addresses {
            Some(addresses) => once_each(addresses),
            None => self.bans.all().keys().copied().collect(),
        };
        let (mut lifted, mut missing) = (Vec::new(), Vec::new());
        let mut done = Ok(());
        for address in asked {
            done = self.kernel.unban(address);
            if done.is_err() {
                break;
            }
            match self.bans.remove(&address) {
                Some(_) => lifted.push(address),
                None => missing.push(address),
            }
        }
        if !lifted.is_empty() {
            tracing::info!("banned no longer: {}", list(&lifted));
            self.bans.save();
        }
        done?;
        Ok(Unbanned {
            schema: SCHEMA,
            addresses: lifted,
            missing,
            warnings: self.tell_bans().into_iter().collect(),
        })
    }

    /// Every ban that holds.
    #[must_use]
    pub fn bans(&self) -> Bans {
        let now = moment::now();
        let bans = self.bans.all().values().filter(|ban| ban.holds(now));
        Bans {
            schema: SCHEMA,
            bans: bans
                .map(|ban| BanStatus {
                    address: ban.address,
                    since: moment::rfc3339(ban.since),
                    until: ban.until.map(moment::rfc3339),
                    reason: ban.reason.clone(),
                })
                .collect(),
        }
    }

    /// Learns, at the start, who is banned.
    pub(super) fn restore_bans(&mut self) {
        if matches!(self.kernel.active(), Ok(Some(_))) {
            self.learn_bans();
        }
        self.sweep_bans();
    }

    /// Takes the kernel's bans for those that there are.
    fn learn_bans(&mut self) {
        let (clock, now) = (Clock::now(), moment::now());
        let held = self.kernel.bans();
        let stored = self.bans.all().clone();
        for address in stored.keys().filter(|known| !held.contains_key(known)) {
            self.bans.remove(address);
        }
        for (address, deadline) in held {
            if !stored.contains_key(&address) {
                let until = clock.real(deadline).saturating_add(NANOSECONDS / 2) / NANOSECONDS;
                self.bans.insert(Ban {
                    address,
                    since: now,
                    until: (deadline != BAN_FOR_GOOD).then_some(until),
                    reason: String::new(),
                });
            }
        }
        if *self.bans.all() != stored {
            self.bans.save_beside_damage();
        }
    }

    /// Forgets bans that have run out, and makes the kernel hold the others; the time of
    /// day may have been set since they were written.
    pub(super) fn sweep_bans(&mut self) {
        let (clock, now) = (Clock::now(), moment::now());
        let over = self.bans.all().values().filter(|ban| !ban.holds(now));
        let over: Vec<IpAddr> = over.map(|ban| ban.address).collect();
        for address in &over {
            self.bans.remove(address);
        }
        if !over.is_empty() {
            tracing::info!("bans that have run out: {}", list(&over));
            self.bans.save_beside_damage();
        }
        let wanted = self.bans.all().values();
        let wanted: BTreeMap<IpAddr, u64> = wanted
            .map(|ban| (ban.address, deadline(clock, ban.until)))
            .collect();
        let result = agree(&mut self.kernel, &wanted);
        self.bans_refused = result.err().map(|failure| failure.line());
        self.tell_bans();
    }

    /// Remembers and returns what is wrong with the bans.
    fn tell_bans(&mut self) -> Option<String> {
        let stored = self.bans.trouble();
        let troubles = [self.bans_refused.clone(), stored.clone()];
        let troubles: Vec<String> = troubles.into_iter().flatten().collect();
        if troubles.is_empty() {
            self.troubles.remove(&Trouble::Bans);
        } else {
            self.troubles.insert(Trouble::Bans, troubles);
        }
        stored
    }

    /// Why a ban does not keep anybody out now.
    fn ineffective(&self) -> Option<String> {
        let why = match self.kernel.active() {
            Ok(Some(active)) if !self.detached && !self.kernel.attached().is_empty() => {
                if active.mode == Mode::Enforce {
                    return None;
                }
                "the mode is audit: what the ban would drop is reported, and passes; try: fw-ctl \
                 mode enforce"
            }
            _ => "nothing is filtered now: the ban waits until it is; try: fw-ctl status",
        };
        Some(why.into())
    }

    /// The ban of a peer in words, if it holds.
    #[must_use]
    pub fn ban_of(&self, peer: IpAddr) -> Option<String> {
        let ban = self.bans.all().get(&peer.to_canonical())?;
        ban.holds(moment::now()).then(|| ban.to_string())
    }
}

/// The failure on one of several addresses, of which those before it are banned.
fn partly(address: &IpAddr, before: usize, failure: Failure) -> Failure {
    let message = format!("{address} is not banned: {}", failure.message);
    let message = match before {
        0 => message,
        1 => format!("{message}\nthe one before it is"),
        before => format!("{message}\nthe {before} before it are"),
    };
    Failure { message, ..failure }
}

/// Makes the kernel hold these bans and no others.
fn agree<K: Kernel>(kernel: &mut K, wanted: &BTreeMap<IpAddr, u64>) -> Result<(), Failure> {
    let held = kernel.bans();
    for address in held.keys().filter(|held| !wanted.contains_key(held)) {
        kernel.unban(*address)?;
    }
    for (address, deadline) in wanted {
        // Two readings of two clocks are never equal to the nanosecond.
        let close = held.get(address).is_some_and(|held| {
            let for_good = [*held, *deadline].contains(&BAN_FOR_GOOD);
            held == deadline || !for_good && held.abs_diff(*deadline) < NANOSECONDS
        });
        if !close {
            kernel.ban(*address, *deadline)?;
        }
    }
    Ok(())
}

fn refuse_nonsense(request: &BanRequest, now: u64) -> Result<(), Failure> {
    let wrong = |what: String| {
        Err(Failure::new(
            exit::USAGE,
            format!("nothing is banned: {what}"),
        ))
    };
    match request.until {
        Some(until) if until <= now => {
            return wrong(format!("{} is over", moment::rfc3339(until)));
        }
        _ => {}
    }
    let length = request.reason.len();
    if length > MAX_REASON {
        return wrong(format!(
            "the reason has {length} bytes in UTF-8, and at most {MAX_REASON} are kept"
        ));
    }
    Ok(())
}

/// As the kernel knows them, in the order in which they were named first.
fn once_each(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut named = BTreeSet::new();
    let addresses = addresses.iter().map(IpAddr::to_canonical);
    addresses.filter(|address| named.insert(*address)).collect()
}

/// The end of a ban by the kernel's clock. One that is over has the first nanosecond:
/// 0 would be for good.
fn deadline(clock: Clock, until: Option<u64>) -> u64 {
    until.map_or(BAN_FOR_GOOD, |until| {
        let real = u128::from(until) * u128::from(NANOSECONDS);
        clock.monotonic(real).max(1)
    })
}

fn list(addresses: &[IpAddr]) -> String {
    const NAMED: usize = 20;
    let mut named: Vec<String> = addresses
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = addresses.len().saturating_sub(NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}
