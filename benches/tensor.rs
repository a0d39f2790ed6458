//! What columns cost to take apart and to put together: what the batcher does to groups, and the journey to failed requests.
//!
//! `cargo bench --bench tensor`. A column has 1,000 rows, so that a time in µs is also that time in ns per row.

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::tensor::{DataType, Elements, Tensor};

const ROWS: usize = 1000;

fn main() {
    divan::main();
}

/// Columns as requests bring them.
const COLUMNS: [&str; 4] = ["4_floats", "784_floats", "128_tokens", "text"];

fn column(kind: &str) -> Tensor {
    let text = |row: usize| format!("The parcel {row} came two days late and the box was open");
    match kind {
        "4_floats" => Tensor::matrix(4, Elements::Fp32((0..ROWS * 4).map(|index| index as f32).collect())),
        "784_floats" => Tensor::matrix(784, Elements::Fp32((0..ROWS * 784).map(|index| index as f32).collect())),
        "128_tokens" => Tensor::matrix(128, Elements::Int64((0..ROWS * 128).map(|index| index as i64).collect())),
        "text" => Tensor::vector(Elements::Bytes((0..ROWS).map(text).collect())),
        _ => unreachable!("an unknown column"),
    }
}

/// One column out of ten of 100 rows, as groups of several chunks are joined for one run.
#[divan::bench(args = COLUMNS)]
fn concatenate(bencher: Bencher<'_, '_>, kind: &str) {
    let whole = column(kind);
    let parts: Vec<_> = (0..10).map(|part| whole.slice(part * ROWS / 10..(part + 1) * ROWS / 10)).collect();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut joined = Tensor::without_rows(whole.datatype(), whole.row_shape());
        joined.elements_mut().reserve(ROWS * whole.row_len());
        for part in black_box(&parts) {
            joined.append(part, 0..part.rows());
        }
        joined
    });
}

/// Ten slices of 100 rows each, as outputs of one run go back to the groups that it was made of.
#[divan::bench(args = COLUMNS)]
fn slice(bencher: Bencher<'_, '_>, kind: &str) {
    let whole = column(kind);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        (0..10).map(|part| black_box(&whole).slice(part * ROWS / 10..(part + 1) * ROWS / 10)).collect::<Vec<_>>()
    });
}

/// Every other row, as if each second request had failed.
#[divan::bench(args = COLUMNS)]
fn gather(bencher: Bencher<'_, '_>, kind: &str) {
    let whole = column(kind);
    let kept: Vec<_> = (0..ROWS).step_by(2).map(|row| row..row + 1).collect();
    bencher.counter(ItemsCount::new(ROWS / 2)).bench_local(|| black_box(&whole).gather(&kept));
}

/// Rows one by one, as a decoder adds those of each request.
#[divan::bench(args = ["4_floats", "784_floats", "128_tokens"])]
fn push_rows(bencher: Bencher<'_, '_>, kind: &str) {
    let whole = column(kind);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut tensor = Tensor::without_rows(whole.datatype(), whole.row_shape());
        for row in 0..ROWS {
            let push = |elements: &mut Elements| {
                elements.extend_from(whole.elements(), whole.range_of(&(row..row + 1)));
                Ok::<_, ()>(())
            };
            tensor.push_rows(1, push).expect("nothing fails");
        }
        tensor
    });
}

/// A thousand rows of four from the datatype that JSON numbers have to the one that most models take.
#[divan::bench(args = [DataType::Fp32, DataType::Int64])]
fn cast(bencher: Bencher<'_, '_>, datatype: DataType) {
    let doubles = Elements::Fp64((0..ROWS * 4).map(|index| index as f64).collect());
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| modelmill::tensor::cast(black_box(&doubles), datatype).expect("whole numbers fit"));
}
