//! What one client of `GetFlows` gets, one answer after the other, as fast as it takes them: who is
//! too slow is told how much it missed, and holds up nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tonic::Status;

use super::filters::filters;
use super::flows::{nanoseconds, timestamp, whole};
use super::mask::Mask;
use super::proto::flow::{LostEvent, LostEventSource};
use super::proto::observer::{GetFlowsRequest, GetFlowsResponse, Told};
use crate::control::places::Place;
use crate::observe::{Flow, Observed, Query, Record};

/// The answers to come.
pub struct Feed {
    waiting: VecDeque<Flow>,
    live: Receiver<Arc<Record>>,
    query: Query,
    mask: Option<Mask>,
    node: Arc<str>,
    _place: Place,
}

impl Feed {
    /// Of a request.
    ///
    /// # Errors
    /// What about it is not understood, or contradicts itself.
    pub fn of(
        request: &GetFlowsRequest,
        observed: &Observed,
        node: &Arc<str>,
        place: Place,
    ) -> Result<Self, Status> {
        let query = query(request)?;
        let older = request.experimental.as_ref();
        let older = older.and_then(|experimental| experimental.field_mask.as_ref());
        let (past, live) = observed.ask(&query);
        Ok(Self {
            waiting: past.into(),
            live,
            query,
            mask: Mask::of(request.field_mask.as_ref().or(older)),
            node: Arc::clone(node),
            _place: place,
        })
    }

    /// As a stream.
    pub fn stream(self) -> impl Stream<Item = Result<GetFlowsResponse, Status>> + Send {
        unfold(self, async |mut feed| {
            let answer = feed.next().await?;
            Some((Ok(answer), feed))
        })
    }

    async fn next(&mut self) -> Option<GetFlowsResponse> {
        loop {
            if let Some(flow) = self.waiting.pop_front() {
                return Some(self.answer(&flow));
            }
            if !self.query.follow {
                return None;
            }
            match self.live.recv().await {
                Ok(record) => {
                    let is_over = self.query.until.is_some_and(|until| record.time > until);
                    if is_over {
                        return None;
                    }
                    let flows = Flow::of(&record).into_iter();
                    self.waiting
                        .extend(flows.filter(|flow| self.query.tells(flow)));
                }
                Err(RecvError::Lagged(missed)) => return Some(self.lost(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn answer(&self, flow: &Flow) -> GetFlowsResponse {
        let told = whole(flow);
        let told = match &self.mask {
            Some(mask) => mask.apply(told),
            None => told,
        };
        GetFlowsResponse {
            told: Some(Told::Flow(Box::new(told))),
            node_name: flow.record.node.to_string(),
            time: Some(timestamp(flow.record.time)),
        }
    }

    fn lost(&self, count: u64) -> GetFlowsResponse {
        GetFlowsResponse {
            told: Some(Told::LostEvents(LostEvent {
                source: LostEventSource::HubbleRingBuffer as i32,
                num_events_lost: count,
            })),
            node_name: self.node.to_string(),
            time: Some(timestamp(crate::observe::now())),
        }
    }
}

/// The same in our words (Cilium `pkg/hubble/observer/local_observer.go`).
fn query(request: &GetFlowsRequest) -> Result<Query, Status> {
    if request.first && request.follow {
        return Err(Status::invalid_argument(
            "`first` cannot be used with `follow`: the oldest flows are followed by all others",
        ));
    }
    let number = Some(request.number).filter(|number| *number > 0);
    let (first, last) = match (request.first, number) {
        (true, number) => (number, None),
        (false, Some(number)) => (None, Some(number)),
        // Who follows wants what happens now, unless a time is given.
        (false, None) if request.follow && request.since.is_none() => (None, Some(0)),
        (false, None) => (None, None),
    };
    Ok(Query {
        filters: filters(&request.whitelist, &request.blacklist)?,
        since: request.since.as_ref().map(nanoseconds),
        until: request.until.as_ref().map(nanoseconds),
        first,
        last,
        follow: request.follow,
    })
}
