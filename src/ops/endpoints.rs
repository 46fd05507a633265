//! The endpoints that ask for no token: `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::Readiness;
use crate::metrics::Metrics;

/// What the endpoints look at.
#[derive(Clone)]
pub struct Observed {
    /// What is counted.
    pub metrics: Metrics,
    /// Which checks are passed.
    pub readiness: Readiness,
}

/// What `/readyz?verbose` answers.
#[derive(Serialize)]
struct Report {
    ready: bool,
    /// Each check: `ok`, or why it is not passed or what else operators should see.
    checks: BTreeMap<&'static str, String>,
}

/// Returns the endpoints, with those for operators below `/admin/v1`.
pub fn router(observed: Observed, admin: Router) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(observed)
        .nest("/admin/v1", admin)
}

/// The process runs and answers; nothing more is looked at, since a restart would mend nothing else.
async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(observed): State<Observed>, RawQuery(query): RawQuery) -> Response {
    let checks = observed.readiness.checks();
    let ready = observed.readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.unwrap_or_default().split('&').any(|part| part.split('=').next() == Some("verbose"));
    if is_verbose {
        let checks = checks.into_iter().map(|(name, failed)| (name, failed.unwrap_or_else(|| "ok".to_owned())));
        return (status, Json(Report { ready, checks: checks.collect() })).into_response();
    }
    (status, if ready { "ok\n" } else { "not ready; ask /readyz?verbose why\n" }).into_response()
}

async fn metrics(State(observed): State<Observed>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], observed.metrics.text()).into_response()
}
