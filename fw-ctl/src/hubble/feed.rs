//! What one client of `GetFlows` gets, one answer after the other.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use prost_types::Timestamp;
use tonic::Status;

use super::filters::filters;
use super::flows::{nanoseconds, timestamp, whole};
use super::mask::Mask;
use super::proto::flow::LostEvent;
use super::proto::observer::{GetFlowsRequest, GetFlowsResponse, Told};
use crate::control::places::Place;
use crate::observe::{Flow, Happened, Lost, Next, Observed, Query, Seen, Span, Telling};

/// What a request says of time and number, whatever it is for.
macro_rules! asked {
    ($request:ident) => {
        $crate::hubble::feed::Asked {
            number: $request.number,
            first: $request.first,
            follow: $request.follow,
            since: $request.since.as_ref(),
            until: $request.until.as_ref(),
        }
    };
}
pub(super) use asked;

/// The answers to come.
pub struct Feed {
    telling: Telling<Happened, Seen>,
    mask: Option<Mask>,
    observed: Arc<Observed>,
    _place: Place,
}

impl Feed {
    /// Of a request.
    ///
    /// # Errors
    /// What about it is not understood, or contradicts itself.
    pub fn of(
        request: &GetFlowsRequest,
        observed: &Arc<Observed>,
        place: Place,
    ) -> Result<Self, Status> {
        let query = query(request)?;
        let older = request.experimental.as_ref();
        let older = older.and_then(|experimental| experimental.field_mask.as_ref());
        let mask = Mask::of(request.field_mask.as_ref().or(older))?;
        Ok(Self {
            telling: observed.ask(query),
            mask,
            observed: Arc::clone(observed),
            _place: place,
        })
    }

    /// As a stream.
    pub fn stream(self) -> impl Stream<Item = Result<GetFlowsResponse, Status>> + Send {
        unfold(self, async |mut feed| {
            let answer = match feed.telling.next().await? {
                Next::Told(Seen::Flow(flow)) => feed.answer(&flow),
                Next::Told(Seen::Lost(lost)) => lost_events(&lost),
                Next::Missed(count) => lost_events(&feed.observed.missed(count)),
            };
            Some((Ok(answer), feed))
        })
    }

    fn answer(&self, flow: &Flow) -> GetFlowsResponse {
        let told = whole(flow);
        let told = match &self.mask {
            Some(mask) => mask.apply(&told),
            None => told,
        };
        GetFlowsResponse {
            told: Some(Told::Flow(Box::new(told))),
            node_name: flow.record.node.to_string(),
            time: Some(timestamp(flow.record.time)),
        }
    }
}

fn lost_events(lost: &Lost) -> GetFlowsResponse {
    GetFlowsResponse {
        told: Some(Told::LostEvents(LostEvent {
            source: lost.source.number(),
            num_events_lost: lost.count,
            cpu: lost.cpu.map(u32::cast_signed),
        })),
        node_name: lost.node.to_string(),
        time: Some(timestamp(lost.time)),
    }
}

/// The same in our words.
fn query(request: &GetFlowsRequest) -> Result<Query, Status> {
    let span = span(&asked!(request))?;
    let filters = filters(&request.whitelist, &request.blacklist)?;
    Ok(Query { filters, span })
}

/// What all requests for events say of their time and number.
pub struct Asked<'a> {
    /// So many; 0: all.
    pub number: u64,
    /// The oldest, not the newest.
    pub first: bool,
    /// And what is to come.
    pub follow: bool,
    /// Not before.
    pub since: Option<&'a Timestamp>,
    /// Not after.
    pub until: Option<&'a Timestamp>,
}

/// The same in our words (Cilium `pkg/hubble/observer/local_observer.go`).
///
/// # Errors
/// When it contradicts itself.
pub fn span(asked: &Asked<'_>) -> Result<Span, Status> {
    if asked.first && asked.follow {
        return Err(Status::invalid_argument(
            "`first` cannot be used with `follow`: the oldest are followed by all others",
        ));
    }
    let number = Some(asked.number).filter(|number| *number > 0);
    let (first, last) = match (asked.first, number) {
        (true, number) => (number, None),
        (false, Some(number)) => (None, Some(number)),
        // Who follows wants what happens now, unless a time is given.
        (false, None) if asked.follow && asked.since.is_none() => (None, Some(0)),
        (false, None) => (None, None),
    };
    Ok(Span {
        since: asked.since.map(nanoseconds),
        until: asked.until.map(nanoseconds),
        first,
        last,
        follow: asked.follow,
    })
}
