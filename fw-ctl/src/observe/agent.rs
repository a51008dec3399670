//! What became of the daemon and of its policies (Hubble's agent events): some of the past, and
//! what is to come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{Span, Telling, now};

/// So many are remembered.
const KEPT: usize = 1_024;
/// So many a slow listener may be behind before it misses some.
const BACKLOG: usize = 256;

/// Something about the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEvent {
    /// When: nanoseconds since 1970.
    pub time: u64,
    /// `cluster/node`
    pub node: Arc<str>,
    /// What.
    pub what: AgentChange,
}

/// What happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentChange {
    /// It began to work.
    Started,
    /// What a policy says came in force on this node, for the first time or anew.
    PolicyUpdated(PolicyChange),
    /// A policy is no longer in force on this node.
    PolicyDeleted(PolicyChange),
}

/// Which policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Its name.
    pub policy: String,
    /// The generation that changed it.
    pub revision: u64,
    /// How many rules it has; of one that is gone, had.
    pub rules: u64,
}

impl PolicyChange {
    /// As Cilium labels what is derived from a policy (`pkg/k8s/apis/cilium.io/utils`).
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        vec![
            "k8s:io.cilium.k8s.policy.derived-from=CiliumClusterwideNetworkPolicy".to_owned(),
            format!("k8s:io.cilium.k8s.policy.name={}", self.policy),
        ]
    }
}

/// The past and the present of the daemon.
pub struct AgentEvents {
    node: Arc<str>,
    past: Mutex<VecDeque<AgentEvent>>,
    live: broadcast::Sender<AgentEvent>,
}

impl AgentEvents {
    /// Of a daemon that has started now, on `node` (`cluster/node`).
    #[must_use]
    pub fn new(node: Arc<str>) -> Self {
        let events = Self {
            node,
            past: Mutex::default(),
            live: broadcast::channel(BACKLOG).0,
        };
        events.tell(AgentChange::Started);
        events
    }

    fn past(&self) -> MutexGuard<'_, VecDeque<AgentEvent>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what happened now, and tells those who listen.
    pub fn tell(&self, what: AgentChange) {
        let event = AgentEvent {
            time: now(),
            node: Arc::clone(&self.node),
            what,
        };
        let mut past = self.past();
        if past.len() >= KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Under the lock, so that nobody gets it twice or not at all; nobody may be left.
        let _ = self.live.send(event);
    }

    /// What is asked for, of the past and from then on.
    #[must_use]
    pub fn ask(&self, span: Span) -> Telling<AgentEvent, AgentEvent> {
        let (past, live) = {
            let past = self.past();
            let told = past.iter().filter(|event| span.has(event.time)).cloned();
            (span.of_past(told, |_| true), self.live.subscribe())
        };
        Telling::new(past, live, span, move |event: AgentEvent| {
            span.has(event.time).then_some(event).into_iter().collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Next;

    #[tokio::test]
    async fn the_past_is_bounded_and_begins_with_the_start() {
        let events = AgentEvents::new("default/node1".into());
        let mut first = events.ask(Span {
            first: Some(1),
            ..Span::default()
        });
        assert!(matches!(
            first.next().await,
            Some(Next::Told(AgentEvent { what: AgentChange::Started, time, .. })) if time > 0
        ));
        assert_eq!(first.next().await, None);
        let change = |revision| PolicyChange {
            policy: "p".into(),
            revision,
            rules: 1,
        };
        for revision in 0..=KEPT as u64 {
            events.tell(AgentChange::PolicyUpdated(change(revision)));
        }
        let mut all = events.ask(Span::default());
        for revision in 1..=KEPT as u64 {
            let Some(Next::Told(event)) = all.next().await else {
                panic!("{revision} is missing");
            };
            assert_eq!(event.what, AgentChange::PolicyUpdated(change(revision)));
        }
        assert_eq!(all.next().await, None);
    }
}
