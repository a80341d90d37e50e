//! One request, one answer.
//!
//! In: a request. Out: an answer within [`ANSWER_TIME_MAX`]. Invariants: only GET and HEAD do anything, and they change
//! nothing; everything goes out with a policy that lets no other site frame, read or run it; what did not change since
//! the reader last asked is not sent again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::board::{Board, RunView};
use super::guard::{Guard, Pass};
use super::query::parameter;
use super::{api, metrics};
use crate::report::html::LivePage;

/// Time that an answer may take to be made.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Time that the loop gets to make the pictures of a run.
const VIEW_TIME_MAX: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What answers are made from.
pub(super) struct Site {
    pub(super) board: Arc<Board>,
    pub(super) guard: Guard,
    pub(super) page: LivePage,
    pub(super) stalled_after: Duration,
}

/// Answers.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let path = head.uri.path();
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refusal
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    // Whether it is alive is no secret, and probes hold no token.
    if path != "/healthz" {
        match site.guard.pass(query, &head.headers) {
            Pass::Welcome => {}
            Pass::Introduced(cookie) => return introduced(path, &cookie),
            Pass::WrongHost => {
                return text(
                    StatusCode::MISDIRECTED_REQUEST,
                    "this host name is not served: ask for localhost or an address",
                );
            }
            Pass::Stranger => return stranger(),
        }
    }
    let answered = timeout(ANSWER_TIME_MAX, route(&site, path, query, &head.headers)).await;
    answered.unwrap_or_else(|_| text(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long"))
}

async fn route(site: &Arc<Site>, path: &str, query: &str, headers: &HeaderMap) -> Response {
    match path {
        "/" => page(site),
        "/healthz" => health(site),
        "/metrics" => metrics_text(site, headers).await,
        "/api/v1/runs" => made(site, api::runs).await,
        "/api/v1/alerts" => made(site, api::alerts).await,
        "/data/overview" => overview(site, headers).await,
        "/data/baseline" => baseline(site, headers).await,
        "/data/run" => match parameter(query, "run") {
            Some(run) => run_data(site, &run, headers).await,
            None => text(StatusCode::BAD_REQUEST, "which run? /data/run?run=NAME"),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /, /metrics, /healthz, /api/v1/runs and /api/v1/alerts",
        ),
    }
}

fn page(site: &Site) -> Response {
    let mut page = reply(StatusCode::OK, HTML, site.page.html.clone());
    if let Ok(policy) = HeaderValue::from_str(&site.page.policy) {
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    page
}

fn health(site: &Site) -> Response {
    let since = site.board.since_beat();
    if since > site.stalled_after {
        let words = format!("the loop has not turned for {} s", since.as_secs());
        return text(StatusCode::SERVICE_UNAVAILABLE, &words);
    }
    text(StatusCode::OK, "ok")
}

async fn metrics_text(site: &Arc<Site>, headers: &HeaderMap) -> Response {
    let accepts = headers.get_all(header::ACCEPT).into_iter();
    let is_open = accepts
        .filter_map(|it| it.to_str().ok())
        .any(|it| it.contains("application/openmetrics-text"));
    let site = Arc::clone(site);
    let made = spawn_blocking(move || {
        let (snapshot, health) = (site.board.snapshot(), site.board.health());
        metrics::write(&snapshot, health, site.board.since_beat(), is_open)
    });
    match made.await {
        Ok(Ok(body)) => reply(StatusCode::OK, metrics::content_type(is_open), body),
        _ => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        ),
    }
}

/// What is made for each reader anew: it holds the present time.
async fn made(site: &Arc<Site>, make: fn(&Board, Timestamp) -> String) -> Response {
    let board = Arc::clone(&site.board);
    match spawn_blocking(move || make(&board, Timestamp::now())).await {
        Ok(body) => reply(StatusCode::OK, JSON, body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made"),
    }
}

async fn overview(site: &Arc<Site>, headers: &HeaderMap) -> Response {
    let snapshot = site.board.snapshot();
    let tag = format!("\"{}-{}\"", site.board.epoch, snapshot.revision);
    unless_known(&tag, headers, move || snapshot.overview()).await
}

async fn baseline(site: &Arc<Site>, headers: &HeaderMap) -> Response {
    let (number, json) = site.board.baseline();
    let tag = format!("\"{}-b{number}\"", site.board.epoch);
    unless_known(&tag, headers, move || json).await
}

async fn run_data(site: &Arc<Site>, run: &str, headers: &HeaderMap) -> Response {
    if site.board.snapshot().run(run).is_none() {
        return text(StatusCode::NOT_FOUND, "no such run is followed");
    }
    let Ok(Some(view)) = timeout(VIEW_TIME_MAX, view_of(&site.board, run)).await else {
        let mut later = text(StatusCode::ACCEPTED, "still reading: ask again");
        later
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        return later;
    };
    let tag = format!("\"{}-r{}\"", site.board.epoch, view.revision);
    unless_known(&tag, headers, move || view.json()).await
}

/// The pictures of a run; waits for the loop to make them.
async fn view_of(board: &Board, run: &str) -> Option<Arc<RunView>> {
    let mut news = board.subscribe();
    loop {
        if let Some(view) = board.look_at(run) {
            return Some(view);
        }
        news.changed().await.ok()?;
    }
}

async fn unless_known(
    tag: &str,
    headers: &HeaderMap,
    make: impl FnOnce() -> Bytes + Send + 'static,
) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let is_known = known.is_some_and(|it| it.split(',').any(|it| it.trim() == tag));
    let mut answer = if is_known {
        reply(StatusCode::NOT_MODIFIED, JSON, Bytes::new())
    } else {
        match spawn_blocking(make).await {
            Ok(body) => reply(StatusCode::OK, JSON, body),
            Err(_) => return text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made"),
        }
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

/// The same address without the token, which would stay in the history of the browser.
fn introduced(path: &str, cookie: &str) -> Response {
    let mut answer = text(StatusCode::SEE_OTHER, "");
    // A path that begins with two slashes would name another host.
    let path = format!("/{}", path.trim_start_matches('/'));
    for (name, value) in [(header::LOCATION, path.as_str()), (header::SET_COOKIE, cookie)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn stranger() -> Response {
    let words = "a token is needed: `Authorization: Bearer TOKEN`, or once ?token=TOKEN in a browser";
    let mut refusal = text(StatusCode::UNAUTHORIZED, words);
    refusal
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

fn text(status: StatusCode, words: &str) -> Response {
    reply(status, TEXT, format!("{words}\n"))
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    const ALWAYS: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
