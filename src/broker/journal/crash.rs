//! The last word of a process that crashes: which signal ended it.
//!
//! A crash and a kill from outside leave the same traces but for this one, and they weigh differently
//! ([`crate::broker::suspects`]). The handler writes one word and gives the signal back to whoever had it before: a stack overflow is
//! still explained, a core is still dumped, the exit status is what it would have been.

use std::{
    mem::MaybeUninit,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use libc::{c_int, c_void, siginfo_t};

/// What a crash of native code, or of an allocation, sends.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE];

/// Where the last word is written; null: nowhere.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// Who had the signals before.
static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// From now on a crash writes its signal there.
///
/// # Safety
/// The word must stay where it is until [`forget`] was called with it.
pub unsafe fn tell(word: &AtomicU64) {
    WORD.store(ptr::from_ref(word).cast_mut(), Ordering::Release);
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        before.get_or_init(|| install(signal));
    }
}

/// The word is not written any more.
pub fn forget(word: &AtomicU64) {
    let word = ptr::from_ref(word).cast_mut();
    // Another one may have taken its place.
    let _was = WORD.compare_exchange(word, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
}

fn install(signal: c_int) -> libc::sigaction {
    // SAFETY: both structures are valid; the handler calls nothing but what a handler may call.
    unsafe {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = crashed;
        action.sa_sigaction = handler as usize;
        // On the stack of its own that the standard library gives its threads: the usual one may be what ran out.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, before.as_mut_ptr());
        before.assume_init()
    }
}

extern "C" fn crashed(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    let word = WORD.load(Ordering::Acquire);
    // SAFETY: the word is null or lives ([`tell`]); `info` is the kernel's; only functions that are safe in a handler are called.
    unsafe {
        if !word.is_null() {
            // A stop that was decided before stays one.
            let own = u64::from(signal.unsigned_abs());
            let _was = (*word).compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed);
        }
        let was_sent = (*info).si_code <= 0;
        let before = SIGNALS.iter().position(|own| *own == signal).and_then(|index| BEFORE[index].get());
        match before {
            Some(before) if !was_sent => drop(libc::sigaction(signal, before, ptr::null_mut())),
            // The standard library takes a SIGSEGV that was sent for one that comes again by itself.
            _ => drop(libc::signal(signal, libc::SIG_DFL)),
        }
        // A fault comes again when the handler returns; what was sent does not.
        if was_sent {
            libc::raise(signal);
        }
    }
}
