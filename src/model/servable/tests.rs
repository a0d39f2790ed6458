//! Groups run on a model, and each request gets what is its own.

use super::*;
use crate::{
    backend::scripted::ScriptedSession,
    model::batcher::BatchOptions,
    request::{Form, Ids, Request, Route},
    tensor::{DataType, Elements},
};

/// A model that gives back its input `x`, which is FP32 of this shape.
fn echo(shape: &[Option<usize>], axis: BatchAxis) -> Servable {
    let input = TensorSpec {
        name: "x".into(),
        datatype: DataType::Fp32,
        shape: shape.to_vec(),
        unranked: false,
        optional: false,
        classes: None,
    };
    let signature = Signature { inputs: vec![input], outputs: Vec::new() };
    let session = ScriptedSession::new(
        signature.clone(),
        Box::new(|inputs, rows| {
            let tensor = &inputs.find("x").unwrap().tensor;
            let rows = rows.unwrap_or(0..tensor.rows());
            Ok(vec![Column::new("y", tensor.slice(rows))])
        }),
    );
    let batcher =
        Batcher::start("echo", vec![Box::new(session)], axis, BatchOptions::default(), Arc::new(|_| {})).unwrap();
    Servable {
        id: ServableId { name: "echo".into(), version: 1 },
        version: "1".to_owned(),
        digest: String::new(),
        signature: Arc::new(signature),
        batching: Batching { axis, reason: String::new() },
        sessions: 1,
        threads: 1,
        folder: PathBuf::new(),
        since: SystemTime::UNIX_EPOCH,
        memory: 0,
        serial: 1,
        usage: Arc::default(),
        batcher,
        cached: None,
    }
}

/// Requests of `rows` rows each.
fn group(tensor: Tensor, rows: usize) -> Group {
    let request = |index: usize| Request {
        message: index,
        id: Ids::default().push("r"),
        rows: index * rows..(index + 1) * rows,
        form: Form::Tensors,
        deadline: Request::NO_DEADLINE,
        has_headers: false,
        options: None,
        failure: None,
    };
    let requests = (0..tensor.rows() / rows).map(request).collect();
    let route = Arc::new(Route { pipeline: 0, models: vec![] });
    Group { route, columns: [Column::new("x", tensor)].into_iter().collect(), requests }
}

/// What became of each request: its output, or the sentence of its error.
async fn outcomes(servable: &Servable, group: Group) -> Vec<Result<Elements, String>> {
    let mut outcomes = Vec::new();
    for group in servable.predict(group).await.groups {
        for request in &group.requests {
            let output =
                |group: &Group| group.columns.find("y").unwrap().tensor.slice(request.rows.clone()).elements().clone();
            let outcome = match &request.failure {
                None => Ok(output(&group)),
                Some(error) => Err(error.to_string()),
            };
            outcomes.push((request.message, outcome));
        }
    }
    outcomes.sort_by_key(|(message, _)| *message);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn a_number_that_the_model_cannot_hold_fails_its_own_request_alone() {
    let servable = echo(&[None], BatchAxis::Dynamic);
    let numbers = Tensor::vector(Elements::Int64(vec![1, (1 << 24) + 1, 3]));
    let [first, second, third] = outcomes(&servable, group(numbers, 1)).await.try_into().unwrap();
    assert_eq!((first, third), (Ok(Elements::Fp32(vec![1.0])), Ok(Elements::Fp32(vec![3.0]))));
    let why = second.unwrap_err();
    assert!(why.contains("INVALID_INPUT") && why.contains("element 0 is 16777217"), "{why}");
}

#[tokio::test]
async fn requests_for_a_model_of_one_fixed_shape_do_not_add_up_to_another_shape() {
    let servable = echo(&[Some(2)], BatchAxis::None);
    let numbers = Tensor::vector(Elements::Fp32(vec![1.0, 2.0, 3.0, 4.0]));
    let answers = outcomes(&servable, group(numbers, 2)).await;
    assert_eq!(answers, [Ok(Elements::Fp32(vec![1.0, 2.0])), Ok(Elements::Fp32(vec![3.0, 4.0]))]);
}
