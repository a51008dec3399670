//! What one client of `GetAgentEvents` gets, one answer after the other.

use futures_util::Stream;
use futures_util::stream::unfold;
use tonic::Status;

use super::feed::{asked, span};
use super::flows::timestamp;
use super::proto::agent::{
    AgentEvent, AgentEventType, GetAgentEventsRequest, GetAgentEventsResponse, Notification,
    PolicyUpdateNotification, TimeNotification,
};
use crate::control::places::Place;
use crate::observe::{self, AgentChange, AgentEvents, Next, PolicyChange, Telling};

/// The answers to a request.
///
/// # Errors
/// When it contradicts itself.
pub fn stream(
    request: &GetAgentEventsRequest,
    events: &AgentEvents,
    place: Place,
) -> Result<impl Stream<Item = Result<GetAgentEventsResponse, Status>> + Send + use<>, Status> {
    let span = span(&asked!(request))?;
    let state = (Some(events.ask(span)), place);
    Ok(unfold(state, async |(telling, place)| {
        let mut telling: Telling<_, _> = telling?;
        match telling.next().await? {
            Next::Told(event) => Some((Ok(answer(&event)), (Some(telling), place))),
            // There is no message that says so: who wants all of them asks again.
            Next::Missed(count) => {
                let missed = format!("{count} agent events were missed; try: since the last one");
                Some((Err(Status::data_loss(missed)), (None, place)))
            }
        }
    }))
}

fn answer(event: &observe::AgentEvent) -> GetAgentEventsResponse {
    let time = Some(timestamp(event.time));
    let policy = |change: &PolicyChange| {
        Notification::PolicyUpdate(PolicyUpdateNotification {
            labels: change.labels(),
            revision: change.revision,
            rule_count: change.rules.cast_signed(),
        })
    };
    let (kind, notification) = match &event.what {
        AgentChange::Started => (
            AgentEventType::AgentStarted,
            Notification::AgentStart(TimeNotification { time }),
        ),
        AgentChange::PolicyUpdated(change) => (AgentEventType::PolicyUpdated, policy(change)),
        AgentChange::PolicyDeleted(change) => (AgentEventType::PolicyDeleted, policy(change)),
    };
    GetAgentEventsResponse {
        agent_event: Some(AgentEvent {
            r#type: kind as i32,
            notification: Some(notification),
        }),
        node_name: event.node.to_string(),
        time,
    }
}
