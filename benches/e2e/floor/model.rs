//! The model in ONNX Runtime: one run for all rows of a batch, through the runtime's C interface.

use std::{
    ffi::{CString, c_char, c_void},
    path::Path,
    ptr::{null, null_mut},
    sync::Arc,
};

use ort::{
    AsPointer,
    memory::{Allocator, MemoryInfo},
    session::{Session, builder::GraphOptimizationLevel},
    sys::{ONNXTensorElementDataType as Kind, OrtStatusPtr, OrtValue},
    value::{TensorElementType, ValueType},
};

use super::requests::{Data, Input};

/// A session, and what its calls need.
pub struct Model {
    pub name: String,
    pub version: String,
    session: Session,
    memory: MemoryInfo<'static>,
    allocator: Allocator,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// A string tensor that is filled again while batches have the same size.
    strings: Option<(Vec<i64>, *mut OrtValue)>,
}

/// The rows of an output.
pub struct Output {
    pub name: String,
    /// The shape of one row.
    pub row: Vec<i64>,
    pub data: Rows,
    value: *mut OrtValue,
}

/// What an output is made of.
pub enum Rows {
    Fp32(*const f32),
    Int64(*const i64),
    /// All strings one after another, and where each one starts; one more for the end of the last.
    Bytes(Vec<u8>, Vec<usize>),
}

fn check(status: OrtStatusPtr) {
    // SAFETY: the status comes from the runtime and is handed over once.
    unsafe { ort::Error::result_from_status(status) }.expect("the runtime does what is asked");
}

impl Model {
    /// Opens the model in `…/<name>/<version>`, with the columns that it takes.
    pub fn open(folder: &Path) -> (Self, Vec<Input>) {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
        let library = std::env::var("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH says where ONNX Runtime is");
        let builder = ort::init_from(library).expect("the runtime loads").with_telemetry(false);
        let environment = builder.with_logger(Arc::new(|_, _, _, _, _| {})).build().unwrap();
        environment.set_log_level(ort::logging::LogLevel::Fatal);
        let session = Session::builder(&environment).unwrap().with_intra_threads(1).unwrap();
        let session = session.with_inter_threads(1).unwrap().with_intra_op_spinning(false).unwrap();
        let session = session.with_optimization_level(GraphOptimizationLevel::All).unwrap();
        let session = session.with_memory_pattern(false).unwrap().commit_from_file(folder.join("model.onnx")).unwrap();
        let data = |dtype: &ValueType| match dtype.tensor_type() {
            Some(TensorElementType::Float32) => Data::Fp32(Vec::new()),
            Some(TensorElementType::Int64) => Data::Int64(Vec::new()),
            Some(TensorElementType::String) => Data::Bytes(Vec::new()),
            _ => panic!("the floor knows no {dtype:?}"),
        };
        let columns = session.inputs().iter().map(|input| Input::new(input.name(), data(input.dtype()))).collect();
        let name = |part: Option<&Path>| part.unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let model = Self {
            name: name(folder.parent()),
            version: name(Some(folder)),
            inputs: session.inputs().iter().map(|input| CString::new(input.name()).unwrap()).collect(),
            outputs: session.outputs().iter().map(|output| CString::new(output.name()).unwrap()).collect(),
            memory: MemoryInfo::default(),
            allocator: Allocator::default(),
            strings: None,
            session,
        };
        (model, columns)
    }

    /// Runs all `rows` of the columns at once.
    pub fn run(&mut self, columns: &[Input], rows: usize) -> Vec<Output> {
        let names: Vec<*const c_char> = self.inputs.iter().map(|name| name.as_ptr()).collect();
        let wanted: Vec<*const c_char> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let values: Vec<*const OrtValue> = columns.iter().map(|column| self.lend(column, rows)).collect();
        let mut given = vec![null_mut(); wanted.len()];
        // SAFETY: names and values live until the call returns, and are as many as it is told.
        unsafe {
            check((ort::api().Run)(
                self.session.ptr().cast_mut(),
                null(),
                names.as_ptr(),
                values.as_ptr(),
                values.len(),
                wanted.as_ptr(),
                wanted.len(),
                given.as_mut_ptr(),
            ));
            for (column, value) in columns.iter().zip(values) {
                if !matches!(column.data, Data::Bytes(_)) {
                    (ort::api().ReleaseValue)(value.cast_mut());
                }
            }
        }
        self.outputs.iter().zip(given).map(|(name, value)| Output::new(name, value, rows)).collect()
    }

    /// The column as a value; numbers stay where they are.
    fn lend(&mut self, column: &Input, rows: usize) -> *const OrtValue {
        let shape: Vec<i64> = [&[rows as i64], &column.row[..]].concat();
        match &column.data {
            Data::Fp32(data) => self.lend_numbers(data, &shape, Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
            Data::Int64(data) => self.lend_numbers(data, &shape, Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64),
            Data::Bytes(data) => {
                let value = self.strings(shape);
                // SAFETY: the strings end with a zero byte, and are as many as the tensor was made for.
                check(unsafe { (ort::api().FillStringTensor)(value, data.as_ptr(), data.len()) });
                value
            }
        }
    }

    fn lend_numbers<T>(&self, data: &[T], shape: &[i64], kind: Kind) -> *const OrtValue {
        let mut value = null_mut();
        // SAFETY: the runtime reads inputs only; it refuses a shape of more elements than there are.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                data.as_ptr().cast_mut().cast(),
                size_of_val(data),
                shape.as_ptr(),
                shape.len(),
                kind,
                &mut value,
            )
        });
        value
    }

    fn strings(&mut self, shape: Vec<i64>) -> *mut OrtValue {
        match &self.strings {
            Some((same, value)) if *same == shape => return *value,
            // SAFETY: the value is ours and not in use.
            Some((_, value)) => unsafe { (ort::api().ReleaseValue)(*value) },
            None => {}
        }
        let mut value = null_mut();
        let (allocator, kind) = (self.allocator.ptr().cast_mut(), Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
        // SAFETY: the pointers are valid for the call.
        check(unsafe { (ort::api().CreateTensorAsOrtValue)(allocator, shape.as_ptr(), shape.len(), kind, &mut value) });
        self.strings = Some((shape, value));
        value
    }
}

impl Output {
    fn new(name: &CString, value: *mut OrtValue, rows: usize) -> Self {
        let api = ort::api();
        let (mut info, mut kind, mut axes) = (null_mut(), Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, 0);
        // SAFETY: the pointers are valid for each call, and the lengths are what the runtime said.
        unsafe {
            check((api.GetTensorTypeAndShape)(value, &mut info));
            check((api.GetTensorElementType)(info, &mut kind));
            check((api.GetDimensionsCount)(info, &mut axes));
            let mut shape = vec![0_i64; axes];
            check((api.GetDimensions)(info, shape.as_mut_ptr(), axes));
            (api.ReleaseTensorTypeAndShapeInfo)(info);
            assert_eq!(shape.first(), Some(&(rows as i64)), "as many rows as were given");
            let mut data: *mut c_void = null_mut();
            let data = match kind {
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING => {
                    let (mut length, count) = (0, shape.iter().product::<i64>() as usize);
                    check((api.GetStringTensorDataLength)(value, &mut length));
                    let (mut bytes, mut starts) = (vec![0_u8; length], vec![0; count]);
                    check((api.GetStringTensorContent)(
                        value,
                        bytes.as_mut_ptr().cast(),
                        length,
                        starts.as_mut_ptr(),
                        count,
                    ));
                    starts.push(length);
                    Rows::Bytes(bytes, starts)
                }
                _ => {
                    check((api.GetTensorMutableData)(value, &mut data));
                    match kind {
                        Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT => Rows::Fp32(data.cast()),
                        Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 => Rows::Int64(data.cast()),
                        other => panic!("the floor knows no {other:?}"),
                    }
                }
            };
            Self { name: name.to_str().unwrap().to_owned(), row: shape[1..].to_vec(), data, value }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the value is ours, and nothing of it is used any more.
        unsafe { (ort::api().ReleaseValue)(self.value) };
    }
}
