//! gzip (RFC 1952), checksums included. Members that follow one another are one body, as `cat a.gz b.gz` is to `gunzip`.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Fault, make_room};

/// What a member begins with.
const MAGIC: [u8; 2] = [0x1F, 0x8B];
/// The largest window there is: 2^15 bytes.
const WINDOW_BITS: u8 = 15;

/// Appends what `body` inflates to.
pub(super) fn inflate(body: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut at = member(body, 0, most, out)?;
    while at < body.len() {
        if !body[at..].starts_with(&MAGIC) {
            return Err(Fault::Trailing { at });
        }
        at = member(body, at, most, out)?;
    }
    Ok(())
}

/// The member that begins at byte `at`; where it ends.
fn member(body: &[u8], at: usize, most: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut inflater = Decompress::new_gzip(WINDOW_BITS);
    let mut end = at;
    loop {
        make_room(out, most)?;
        let before = (end, out.len());
        let status = inflater.decompress_vec(&body[end..], out, FlushDecompress::None).map_err(|error| {
            let why = error.message().unwrap_or("it cannot be inflated").to_owned();
            Fault::Broken { at: end, why }
        })?;
        end = at + usize::try_from(inflater.total_in()).expect("no more is read than is in memory");
        match status {
            Status::StreamEnd if out.len() > most => return Err(Fault::TooLarge),
            Status::StreamEnd => return Ok(end),
            _ if before == (end, out.len()) => return Err(Fault::CutOff),
            _ => {}
        }
    }
}
