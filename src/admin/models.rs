//! The Open Inference Protocol's view of the models, and Triton's repository API: index, load, unload.
//!
//! Sources: the protocol's HTTP/REST part <https://kserve.github.io/website/latest/modelserving/data_plane/v2_protocol/>
//! and Triton's model repository extension.

use std::time::{Duration, Instant};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ModelControl, ModelState, ModelStatus, ModelUsage, Snapshot, View, endpoints::code};
use crate::backend::TensorSpec;

/// How long a client that loads a model waits for it, and how often is looked whether it is there.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);

/// The protocol's name for ONNX files.
const PLATFORM: &str = "onnx_onnxv1";

/// The routes of this file.
pub fn router() -> Router<View> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(newest))
        .route("/v2/models/{model}/ready", get(newest_ready))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload))
}

async fn server() -> Json<Value> {
    Json(json!({"name": "modelmill", "version": env!("CARGO_PKG_VERSION"), "extensions": ["model_repository"]}))
}

async fn live(State(view): State<View>) -> Response {
    let live = view.status.snapshot().dead.is_empty();
    (code(live), Json(json!({"live": live}))).into_response()
}

async fn ready(State(view): State<View>) -> Response {
    let ready = view.status.snapshot().reasons_against().is_empty();
    (code(ready), Json(json!({"ready": ready}))).into_response()
}

async fn newest(State(view): State<View>, Path(model): Path<String>) -> Response {
    let snapshot = view.status.snapshot();
    in_service(&snapshot, &model).map_or_else(|| unknown(&model, None), |status| metadata(&snapshot, status))
}

async fn newest_ready(State(view): State<View>, Path(model): Path<String>) -> Response {
    let snapshot = view.status.snapshot();
    in_service(&snapshot, &model).map_or_else(|| unknown(&model, None), readiness)
}

async fn version(State(view): State<View>, Path((model, version)): Path<(String, String)>) -> Response {
    let snapshot = view.status.snapshot();
    let found = numbered(&snapshot, &model, &version);
    found.map_or_else(|| unknown(&model, Some(&version)), |status| metadata(&snapshot, status))
}

async fn version_ready(State(view): State<View>, Path((model, version)): Path<(String, String)>) -> Response {
    let snapshot = view.status.snapshot();
    numbered(&snapshot, &model, &version).map_or_else(|| unknown(&model, Some(&version)), readiness)
}

/// The version that answers requests which name none, or the newest if none is in service.
fn in_service<'a>(snapshot: &'a Snapshot, model: &'a str) -> Option<&'a ModelStatus> {
    let available = snapshot.versions(model).rfind(|status| status.state == ModelState::Available);
    available.or_else(|| snapshot.versions(model).next_back())
}

fn numbered<'a>(snapshot: &'a Snapshot, model: &'a str, version: &str) -> Option<&'a ModelStatus> {
    let version: u64 = version.parse().ok()?;
    snapshot.versions(model).find(|status| status.version == version)
}

fn readiness(status: &ModelStatus) -> Response {
    let ready = status.state == ModelState::Available;
    let mut body = json!({"name": *status.name, "ready": ready});
    if !ready {
        body["reason"] = reason(status).into();
    }
    (code(ready), Json(body)).into_response()
}

fn metadata(snapshot: &Snapshot, status: &ModelStatus) -> Response {
    let versions: Vec<_> = snapshot.versions(&status.name).map(|other| other.version.to_string()).collect();
    let signature = status.signature.as_deref();
    let inputs = signature.map(|signature| signature.inputs.as_slice()).unwrap_or_default();
    let outputs = signature.map(|signature| signature.outputs.as_slice()).unwrap_or_default();
    let mut parameters = json!({"version": status.version.to_string(), "state": status.state.as_str()});
    if let Some(digest) = &status.digest {
        parameters["digest"] = digest.as_str().into();
    }
    if let Some(loaded_at) = status.loaded_at {
        parameters["loaded_at"] = humantime::format_rfc3339_seconds(loaded_at).to_string().into();
    }
    if let Some(since) = status.since {
        parameters["since"] = humantime::format_rfc3339_seconds(since).to_string().into();
    }
    if let Some(memory) = status.memory {
        parameters["memory_bytes"] = memory.into();
    }
    if let Some((idle, requests)) = status.usage.as_ref().map(ModelUsage::read) {
        parameters["requests"] = requests.into();
        parameters["idle_seconds"] = idle.as_secs().into();
    }
    if status.state != ModelState::Available || status.reason.is_some() {
        parameters["reason"] = reason(status).into();
    }
    let body = json!({
        "name": *status.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(tensor).collect::<Vec<_>>(),
        "parameters": parameters,
    });
    Json(body).into_response()
}

/// A tensor's metadata, in which an axis of any length is -1.
fn tensor(spec: &TensorSpec) -> Value {
    let length = |axis: &Option<usize>| axis.map_or(json!(-1), |length| json!(length));
    let shape: Vec<_> = spec.shape.iter().map(length).collect();
    json!({"name": *spec.name, "datatype": spec.datatype.as_str(), "shape": shape})
}

fn reason(status: &ModelStatus) -> String {
    match (&status.reason, status.state) {
        (Some(reason), _) => reason.clone(),
        (None, ModelState::Available) => String::new(),
        (None, state) => state.as_str().to_owned(),
    }
}

fn unknown(model: &str, version: Option<&str>) -> Response {
    let version = version.map(|version| format!(" version `{version}`")).unwrap_or_default();
    let error =
        format!("there is no model `{model}`{version} here; POST /v2/repository/index lists those that there are");
    (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response()
}

/// What an index request may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IndexRequest {
    /// Only versions in service.
    ready: bool,
}

/// The body may be missing, and clients send it without a content type.
async fn index(State(view): State<View>, body: Bytes) -> Response {
    let request = if body.is_empty() { Ok(IndexRequest::default()) } else { serde_json::from_slice(&body) };
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            let error = format!("the body should be empty or like {{\"ready\": true}}: {error}");
            return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
        }
    };
    let snapshot = view.status.snapshot();
    let wanted = snapshot
        .models
        .values()
        .flat_map(|versions| versions.iter())
        .filter(|status| !request.ready || status.state == ModelState::Available);
    Json(wanted.map(index_entry).collect::<Value>()).into_response()
}

/// Answers when the model serves, or cannot: a client that loads wants to go on with it.
async fn load(State(view): State<View>, Path(model): Path<String>) -> Response {
    let asked = model.clone();
    if let Err(error) = ask(&view, move |control| control.load(&asked)).await {
        return refused(&error);
    }
    let deadline = Instant::now() + LOAD_PATIENCE;
    loop {
        let snapshot = view.status.snapshot();
        let newest = in_service(&snapshot, &model);
        match newest.map(|status| (status.state, status)) {
            Some((ModelState::Available, _)) => return Json(json!({})).into_response(),
            Some((ModelState::Failed, status)) => return refused(&reason(status)),
            _ if Instant::now() > deadline => return refused("it is still being loaded: ask for its readiness later"),
            _ => tokio::time::sleep(GLANCE).await,
        }
    }
}

async fn unload(State(view): State<View>, Path(model): Path<String>) -> Response {
    match ask(&view, move |control| control.unload(&model)).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(error) => refused(&error),
    }
}

/// Tells a wish to whoever takes wishes, which may take some time.
async fn ask(
    view: &View,
    wish: impl FnOnce(&dyn ModelControl) -> Result<(), String> + Send + 'static,
) -> Result<(), String> {
    let Some(control) = view.status.control() else { return Err("the worker is starting: try again soon".to_owned()) };
    let told = tokio::task::spawn_blocking(move || wish(&*control)).await;
    told.unwrap_or_else(|_| Err("the worker is stopping".to_owned()))
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

fn index_entry(status: &ModelStatus) -> Value {
    let version = status.version.to_string();
    json!({"name": *status.name, "version": version, "state": triton_state(status.state), "reason": reason(status)})
}

/// The extension's word for a state.
const fn triton_state(state: ModelState) -> &'static str {
    match state {
        ModelState::Aspired | ModelState::Unloaded | ModelState::Failed => "UNAVAILABLE",
        ModelState::Loading => "LOADING",
        ModelState::Available => "READY",
        ModelState::Retiring => "UNLOADING",
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        admin::{
            Status,
            client::Client,
            status::tests::{set, version as model},
        },
        backend::Signature,
        metrics::Metrics,
        tensor::DataType,
    };

    fn spec(name: &str, datatype: DataType, shape: Vec<Option<usize>>) -> TensorSpec {
        TensorSpec { name: name.into(), datatype, shape, unranked: false, optional: false, classes: None }
    }

    /// iris 1 retires, 2 serves, 10 has failed; `a/b` serves under a name that a URL must escape.
    fn client() -> Client {
        let signature = Signature {
            inputs: vec![spec("X", DataType::Fp32, vec![None, Some(4)])],
            outputs: vec![spec("label", DataType::Int64, vec![None])],
        };
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        set(
            &client.status,
            vec![
                ModelStatus { reason: Some("model.onnx is truncated".into()), ..model("iris", 10, ModelState::Failed) },
                ModelStatus {
                    digest: Some("0123456789abcdef".into()),
                    loaded_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
                    signature: Some(Arc::new(signature)),
                    ..model("iris", 2, ModelState::Available)
                },
                model("iris", 1, ModelState::Retiring),
                model("a/b", 1, ModelState::Available),
            ],
        );
        client
    }

    #[test]
    fn a_models_metadata_are_those_of_the_version_in_service() {
        let answer = client().get("/v2/models/iris");
        assert_eq!(answer.code, 200);
        let expected = json!({
            "name": "iris",
            "versions": ["1", "2", "10"],
            "platform": "onnx_onnxv1",
            "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
            "parameters": {
                "version": "2",
                "state": "available",
                "digest": "0123456789abcdef",
                "loaded_at": "2023-11-14T22:13:20Z",
            },
        });
        assert_eq!(answer.json(), expected);
    }

    #[test]
    fn a_version_that_failed_says_why() {
        let client = client();
        assert_eq!(client.get("/v2/models/iris/versions/10").json()["parameters"]["reason"], "model.onnx is truncated");
        let answer = client.get("/v2/models/iris/versions/10/ready");
        assert_eq!(answer.code, 503);
        assert_eq!(answer.json(), json!({"name": "iris", "ready": false, "reason": "model.onnx is truncated"}));
    }

    #[test]
    fn readiness_of_a_model_is_that_of_any_version_and_of_a_version_its_own() {
        let client = client();
        for (path, code) in [
            ("/v2/models/iris/ready", 200),
            ("/v2/models/iris/versions/2/ready", 200),
            ("/v2/models/iris/versions/1/ready", 503),
            ("/v2/models/iris/versions/3/ready", 404),
            ("/v2/models/iris/versions/two/ready", 404),
            ("/v2/models/digits/ready", 404),
            ("/v2/models/a%2Fb/ready", 200),
        ] {
            assert_eq!(client.get(path).code, code, "{path}");
        }
    }

    #[test]
    fn an_unknown_model_is_named() {
        let answer = client().get("/v2/models/digits/versions/7");
        assert_eq!(answer.code, 404);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("there is no model `digits` version `7` here"), "{error}");
    }

    #[test]
    fn the_index_lists_every_version_or_those_in_service() {
        let client = client();
        let all = client.post("/v2/repository/index", "").json();
        let states: Vec<_> = all.as_array().unwrap().iter().map(|entry| entry["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["READY", "UNLOADING", "READY", "UNAVAILABLE"]);
        assert_eq!(all[3]["reason"], "model.onnx is truncated");
        let ready = client.post("/v2/repository/index", r#"{"ready": true, "repository_name": ""}"#).json();
        let names: Vec<_> = ready.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a/b", "iris"]);
        assert_eq!(client.post("/v2/repository/index", "{").code, 400);
    }

    /// Takes down what it is asked, and knows one model, which is there at once.
    struct Operator {
        asked: Mutex<Vec<String>>,
        status: Arc<Status>,
    }

    impl ModelControl for Operator {
        fn load(&self, name: &str) -> Result<(), String> {
            self.asked.lock().push(format!("load {name}"));
            if name != "iris" {
                return Err(format!("there is no model `{name}`"));
            }
            set(&self.status, vec![model("iris", 1, ModelState::Available)]);
            Ok(())
        }

        fn unload(&self, name: &str) -> Result<(), String> {
            self.asked.lock().push(format!("unload {name}"));
            Ok(())
        }
    }

    #[test]
    fn an_operators_wishes_are_passed_on_and_a_load_answers_when_the_model_is_there() {
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        let early = client.post("/v2/repository/models/iris/load", "");
        assert!(early.code == 400 && early.text.contains("starting"), "{}", early.text);
        let operator = Arc::new(Operator { asked: Mutex::default(), status: Arc::clone(&client.status) });
        client.status.set_control(Arc::<Operator>::clone(&operator));
        assert_eq!(client.post("/v2/repository/models/iris/load", "{}").code, 200);
        assert_eq!(client.get("/v2/models/iris/ready").code, 200);
        assert_eq!(client.post("/v2/repository/models/iris/unload", "").code, 200);
        let unknown = client.post("/v2/repository/models/a%2Fb/load", "");
        assert_eq!((unknown.code, unknown.json()["error"].as_str()), (400, Some("there is no model `a/b`")));
        assert_eq!(*operator.asked.lock(), ["load iris", "unload iris", "load a/b"]);
    }

    #[test]
    fn the_protocols_health_is_the_workers() {
        let client = Client::start(&Metrics::default(), Status::new(vec![]));
        assert_eq!(client.get("/v2/health/live").json(), json!({"live": true}));
        assert_eq!(client.get("/v2/health/ready").code, 503);
        client.status.set_assigned(1);
        assert_eq!(client.get("/v2/health/ready").json(), json!({"ready": true}));
        client.status.set_dead("the consumer", "gone");
        assert_eq!(client.get("/v2/health/live").code, 503);
        assert_eq!(client.get("/v2").json()["name"], "modelmill");
    }
}
