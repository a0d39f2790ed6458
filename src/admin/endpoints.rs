//! Probes, metrics, and the page that lists what there is.

use std::fmt::Write;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{PipelineStatus, View};
use crate::metrics;

/// Every endpoint: method, path, what it says.
pub const ENDPOINTS: [(&str, &str, &str); 14] = [
    ("GET", "/", "this page"),
    ("GET", "/healthz", "200 while the worker lives; 503 with the reason once a part of it is dead"),
    ("GET", "/readyz", "200 when it is assigned and serves its pipelines' models; else 503 with the reasons"),
    ("GET", "/metrics", "Prometheus metrics, text format"),
    ("GET", "/v2", "Open Inference Protocol: server metadata"),
    ("GET", "/v2/health/live", "Open Inference Protocol: as /healthz"),
    ("GET", "/v2/health/ready", "Open Inference Protocol: as /readyz"),
    ("GET", "/v2/models/{model}", "inputs, outputs and versions of a model"),
    ("GET", "/v2/models/{model}/ready", "200 if a version of the model is in service"),
    ("GET", "/v2/models/{model}/versions/{version}", "the same of one version"),
    ("GET", "/v2/models/{model}/versions/{version}/ready", "200 if that version is in service"),
    ("POST", "/v2/repository/index", "every version of every model; with {\"ready\": true} those in service"),
    ("POST", "/v2/repository/models/{model}/load", "brings a model into memory; answers when it is there"),
    ("POST", "/v2/repository/models/{model}/unload", "takes a model out of memory until it is loaded again"),
];

/// The routes of this file, and what answers where there is none.
pub fn router() -> Router<View> {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
}

async fn index() -> String {
    let mut page = format!("modelmill {}\n\n", env!("CARGO_PKG_VERSION"));
    for (method, path, what) in ENDPOINTS {
        writeln!(page, "{method:<5}{path:<52}{what}").expect("a string takes everything");
    }
    page.push_str("\nPredictions come through Kafka, not through here.\n");
    page
}

async fn healthz(State(view): State<View>) -> Response {
    let snapshot = view.status.snapshot();
    if snapshot.dead.is_empty() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, snapshot.dead.join("\n")).into_response()
    }
}

async fn readyz(State(view): State<View>) -> Response {
    let snapshot = view.status.snapshot();
    let reasons = snapshot.reasons_against();
    let ready = reasons.is_empty();
    let body = json!({
        "ready": ready,
        "reasons": reasons,
        "assigned_partitions": snapshot.partitions,
        "pipelines": snapshot.pipelines.iter().map(pipeline).collect::<Vec<_>>(),
    });
    (code(ready), Json(body)).into_response()
}

fn pipeline(status: &PipelineStatus) -> Value {
    let PipelineStatus { name, topics, output, models } = status;
    let models: Vec<&str> = models.iter().map(|model| &**model).collect();
    json!({"name": name, "topics": topics, "output": output, "models": models})
}

/// What a probe looks at.
pub fn code(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn prometheus(State(view): State<View>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], view.metrics.render()).into_response()
}

async fn unknown() -> Response {
    listing(StatusCode::NOT_FOUND, "there is nothing at this path; `endpoints` lists what there is")
}

async fn wrong_method() -> Response {
    listing(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method; `endpoints` lists what there is")
}

fn listing(code: StatusCode, error: &str) -> Response {
    let endpoints: Vec<_> = ENDPOINTS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    (code, Json(json!({"error": error, "endpoints": endpoints}))).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        admin::{
            ModelState, Status,
            client::Client,
            status::tests::{pipeline, set, version},
        },
        metrics::{Metrics, PipelineMetrics},
    };

    use super::ENDPOINTS;

    #[test]
    fn a_worker_lives_until_a_part_reports_itself_dead() {
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        let answer = client.get("/healthz");
        assert_eq!((answer.code, answer.text.as_str()), (200, "ok"));
        client.status.set_dead("the producer", "fenced by another worker");
        let answer = client.get("/healthz");
        assert_eq!((answer.code, answer.text.as_str()), (503, "the producer is dead: fenced by another worker"));
    }

    #[test]
    fn readiness_gives_its_reasons_until_there_are_none() {
        let client = Client::start(&Metrics::default(), Status::new(vec![pipeline("iris")]));
        let answer = client.get("/readyz");
        assert_eq!(answer.code, 503);
        assert_eq!(answer.json()["ready"], false);
        assert_eq!(answer.json()["reasons"].as_array().unwrap().len(), 2);

        client.status.set_assigned(4);
        set(&client.status, vec![version("iris", 1, ModelState::Available)]);
        let answer = client.get("/readyz");
        assert_eq!(answer.code, 200);
        assert_eq!(answer.json()["assigned_partitions"], 4);
        assert_eq!(answer.json()["pipelines"][0]["models"][0], "iris");

        client.status.set_stopping();
        assert_eq!(client.get("/readyz").code, 503);
        assert_eq!(client.get("/healthz").code, 200);
    }

    #[test]
    fn metrics_hold_what_was_observed() {
        let metrics = Metrics::default();
        let pipeline = metrics.scope(|| PipelineMetrics::new("flowers"));
        let client = Client::start(&metrics, metrics.scope(|| Status::new(vec![])));
        pipeline.answered(None, 41);
        assert!(client.get("/metrics").text.contains("outcome=\"OK\"} 41\n"));
        pipeline.answered(None, 1);
        pipeline.latency(Duration::from_millis(4), 42);
        let answer = client.get("/metrics");
        assert_eq!((answer.code, answer.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        for line in [
            "modelmill_requests_total{pipeline=\"flowers\",outcome=\"OK\"} 42",
            "modelmill_request_latency_seconds_count{pipeline=\"flowers\"} 1",
            "modelmill_request_latency_seconds_bucket{pipeline=\"flowers\",le=\"0.0025\"} 0",
            "modelmill_request_latency_seconds_bucket{pipeline=\"flowers\",le=\"0.005\"} 1",
        ] {
            assert!(answer.text.lines().any(|found| found == line), "{line} in {}", answer.text);
        }
    }

    #[test]
    fn an_unknown_path_and_a_wrong_method_list_what_there_is() {
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        for (answer, code) in [(client.get("/metric"), 404), (client.post("/metrics", ""), 405)] {
            assert_eq!(answer.code, code);
            let endpoints = answer.json()["endpoints"].as_array().unwrap().clone();
            assert!(endpoints.contains(&"GET /metrics".into()), "{endpoints:?}");
        }
    }

    #[test]
    fn every_endpoint_that_is_listed_is_there() {
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        set(&client.status, vec![version("iris", 1, ModelState::Available)]);
        let page = client.get("/").text;
        for (method, path, _) in ENDPOINTS {
            assert!(page.contains(path), "{path} in {page}");
            let asked = path.replace("{model}", "iris").replace("{version}", "1");
            let answer = if method == "GET" { client.get(&asked) } else { client.post(&asked, "") };
            // Nobody takes wishes here.
            let expected: &[u16] = if path.ends_with("load") { &[400] } else { &[200, 503] };
            assert!(expected.contains(&answer.code), "{path}: {}", answer.code);
        }
    }
}
