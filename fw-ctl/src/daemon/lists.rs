//! Lists that change by themselves: replaced by whoever fetches them, or because an
//! entry expires.
//!
//! Nobody has asked for a reload then, so nothing but lists is taken from the disk:
//! policies, inventory and configuration stay those in force, edited or not. What is not
//! taken ([`caution`]) is told until it is mended, or an operator asks for a reload.

use std::sync::Arc;

use super::caution::{self, Change};
use super::firewall::Trouble;
use super::{Compiled, ConfirmedStore, Firewall, Inputs, Kernel, Seen, Sources};
use crate::lists::moment::Moment;

/// Inputs that make no plan, remembered: the same are refused again.
#[derive(Clone)]
pub struct RefusedLists {
    inputs: Inputs,
    /// Why, a line for each error.
    lines: Vec<String>,
}

/// What a look at the lists found.
pub struct ListLook {
    /// The inputs in force when it was taken.
    pub(super) base: Arc<Inputs>,
    /// What they are to be replaced by; `None`: they are what they were.
    pub(super) compiled: Option<Compiled>,
    /// What could not be compiled.
    pub(super) refused: Option<RefusedLists>,
    /// Lists that are not taken, and why, a line each.
    pub(super) held: Vec<String>,
    /// To be looked at again soon.
    pub again: bool,
}

impl ListLook {
    /// Reads the lists that the configuration in force names, and compiles them with
    /// everything else that is in force, if any changed or expired.
    pub fn take<S: Sources>(
        sources: &S,
        store: &ConfirmedStore,
        base: Arc<Inputs>,
        refused: Option<&RefusedLists>,
        now: Moment,
    ) -> Self {
        let found = sources.lists(&base.config);
        let change = Change::of(&base.lists, found, &base.config, now);
        let mut look = Self {
            base,
            compiled: None,
            refused: None,
            held: change.held,
            again: change.again,
        };
        let inputs = Inputs {
            lists: change.lists,
            ..Inputs::clone(&look.base)
        };
        look.compile(sources, inputs.at(now), refused, now);
        if let Some(refused) = &look.refused {
            look.held.extend(refused.lines.iter().cloned());
        }
        if let Some(compiled) = &look.compiled {
            store.prepare(&compiled.inputs);
        }
        look
    }

    fn compile<S: Sources>(
        &mut self,
        sources: &S,
        inputs: Inputs,
        refused: Option<&RefusedLists>,
        now: Moment,
    ) {
        if inputs == *self.base {
            return;
        }
        if let Some(refused) = refused.filter(|refused| refused.inputs == inputs) {
            self.refused = Some(refused.clone());
            return;
        }
        let lines = match caution::compile(sources, &inputs, &self.base.lists, now) {
            Ok(partly) => {
                if *partly.compiled.inputs != *self.base {
                    self.compiled = Some(partly.compiled);
                }
                partly.held
            }
            Err(wrong) => wrong.lines(),
        };
        if !lines.is_empty() {
            self.refused = Some(RefusedLists { inputs, lines });
        }
    }
}

impl<K: Kernel, S: Sources> Firewall<K, S> {
    /// What is in force was made from this.
    #[must_use]
    pub fn inputs(&self) -> Option<&Arc<Inputs>> {
        let (_, compiled) = self.installed.as_ref()?;
        Some(&compiled.inputs)
    }

    /// What the last look at lists refused, for the next.
    #[must_use]
    pub fn refused_lists(&self) -> Option<RefusedLists> {
        self.refused_lists.clone()
    }

    /// Puts lists in force that changed by themselves, and nothing else; a node that
    /// was opened stays open. Returns whether that made a difference to what is in
    /// force, or to what is wrong.
    pub fn apply_lists(&mut self, look: ListLook) -> bool {
        self.keep_brake();
        // Something else came in force meanwhile: the next look goes by that.
        let current = self
            .inputs()
            .is_some_and(|inputs| Arc::ptr_eq(inputs, &look.base));
        // While something is on trial there is no room for another plan.
        if !current || self.trial.is_some() {
            return false;
        }
        let mut lines = look.held;
        let mut changed = false;
        self.refused_lists = look.refused;
        if let Some(mut compiled) = look.compiled {
            compiled.plan.mode = self.effective_mode(&compiled.inputs.config);
            match self.install(&compiled) {
                Err(failure) => {
                    lines.push(failure.line());
                    self.refused_lists = None;
                }
                Ok(in_force) => {
                    changed = true;
                    tracing::info!(
                        "lists have changed: generation {} is in force",
                        in_force.number
                    );
                    for line in compiled.inputs.losses() {
                        tracing::info!("{line}");
                    }
                    if let Some(looked) = &mut self.looked {
                        let seen = looked.seen.clone();
                        looked.seen = seen.with_lists(&compiled.inputs, &look.base);
                    }
                    self.take(in_force, compiled);
                    self.keep();
                }
            }
        }
        if lines.is_empty() && !look.again {
            changed |= self.forgive_lists();
        }
        let before = if lines.is_empty() {
            self.troubles.remove(&Trouble::Lists)
        } else {
            self.troubles.insert(Trouble::Lists, lines)
        };
        changed || before.as_ref() != self.troubles.get(&Trouble::Lists)
    }

    /// What the last reload was refused for is over if it was about lists only: all of
    /// them are right now, and in force. Returns whether there was such a refusal.
    fn forgive_lists(&mut self) -> bool {
        let (Some(looked), Some((_, compiled))) = (&mut self.looked, &self.installed) else {
            return false;
        };
        let over = looked.refusal.take_if(|refusal| refusal.is_of_lists());
        if over.is_none() {
            return false;
        }
        if looked.seen.is_but_for_lists(&compiled.inputs) {
            looked.seen = Seen::all(&compiled.inputs);
            self.troubles.remove(&Trouble::Change);
        } else {
            let line = "the last reload was refused for lists that are right now: what else it \
                        was to change is not in force (try: fw-ctl reload)";
            self.troubles.insert(Trouble::Change, vec![line.into()]);
        }
        true
    }
}
