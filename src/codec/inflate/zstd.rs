//! Zstandard (RFC 8878), by the library that librdkafka is linked with anyway. Frames that follow one another are one body;
//! skippable frames are skipped.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Fault, make_room};

/// What a frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// What a skippable frame begins with, after a byte of which the upper half is 5.
const SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];
/// The largest window of a `content-encoding` is 8 MiB (RFC 9659); a frame that wants more memory is refused.
const WINDOW_LOG: u32 = 23;

/// What inflates many bodies, one after another.
pub(super) fn context() -> DCtx<'static> {
    let mut context = DCtx::create();
    context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
        .expect("every library of this format takes this window");
    context
}

/// Appends what `body` inflates to.
pub(super) fn inflate(context: &mut DCtx<'_>, body: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut input = InBuffer::around(body);
    while input.pos < body.len() {
        begins(body, input.pos)?;
        frame(context, &mut input, most, out)?;
    }
    Ok(())
}

/// Checks that a frame of today's format begins at byte `at`: the library may know older ones, which nobody should send.
fn begins(body: &[u8], at: usize) -> Result<(), Fault> {
    let start = &body[at..body.len().min(at + MAGIC.len())];
    let is_skippable = start[0] >> 4 == 5 && SKIPPABLE.starts_with(&start[1..]);
    if !MAGIC.starts_with(start) && !is_skippable {
        return Err(match at {
            0 => Fault::Broken { at, why: "it does not begin with a frame".to_owned() },
            _ => Fault::Trailing { at },
        });
    }
    if start.len() < MAGIC.len() { Err(Fault::CutOff) } else { Ok(()) }
}

fn frame(context: &mut DCtx<'_>, input: &mut InBuffer<'_>, most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let broken = |at: usize, code: usize| Fault::Broken { at, why: get_error_name(code).to_owned() };
    context.reset(ResetDirective::SessionOnly).map_err(|code| broken(input.pos, code))?;
    loop {
        make_room(out, most)?;
        let before = (input.pos, out.len());
        let mut output = OutBuffer::around_pos(out, before.1);
        let left = context.decompress_stream(&mut output, input).map_err(|code| broken(before.0, code))?;
        if left == 0 {
            return if out.len() > most { Err(Fault::TooLarge) } else { Ok(()) };
        }
        if before == (input.pos, out.len()) {
            return Err(Fault::CutOff);
        }
    }
}
