//! Values of ONNX Runtime, as thin as they can be: rows of a column go in without a copy, results come out with one.
//!
//! The runtime's C interface is called here directly. What the `ort` crate builds around a value (its type, the symbols of
//! its axes, a description of its memory, an allocator) costs several calls and allocations for each, which for a small
//! model is as much as the model itself; and its strings may hold no zero byte, while those of a request may.

use std::{
    ffi::{c_char, c_void},
    marker::PhantomData,
    ops::Range,
    ptr::{NonNull, null_mut},
    slice,
};

use ort::{
    AsPointer, Error,
    memory::{Allocator, MemoryInfo},
    sys::{ONNXTensorElementDataType as Kind, OrtStatusPtr, OrtTensorTypeAndShapeInfo, OrtValue},
};

use crate::{
    each_elements,
    tensor::{ByteStrings, DataType, Elements, Tensor},
};

/// A value of the runtime, which may borrow its elements for `'a`.
pub(super) struct Value<'a> {
    value: NonNull<OrtValue>,
    elements: PhantomData<&'a Elements>,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        // SAFETY: the value is owned and released once.
        unsafe { (ort::api().ReleaseValue)(self.value.as_ptr()) }
    }
}

/// Makes an error of what the runtime returned, if it is one.
pub(super) fn check(status: OrtStatusPtr) -> Result<(), Error> {
    // SAFETY: the status comes from the runtime and is handed over once.
    unsafe { Error::result_from_status(status) }
}

impl<'a> Value<'a> {
    /// A tensor whose elements are `range` of `elements`; only strings are copied.
    pub(super) fn borrow(
        memory: &MemoryInfo<'_>,
        elements: &'a Elements,
        range: Range<usize>,
        shape: &[i64],
    ) -> Result<Self, Error> {
        let kind = kind_of(elements.datatype());
        each_elements!(elements,
            vector => {
                let rows = &vector[range];
                let mut value = null_mut();
                // SAFETY: the runtime reads inputs only, so that the cast to a mutable pointer is never used as one; the
                // elements outlive the value by `'a`; their number is that of the shape, or the runtime refuses.
                check(unsafe {
                    (ort::api().CreateTensorWithDataAsOrtValue)(
                        memory.ptr(),
                        rows.as_ptr().cast_mut().cast(),
                        size_of_val(rows),
                        shape.as_ptr(),
                        shape.len(),
                        kind,
                        &mut value,
                    )
                })?;
                Self::owned(value)
            },
            strings => Self::of_strings(strings, range, shape))
    }

    /// A tensor of strings, copied one by one into the runtime's own.
    fn of_strings(strings: &ByteStrings, range: Range<usize>, shape: &[i64]) -> Result<Self, Error> {
        let mut value = null_mut();
        let allocator = Allocator::default();
        // SAFETY: all pointers are valid for the call; the runtime allocates.
        check(unsafe {
            (ort::api().CreateTensorAsOrtValue)(
                allocator.ptr().cast_mut(),
                shape.as_ptr(),
                shape.len(),
                kind_of(DataType::Bytes),
                &mut value,
            )
        })?;
        let value = Self::owned(value)?;
        for (index, at) in range.enumerate() {
            let string = strings.at(at);
            let mut buffer: *mut c_char = null_mut();
            // SAFETY: the runtime checks the index, and gives a buffer of exactly the length that it was asked for.
            unsafe {
                let pointer = value.value.as_ptr();
                check((ort::api().GetResizedStringTensorElementBuffer)(pointer, index, string.len(), &mut buffer))?;
                buffer.cast::<u8>().copy_from_nonoverlapping(string.as_ptr(), string.len());
            }
        }
        Ok(value)
    }

    /// Takes over a value that the runtime made.
    pub(super) fn owned(value: *mut OrtValue) -> Result<Self, Error> {
        let value = NonNull::new(value).ok_or_else(|| Error::new("the runtime gave no value"))?;
        Ok(Self { value, elements: PhantomData })
    }

    /// The value, for a call of the runtime.
    pub(super) fn ptr(&self) -> *const OrtValue {
        self.value.as_ptr()
    }

    /// A copy of the tensor that the value is, in the shape that it has.
    pub(super) fn tensor(&self) -> Result<Tensor, Error> {
        let (kind, shape) = self.kind_and_shape()?;
        // SAFETY (of all below): the runtime keeps as many elements of this type as the shape says.
        let elements = unsafe {
            match kind {
                // Read as bytes: a model file may hold other bytes than 0 and 1, and a Rust `bool` may not.
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL => {
                    Elements::Bool(self.elements::<u8>(&shape)?.into_iter().map(|byte| byte != 0).collect())
                }
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 => Elements::Uint8(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 => Elements::Uint16(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 => Elements::Uint32(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 => Elements::Uint64(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 => Elements::Int8(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 => Elements::Int16(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 => Elements::Int32(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 => Elements::Int64(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 => Elements::Fp16(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT => Elements::Fp32(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE => Elements::Fp64(self.elements(&shape)?),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING => Elements::Bytes(self.strings(count(&shape))?),
                other => return Err(Error::new(format!("the runtime gave a tensor of {other:?}"))),
            }
        };
        Tensor::new(shape, elements).map_err(|error| Error::new(error.to_string()))
    }

    /// How many values a sequence holds.
    pub(super) fn count(&self) -> Result<usize, Error> {
        let mut count = 0;
        // SAFETY: both pointers are valid; the runtime refuses what is no sequence.
        check(unsafe { (ort::api().GetValueCount)(self.ptr(), &mut count) })?;
        Ok(count)
    }

    /// The value at `index` of a sequence; of a map, the keys (0) or the values (1).
    pub(super) fn item(&self, index: usize, allocator: &Allocator) -> Result<Value<'static>, Error> {
        let mut item = null_mut();
        let index = i32::try_from(index).map_err(|_| Error::new("a sequence of more than 2^31 values"))?;
        // SAFETY: all pointers are valid for the call; the runtime checks the index and makes a value of its own.
        check(unsafe { (ort::api().GetValue)(self.ptr(), index, allocator.ptr().cast_mut(), &mut item) })?;
        Value::owned(item)
    }

    fn kind_and_shape(&self) -> Result<(Kind, Vec<usize>), Error> {
        struct Info(*mut OrtTensorTypeAndShapeInfo);
        impl Drop for Info {
            fn drop(&mut self) {
                // SAFETY: owned, and released once; the runtime takes null as nothing.
                unsafe { (ort::api().ReleaseTensorTypeAndShapeInfo)(self.0) }
            }
        }
        let api = ort::api();
        let mut info = Info(null_mut());
        let (mut kind, mut axes) = (Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, 0);
        // SAFETY: the pointers are valid for each call; the shape gets exactly as many places as there are axes.
        unsafe {
            check((api.GetTensorTypeAndShape)(self.ptr(), &mut info.0))?;
            check((api.GetTensorElementType)(info.0, &mut kind))?;
            check((api.GetDimensionsCount)(info.0, &mut axes))?;
            let mut shape = vec![0_i64; axes];
            check((api.GetDimensions)(info.0, shape.as_mut_ptr(), axes))?;
            let shape = shape.into_iter().map(usize::try_from).collect::<Result<_, _>>();
            Ok((kind, shape.map_err(|_| Error::new("the runtime gave a tensor of negative length"))?))
        }
    }

    /// A copy of the elements.
    ///
    /// # Safety
    /// The value is a tensor of `T` of this shape in the memory of the process.
    unsafe fn elements<T: Copy>(&self, shape: &[usize]) -> Result<Vec<T>, Error> {
        let mut data: *mut c_void = null_mut();
        // SAFETY: as the caller promises; an empty tensor may have no memory at all.
        unsafe {
            check((ort::api().GetTensorMutableData)(self.value.as_ptr(), &mut data))?;
            if data.is_null() {
                return Ok(Vec::new());
            }
            Ok(slice::from_raw_parts(data.cast::<T>(), count(shape)).to_vec())
        }
    }

    /// A copy of the `count` strings.
    fn strings(&self, count: usize) -> Result<ByteStrings, Error> {
        let api = ort::api();
        let mut length = 0;
        let mut ends = vec![0_usize; count];
        // SAFETY: the buffers are as long as the calls are told.
        let bytes = unsafe {
            check((api.GetStringTensorDataLength)(self.ptr(), &mut length))?;
            let mut bytes = vec![0_u8; length];
            let content = bytes.as_mut_ptr().cast();
            check((api.GetStringTensorContent)(self.ptr(), content, length, ends.as_mut_ptr(), count))?;
            bytes
        };
        // The runtime gives where each string starts; it ends where the next one does.
        let starts = ends;
        let ends = starts.iter().skip(1).chain(std::iter::once(&length));
        Ok(starts.iter().zip(ends).map(|(&start, &end)| &bytes[start..end]).collect())
    }
}

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The runtime's element type for a datatype.
const fn kind_of(datatype: DataType) -> Kind {
    match datatype {
        DataType::Bool => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        DataType::Uint8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DataType::Uint16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        DataType::Uint32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        DataType::Uint64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        DataType::Int8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        DataType::Int16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        DataType::Int32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DataType::Int64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DataType::Fp16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DataType::Fp32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        DataType::Fp64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DataType::Bytes => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}
