//! SIGTERM and Ctrl-C, told to whoever runs until one of them comes.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Signals so close together are one wish: `timeout` of coreutils, and some supervisors, send one to the process and one to
/// its group. Nobody presses Ctrl-C a second time so soon.
const ONE_WISH: Duration = Duration::from_millis(250);

/// Calls `heard` for each SIGTERM and Ctrl-C from now on, on a thread of its own; several at once count as one.
///
/// # Errors
/// If the process cannot listen for signals.
pub fn listen(mut heard: impl FnMut() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("signals")?;
    // Registered before this returns: no signal is missed, however soon it comes.
    let (mut terminate, mut interrupt) = {
        let _runtime = runtime.enter();
        let listen = |kind| signal(kind).context("signals cannot be listened for");
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
    };
    let forever = async move {
        let mut told: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_none_or(|told| told.elapsed() >= ONE_WISH) {
                told = Some(Instant::now());
                heard();
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(forever))
        .context("the signals' thread cannot be started")?;
    Ok(())
}
