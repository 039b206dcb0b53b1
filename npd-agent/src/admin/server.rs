//! How the agent and the node are, over HTTP.
//!
//! `/healthz` says whether the agent is alive: it fails when a part has worked at one step for a minute, and a restart
//! is what helps then. `/readyz` says whether all parts can do their work, and what the others wait for.
//! `/conditions` and `/api/v1/problems` are what was found of late.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{any, get},
};

use crate::{
    component::{Components, Readiness},
    exporter::recent::Recent,
    time::Now,
};

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// How the parts of the agent are.
    pub components: Components,
    /// What was found.
    pub recent: Recent,
}

/// The pages.
pub fn router(shown: Shown) -> Router {
    Router::new()
        // As node-problem-detector answers any method.
        .route("/healthz", any(healthz))
        .route("/readyz", get(readyz))
        .route("/conditions", get(async |State(shown): State<Shown>| Json(shown.recent.conditions())))
        .route("/api/v1/problems", get(async |State(shown): State<Shown>| Json(shown.recent.problems())))
        .with_state(shown)
}

async fn healthz(State(shown): State<Shown>) -> impl IntoResponse {
    let stuck = shown.components.stuck(Now::read().mono);
    if stuck.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    let lines = stuck.iter().map(|(name, time)| format!("{name} is stuck for {} s\n", time.as_secs()));
    (StatusCode::INTERNAL_SERVER_ERROR, lines.collect())
}

/// One line a component, as the API server's own page has them.
async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    let parts = shown.components.readiness();
    let is_ready = parts.iter().all(|(_, readiness)| matches!(readiness, Readiness::Ready(_)));
    let lines = parts.iter().map(|(name, readiness)| match readiness {
        Readiness::Ready("") => format!("[+] {name}: ok\n"),
        Readiness::Ready(way) => format!("[+] {name}: {way}\n"),
        Readiness::Waiting(why) => format!("[-] {name}: {why}\n"),
    });
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Method, Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::time::Monotonic;

    async fn ask(shown: &Shown, method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = router(shown.clone()).oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_means_that_all_parts_are_and_else_it_says_what_is_waited_for() {
        let shown = Shown::default();
        let kernel = shown.components.add("source kmsg");
        kernel.set_mode("probe+kmsg");
        kernel.set_ready();
        let cluster = shown.components.add("kubernetes");
        cluster.set_waiting("connection refused");
        let lines = "[-] kubernetes: connection refused\n[+] source kmsg: probe+kmsg\n".to_owned();
        assert_eq!(ask(&shown, Method::GET, "/readyz").await, (503, lines));
        cluster.set_ready();
        let lines = "[+] kubernetes: ok\n[+] source kmsg: probe+kmsg\n".to_owned();
        assert_eq!(ask(&shown, Method::GET, "/readyz").await, (200, lines));
    }

    #[tokio::test]
    async fn health_is_told_to_any_method() {
        for method in [Method::GET, Method::POST, Method::HEAD] {
            let body = if method == Method::HEAD { "" } else { "ok" };
            assert_eq!(ask(&Shown::default(), method, "/healthz").await, (200, body.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_part_that_is_stuck_is_no_health_and_is_named() {
        let shown = Shown::default();
        let component = shown.components.add("source kmsg");
        component.begin_step_at(Monotonic::from_nanos(1));
        let (code, text) = ask(&shown, Method::GET, "/healthz").await;
        assert_eq!(code, 500);
        assert!(text.starts_with("source kmsg is stuck for "), "{text}");
        component.begin_step();
        assert_eq!(ask(&shown, Method::GET, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        for path in ["/", "/metrics", "/debug/pprof/"] {
            assert_eq!(ask(&Shown::default(), Method::GET, path).await.0, 404, "{path}");
        }
        assert_eq!(ask(&Shown::default(), Method::POST, "/conditions").await.0, 405);
        assert_eq!(ask(&Shown::default(), Method::GET, "/conditions").await, (200, "[]".to_owned()));
    }
}
