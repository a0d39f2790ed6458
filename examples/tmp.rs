use modelmill::{
    backend::{
        Session,
        onnx::{OnnxSession, SessionOptions},
    },
    tensor::{Column, Columns, Elements, Tensor},
};
use std::time::Instant;
fn main() {
    let which = std::env::args().nth(1).unwrap();
    let path = "tests/data/fixtures/iris/1/model.onnx";
    for rows in [1usize, 128, 4096] {
        let numbers: Vec<f32> = (0..rows * 4).map(|i| (i % 70) as f32 / 10.0).collect();
        let mut best = f64::MAX;
        const N: usize = 400;
        if which == "ours" {
            let mut session = OnnxSession::open(path.as_ref(), &SessionOptions::default()).unwrap();
            let inputs: Columns =
                std::iter::once(Column::new("X", Tensor::matrix(4, Elements::Fp32(numbers.clone())))).collect();
            for _ in 0..200 {
                let t = Instant::now();
                for _ in 0..N {
                    std::hint::black_box(session.run(&inputs, Some(0..rows)).unwrap());
                }
                best = best.min(t.elapsed().as_secs_f64() / N as f64 * 1e6);
            }
        } else {
            static E: std::sync::OnceLock<ort::environment::Environment> = std::sync::OnceLock::new();
            let e = E.get_or_init(|| {
                ort::init_from(std::env::var("ORT_DYLIB_PATH").unwrap())
                    .unwrap()
                    .with_telemetry(false)
                    .with_logger(std::sync::Arc::new(|_, _, _, _, _| {}))
                    .build()
                    .unwrap()
            });
            e.set_log_level(ort::logging::LogLevel::Fatal);
            let mut session = ort::session::Session::builder(e)
                .unwrap()
                .with_intra_threads(1)
                .unwrap()
                .with_intra_op_spinning(false)
                .unwrap()
                .commit_from_file(path)
                .unwrap();
            for _ in 0..200 {
                let t = Instant::now();
                for _ in 0..N {
                    let view = ort::value::TensorRef::from_array_view(([rows, 4], &*numbers)).unwrap();
                    let outputs = session.run(ort::inputs![view]).unwrap();
                    let l = outputs["label"].try_extract_tensor::<i64>().unwrap().1.to_vec();
                    let s = outputs["probabilities"].try_extract_tensor::<f32>().unwrap().1.to_vec();
                    std::hint::black_box((l, s));
                }
                best = best.min(t.elapsed().as_secs_f64() / N as f64 * 1e6);
            }
        }
        println!("{which} {rows}: {best:.3} us/run {:.4} us/row", best / rows as f64);
    }
}
