//! The state of the agent and of the node over HTTP.
//!
//! `/healthz` and `/readyz` are the agent's own state ([`readiness`]). `/conditions` and `/api/v1/problems` list the recent
//! findings.

use axum::{
    Json, Router,
    extract::State,
    routing::{any, get},
};

use super::readiness;
use crate::{component::Components, exporter::recent::Recent};

/// What the pages show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// The components of the agent and their state.
    pub components: Components,
    /// The recent findings.
    pub recent: Recent,
}

/// The router of all pages.
pub(crate) fn router(shown: Shown) -> Router {
    Router::new()
        // node-problem-detector, too, answers any method.
        .route("/healthz", any(async |State(shown): State<Shown>| readiness::healthz(&shown.components)))
        .route("/readyz", get(async |State(shown): State<Shown>| readiness::readyz(&shown.components)))
        .route("/conditions", get(async |State(shown): State<Shown>| Json(shown.recent.conditions())))
        .route("/api/v1/problems", get(async |State(shown): State<Shown>| Json(shown.recent.problems())))
        .with_state(shown)
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
    async fn ready_means_every_component_is_and_otherwise_the_page_says_what_is_missing() {
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
    async fn healthz_answers_any_method() {
        for method in [Method::GET, Method::POST, Method::HEAD] {
            let body = if method == Method::HEAD { "" } else { "ok" };
            assert_eq!(ask(&Shown::default(), method, "/healthz").await, (200, body.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_stuck_component_is_unhealthy_and_named() {
        let shown = Shown::default();
        let component = shown.components.add("source kmsg");
        component.begin_step_at(Monotonic::from_nanos(1));
        let (code, text) = ask(&shown, Method::GET, "/healthz").await;
        assert_eq!(code, 500);
        assert!(text.starts_with("source kmsg has been stuck for "), "{text}");
        component.begin_step();
        assert_eq!(ask(&shown, Method::GET, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn unknown_pages_are_not_found() {
        for path in ["/", "/metrics", "/debug/pprof/"] {
            assert_eq!(ask(&Shown::default(), Method::GET, path).await.0, 404, "{path}");
        }
        assert_eq!(ask(&Shown::default(), Method::POST, "/conditions").await.0, 405);
        assert_eq!(ask(&Shown::default(), Method::GET, "/conditions").await, (200, "[]".to_owned()));
    }
}
