//! What is answered, made of what the daemon says.
//!
//! However many ask, the daemon is asked by one at a time, and at most once in
//! [`FRESH`]: its loop also answers operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Method, Request as HttpRequest, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::text::{Format, render};
use super::{Numbers, families};
use crate::config::Metrics;
use crate::control::protocol::{Failure, Request};
use crate::control::server::Call;
use crate::exit;
use crate::observe::Observed;

/// For so long an answer of the daemon is told again.
const FRESH: Duration = Duration::from_millis(500);
/// For the daemon to answer: Prometheus waits ten seconds.
const ANSWER: Duration = Duration::from_secs(8);
/// Problems that `/healthz` names; `fw-ctl status` has all.
const NAMED: usize = 20;
/// Bytes of each.
const LONGEST: usize = 500;

/// Where the numbers come from.
#[derive(Clone)]
pub struct Source {
    /// Requests to the daemon.
    pub calls: mpsc::Sender<Call>,
    /// What it has reported.
    pub observed: Arc<Observed>,
    /// How they are to be told.
    pub settings: watch::Receiver<Metrics>,
}

/// The last answer, if there was one.
type Kept = Option<Arc<Told>>;

/// Answers requests.
pub struct Answers {
    source: Source,
    /// The last answer of the daemon.
    kept: Arc<Mutex<Kept>>,
    /// Connections that were ended for others.
    pub displaced: AtomicU64,
    /// How long a client waits for the daemon.
    patience: Duration,
}

/// What the daemon said, and the texts of it that somebody has wanted.
struct Told {
    at: Instant,
    numbers: Numbers,
    cilium_names: bool,
    prometheus: OnceLock<Bytes>,
    open_metrics: OnceLock<Bytes>,
}

impl Told {
    fn text(&self, format: Format) -> Bytes {
        let text = match format {
            Format::Prometheus => &self.prometheus,
            Format::OpenMetrics => &self.open_metrics,
        };
        let make = || render(&families(&self.numbers, self.cilium_names), format).into();
        text.get_or_init(make).clone()
    }
}

impl Answers {
    /// From a source.
    pub fn new(source: Source) -> Self {
        Self::with_patience(source, ANSWER)
    }

    pub(super) fn with_patience(source: Source, patience: Duration) -> Self {
        Self {
            source,
            kept: Arc::default(),
            displaced: AtomicU64::new(0),
            patience,
        }
    }

    /// To a request; its body, if there is one, is not looked at.
    pub async fn respond<B>(self: &Arc<Self>, request: &HttpRequest<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            let allow = header::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request).await,
            "/healthz" => self.health().await,
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /metrics and /healthz here\n",
            ),
        }
    }

    async fn metrics<B>(self: &Arc<Self>, request: &HttpRequest<B>) -> Response<Full<Bytes>> {
        let told = match self.told().await {
            Ok(told) => told,
            Err(why) => return plain(StatusCode::SERVICE_UNAVAILABLE, &why),
        };
        // One header may be there several times (RFC 9110 §5.3).
        let accept = request.headers().get_all(header::ACCEPT).iter();
        let accept: Vec<_> = accept.filter_map(|accept| accept.to_str().ok()).collect();
        let format = Format::accepted(&accept.join(","));
        let mut response = Response::new(Full::new(told.text(format)));
        let kind = header::HeaderValue::from_static(format.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn health(self: &Arc<Self>) -> Response<Full<Bytes>> {
        match self.told().await {
            Ok(told) => match health(&told.numbers) {
                None => plain(StatusCode::OK, "ok\n"),
                Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
            Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &why),
        }
    }

    /// # Errors
    /// Why the daemon has not answered.
    async fn told(self: &Arc<Self>) -> Result<Arc<Told>, String> {
        match timeout(self.patience, self.fresh()).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(failure)) => Err(failure.line() + "\n"),
            Err(_) => Err("the daemon does not answer\n".to_owned()),
        }
    }

    async fn fresh(self: &Arc<Self>) -> Result<Arc<Told>, Failure> {
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        if let Some(told) = &*kept
            && told.at.elapsed() < FRESH
        {
            return Ok(Arc::clone(told));
        }
        // In a task of its own, which goes on when the client does not, and nobody else asks
        // before it ends: else many who come and go would leave as many requests with the daemon.
        let answers = Arc::clone(self);
        let asked = tokio::spawn(async move {
            let told = Arc::new(answers.ask().await?);
            *kept = Some(Arc::clone(&told));
            Ok(told)
        });
        asked.await.map_err(|_| stopping())?
    }

    async fn ask(&self) -> Result<Told, Failure> {
        Ok(Told {
            numbers: self.numbers().await?,
            at: Instant::now(),
            cilium_names: self.source.settings.borrow().cilium_names,
            prometheus: OnceLock::new(),
            open_metrics: OnceLock::new(),
        })
    }

    async fn numbers(&self) -> Result<Numbers, Failure> {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            request: Request::Metrics,
            connected: Instant::now(),
            answer,
        };
        let sent = self.source.calls.send(call).await;
        sent.map_err(|_| stopping())?;
        let value = answered.await.map_err(|_| stopping())??;
        let numbers: Numbers = serde_json::from_value(value).map_err(|_| stopping())?;
        Ok(Numbers {
            events: self.source.observed.tally(),
            displaced: self.displaced.load(Ordering::Relaxed),
            ..numbers
        })
    }
}

fn stopping() -> Failure {
    Failure::new(exit::UNREACHABLE, "the daemon is stopping")
}

/// Why not all is well, a line each; `None` if it is.
fn health(numbers: &Numbers) -> Option<String> {
    let problems = &numbers.problems;
    if problems.is_empty() {
        return (!numbers.judging).then(|| "nothing is filtered\n".to_owned());
    }
    let mut text = String::new();
    for problem in problems.iter().take(NAMED) {
        let end = problem.floor_char_boundary(LONGEST);
        text.push_str(&problem[..end].replace('\n', " "));
        text.push('\n');
    }
    if problems.len() > NAMED {
        text.push_str("more: fw-ctl status\n");
    }
    Some(text)
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_up_to_a_limit() {
        let mut numbers = Numbers {
            judging: true,
            ..Numbers::default()
        };
        assert_eq!(health(&numbers), None);
        numbers.judging = false;
        assert_eq!(health(&numbers).unwrap(), "nothing is filtered\n");
        numbers.problems = vec!["first\nand more".into(), "ü".repeat(LONGEST)];
        let text = health(&numbers).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("first and more\nüü"));
        assert_eq!(text.len(), "first and more\n".len() + LONGEST + 1);
        numbers.problems = vec!["again".into(); NAMED + 1];
        let text = health(&numbers).unwrap();
        assert_eq!(text.lines().count(), NAMED + 1);
        assert!(text.ends_with("again\nmore: fw-ctl status\n"));
    }
}
