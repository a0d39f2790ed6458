//! The least rate at which a body may come. The SDK ends a body that stands still, and lets one drip for days.

use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use tokio::time::{Instant, timeout};

/// The least rate, in bytes a second: 100 MB in 100 minutes. Whatever is slower is broken, and another connection is not.
const LEAST: u64 = 16 * 1024;

/// Over so much waiting the rate is judged, so that a pause is no fault.
const WINDOW: Duration = Duration::from_secs(10);

/// How long to wait before asking whether somebody still wants it.
const GLANCE: Duration = Duration::from_millis(500);

/// Counts what comes against the time that is spent waiting for it; what our own disk takes does not count.
#[derive(Default)]
pub struct Pace {
    waited: Duration,
    came: u64,
}

/// What a glance at a body brought.
pub enum Came<B> {
    /// The next bytes.
    Piece(B),
    /// The body is at its end.
    End,
    /// Nothing so far: time to ask whether somebody still wants it.
    Nothing,
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection, the server, or the checksum at the end.
    #[error(transparent)]
    Body(#[from] ByteStreamError),
    /// It came too slowly.
    #[error("{0} bytes came in {window} s, and at least {LEAST} a second are expected", window = WINDOW.as_secs())]
    Slow(u64),
}

impl Pace {
    /// The next piece of a body, if it comes soon.
    ///
    /// # Errors
    /// If the body ends too early, or has been too slow.
    pub async fn next(&mut self, body: &mut ByteStream) -> Result<Came<impl AsRef<[u8]>>, Broken> {
        let began = Instant::now();
        let came = match timeout(GLANCE, body.next()).await {
            Ok(Some(piece)) => Came::Piece(piece?),
            Ok(None) => Came::End,
            Err(_) => Came::Nothing,
        };
        let length = if let Came::Piece(bytes) = &came { bytes.len() as u64 } else { 0 };
        self.count(began.elapsed(), length)?;
        Ok(came)
    }

    fn count(&mut self, waited: Duration, bytes: u64) -> Result<(), Broken> {
        self.waited += waited;
        self.came += bytes;
        if self.waited < WINDOW {
            return Ok(());
        }
        let came = std::mem::take(&mut self.came);
        self.waited = Duration::ZERO;
        if came < LEAST * WINDOW.as_secs() { Err(Broken::Slow(came)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of so many bytes, each after a second; how many of them pass.
    fn passes(bytes: u64) -> usize {
        let mut pace = Pace::default();
        (0..30).take_while(|_| pace.count(Duration::from_secs(1), bytes).is_ok()).count()
    }

    #[test]
    fn a_drip_ends_after_a_window_and_a_slow_line_does_not() {
        assert_eq!(passes(200), 9);
        assert_eq!(passes(LEAST), 30);
    }

    #[test]
    fn a_pause_within_a_fast_body_is_no_fault() {
        let mut pace = Pace::default();
        pace.count(Duration::from_millis(10), 10 << 20).unwrap();
        pace.count(Duration::from_secs(9), 0).unwrap();
        pace.count(Duration::from_secs(2), 1).unwrap();
    }
}
