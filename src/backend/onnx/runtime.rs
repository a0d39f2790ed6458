//! The ONNX Runtime library of this process: loaded once, before the first session, and never unloaded.
//!
//! [`init`] either loads it or says in one sentence what was looked for and what to do. The runtime's telemetry is off, and
//! it leaves no files of its own behind.
//! What it logs goes to `tracing` at `debug`: whatever matters comes back as an error to whoever called, and would be
//! said twice.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem::{MaybeUninit, transmute},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use ort::{environment::Environment, logging::LogLevel};
use parking_lot::Mutex;

use super::{
    library::{ADVICE, Places, check_whole},
    threads,
};
use crate::backend::BackendError;

/// Which ONNX Runtime this process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// The library's own version, e.g. `1.31.1`.
    pub version: String,
    /// The file that it was loaded from.
    pub path: PathBuf,
}

struct Runtime {
    info: RuntimeInfo,
    environment: Environment,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Loads the ONNX Runtime library: `library` (a file, a folder or a name), else what `ORT_DYLIB_PATH` says, else the one
/// beside the executable, else the system's. Further calls give back what is loaded. Called after logging is set up.
///
/// # Errors
/// If there is no library, it is damaged or too old, or another one is loaded already.
pub fn init(library: Option<&Path>) -> Result<RuntimeInfo, BackendError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock();
    threads::init();
    if let Some(runtime) = RUNTIME.get() {
        return same_library(&runtime.info, library);
    }
    let candidates = Places::of_process(library).candidates()?;
    let mut refused = None;
    for candidate in &candidates {
        match load(candidate) {
            Ok(runtime) => return Ok(RUNTIME.get_or_init(|| runtime).info.clone()),
            Err(error) => refused.get_or_insert(error),
        };
    }
    Err(refused.expect("there is always a candidate"))
}

/// The environment that sessions belong to; loads the library if nobody has.
pub(super) fn environment() -> Result<&'static Environment, BackendError> {
    if RUNTIME.get().is_none() {
        init(None)?;
    }
    Ok(&RUNTIME.get().expect("it was just loaded").environment)
}

/// The version of the library that is loaded; for sentences about what it cannot do.
pub(super) fn version() -> &'static str {
    RUNTIME.get().map_or("?", |runtime| &runtime.info.version)
}

/// One process holds one runtime: asking for another one is a mistake to be told.
fn same_library(loaded: &RuntimeInfo, wanted: Option<&Path>) -> Result<RuntimeInfo, BackendError> {
    let Some(wanted) = wanted else { return Ok(loaded.clone()) };
    let [wanted] = &Places { given: Some(wanted), environment: None, beside: None }.candidates()?[..] else {
        return Ok(loaded.clone());
    };
    let is_same = !wanted.is_absolute() || loaded.path.canonicalize().ok() == wanted.canonicalize().ok();
    if is_same {
        return Ok(loaded.clone());
    }
    Err(BackendError::Runtime(format!(
        "`{}` cannot be loaded: this process runs ONNX Runtime {} from `{}` already",
        wanted.display(),
        loaded.version,
        loaded.path.display()
    )))
}

fn load(candidate: &Path) -> Result<Runtime, BackendError> {
    if candidate.is_absolute() {
        check_whole(candidate)?;
    }
    silence_telemetry();
    let builder = ort::init_from(candidate).map_err(|error| BackendError::Runtime(load_sentence(candidate, &error)))?;
    let refused = |error: ort::Error| {
        BackendError::Runtime(format!("ONNX Runtime from `{}` does not start: {error}", candidate.display()))
    };
    let environment =
        builder.with_name("modelmill").with_telemetry(false).with_logger(Arc::new(log)).build().map_err(refused)?;
    // A level that nobody listens to costs the runtime a formatted text per event, and some events come with every run.
    let listened = tracing::enabled!(tracing::Level::DEBUG);
    environment.set_log_level(if listened { LogLevel::Warning } else { LogLevel::Fatal });
    let info = identify(candidate);
    Ok(Runtime { info, environment })
}

/// Keeps the runtime's telemetry from starting. Turned off through the interface alone it has already begun: it has made a
/// database in the user's cache folder and a file `.ses` among the temporary ones.
fn silence_telemetry() {
    // SAFETY: this happens once, before the library is loaded, under the lock of `init`; programs call that before they
    // start threads, and the standard library's own readers are locked out.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

fn load_sentence(candidate: &Path, error: &ort::LoadDynamicError) -> String {
    let place = candidate.display();
    match error {
        ort::LoadDynamicError::Dlopen { .. } if !candidate.is_absolute() => {
            format!(
                "the ONNX Runtime library `{place}` is neither beside the executable nor known to the system: {ADVICE}"
            )
        }
        ort::LoadDynamicError::Dlopen { error, .. } => format!("`{place}` cannot be loaded ({error}): {ADVICE}"),
        ort::LoadDynamicError::BadVersion { version_str, .. } => format!(
            "`{place}` is ONNX Runtime {version_str}, but 1.{} or later is needed: {ADVICE}",
            ort::MINOR_VERSION
        ),
        ort::LoadDynamicError::MissingApi { .. } | ort::LoadDynamicError::InvalidVersionString => {
            format!("`{place}` is a shared library, but not ONNX Runtime: {ADVICE}")
        }
    }
}

fn log(level: LogLevel, _category: &str, session: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal => tracing::error!(session, location, message, "onnx runtime failed"),
        LogLevel::Error | LogLevel::Warning => tracing::debug!(session, location, message, "onnx runtime complains"),
        LogLevel::Info | LogLevel::Verbose => {}
    }
}

/// The version that the library reports, and the file that the system's loader took it from.
fn identify(candidate: &Path) -> RuntimeInfo {
    let unknown = || RuntimeInfo { version: "of unknown version".to_owned(), path: candidate.to_owned() };
    let Ok(name) = CString::new(candidate.as_os_str().as_encoded_bytes()) else { return unknown() };
    // SAFETY: the library is loaded already (`RTLD_NOLOAD` only finds it) and stays so; the types of `OrtGetApiBase` and
    // of what it returns are those of the runtime's C interface, and both texts live as long as the library.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        if handle.is_null() {
            return unknown();
        }
        let symbol = libc::dlsym(handle, c"OrtGetApiBase".as_ptr());
        if symbol.is_null() {
            return unknown();
        }
        let base = transmute::<*mut c_void, unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(symbol)();
        let version = text(((*base).GetVersionString)());
        let mut place = MaybeUninit::<libc::Dl_info>::zeroed();
        let found = libc::dladdr(symbol, place.as_mut_ptr()) != 0;
        let file = if found { place.assume_init().dli_fname } else { std::ptr::null() };
        let path = if file.is_null() { candidate.to_owned() } else { PathBuf::from(text(file)) };
        RuntimeInfo { version, path }
    }
}

/// SAFETY: `start` points to a text that ends with a zero byte.
unsafe fn text(start: *const c_char) -> String {
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}
