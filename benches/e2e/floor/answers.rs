//! Rows to answers, written straight into one buffer: what all answers share is ready made, copied 32 bytes at a time with
//! no regard for what stands behind, and every number is written where it belongs.

use super::model::{Output, Rows};

/// Bytes that may be written behind what is meant.
const SPARE: usize = 64;
/// The longest number, with its comma: a float in the space that its writer asks for.
const NUMBER: usize = size_of::<zmij::Buffer>() + 1;

/// Text to be copied.
struct Text {
    bytes: Vec<u8>,
    length: usize,
}

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(text.len().next_multiple_of(32), 0);
        Self { bytes, length: text.len() }
    }

    /// # Safety
    /// The text and [`SPARE`] more bytes fit behind `to`.
    #[inline(always)]
    unsafe fn write(&self, to: *mut u8) -> *mut u8 {
        for at in (0..self.bytes.len()).step_by(32) {
            // SAFETY: the text is a multiple of 32 bytes, and the caller gives room.
            unsafe { to.add(at).cast::<[u8; 32]>().write(*self.bytes.as_ptr().add(at).cast()) };
        }
        // SAFETY: as above.
        unsafe { to.add(self.length) }
    }
}

/// Writes answers of one model.
pub struct Writer {
    head: Text,
    /// For requests of `rows` rows: what stands before the data of each output.
    rows: usize,
    before: Vec<Text>,
}

impl Writer {
    pub fn new(model: &str, version: &str) -> Self {
        let head = Text::new(&format!(r#"{{"model_name":"{model}","model_version":"{version}","id":""#));
        Self { head, rows: 0, before: Vec::new() }
    }

    /// No answer of `rows` rows is longer, nor are all answers together.
    pub fn bound(&self, outputs: &[Output], requests: usize, rows: usize) -> usize {
        let one = |output: &Output| {
            let elements = rows * output.row.iter().product::<i64>() as usize;
            let text = if let Rows::Bytes(bytes, _) = &output.data { bytes.len() * 6 } else { 0 };
            elements * NUMBER + text + requests * (output.name.len() + 20 * output.row.len() + 100)
        };
        outputs.iter().map(one).sum::<usize>() + requests * (self.head.length + 50) + SPARE
    }

    /// Writes the answer whose rows are the `rows` from `first` on; returns its end. The id stands at [`Self::id`].
    ///
    /// # Safety
    /// There is room for it, as [`Self::bound`] says, and the outputs have these rows.
    #[inline]
    pub unsafe fn write(&mut self, to: *mut u8, id: [u8; 8], outputs: &[Output], first: usize, rows: usize) -> *mut u8 {
        if rows != self.rows || outputs.len() != self.before.len() {
            self.rows = rows;
            self.before = (0..outputs.len()).map(|index| before(outputs, index, rows)).collect();
        }
        // SAFETY: as the caller says.
        unsafe {
            let mut to = self.head.write(to);
            to.cast::<[u8; 8]>().write(id);
            to = to.add(8);
            for (output, before) in outputs.iter().zip(&self.before) {
                to = before.write(to);
                let width = output.row.iter().product::<i64>() as usize;
                let (start, count) = (first * width, rows * width);
                to = match &output.data {
                    Rows::Fp32(data) => (start..start + count).fold(to, |to, at| float(to, *data.add(at))),
                    Rows::Int64(data) => (start..start + count).fold(to, |to, at| integer(to, *data.add(at))),
                    Rows::Bytes(bytes, starts) => {
                        (start..start + count).fold(to, |to, at| string(to, &bytes[starts[at]..starts[at + 1]]))
                    }
                };
                // In the place of the last comma.
                to = to.sub(usize::from(count > 0));
            }
            to.cast::<[u8; 4]>().write(*b"]}]}");
            to.add(4)
        }
    }

    /// Where the id stands in an answer.
    pub fn id(&self) -> usize {
        self.head.length
    }
}

fn before(outputs: &[Output], index: usize, rows: usize) -> Text {
    let Output { name, row, data, .. } = &outputs[index];
    let start = if index == 0 { r#"","outputs":["# } else { "]}," };
    let shape: Vec<String> = [&[rows as i64], &row[..]].concat().iter().map(i64::to_string).collect();
    let datatype = match data {
        Rows::Fp32(_) => "FP32",
        Rows::Int64(_) => "INT64",
        Rows::Bytes(..) => "BYTES",
    };
    let shape = shape.join(",");
    Text::new(&format!(r#"{start}{{"name":"{name}","shape":[{shape}],"datatype":"{datatype}","data":["#))
}

#[inline(always)]
unsafe fn float(to: *mut u8, value: f32) -> *mut u8 {
    // SAFETY: a buffer is bytes and nothing else, which may have any value, so that the text is made where it is to stand.
    let length = if value.is_finite() {
        let buffer = unsafe { &mut *to.cast::<zmij::Buffer>() };
        buffer.format_finite(value).len()
    } else {
        let text = if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        };
        unsafe { to.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        text.len()
    };
    unsafe { comma(to.add(length)) }
}

#[inline(always)]
unsafe fn integer(to: *mut u8, value: i64) -> *mut u8 {
    // SAFETY: there is room.
    unsafe {
        if let digit @ 0..=9 = value {
            to.write(b'0' + digit as u8);
            return comma(to.add(1));
        }
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(value);
        to.copy_from_nonoverlapping(text.as_ptr(), text.len());
        comma(to.add(text.len()))
    }
}

unsafe fn string(mut to: *mut u8, text: &[u8]) -> *mut u8 {
    // SAFETY: there is room for six bytes for each of the text.
    unsafe {
        to.write(b'"');
        to = to.add(1);
        for &byte in text {
            let escape = match byte {
                b'"' => b'"',
                b'\\' => b'\\',
                0..0x20 => {
                    let text = format!("\\u{byte:04x}");
                    to.copy_from_nonoverlapping(text.as_ptr(), 6);
                    to = to.add(6);
                    continue;
                }
                _ => {
                    to.write(byte);
                    to = to.add(1);
                    continue;
                }
            };
            to.cast::<[u8; 2]>().write([b'\\', escape]);
            to = to.add(2);
        }
        to.write(b'"');
        comma(to.add(1))
    }
}

#[inline(always)]
unsafe fn comma(to: *mut u8) -> *mut u8 {
    // SAFETY: there is room.
    unsafe {
        to.write(b',');
        to.add(1)
    }
}
