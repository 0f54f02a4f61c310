//! What the library remembers: its session and its own path, copied once when it is loaded, since
//! programs clear and overwrite their environment.

use std::ffi::CStr;
use std::sync::OnceLock;

use underpass_core::session_env::{MAX_VALUE, SessionEnv, VARIABLE};

/// A byte string of at most N bytes in a static, so that nothing is allocated before `main`.
#[derive(Debug)]
pub(crate) struct Fixed<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Fixed<N> {
    /// `None` if it does not fit.
    fn copy(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { bytes, len: from.len() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Loaded {
    /// The value of the session variable; `None` where it was absent or malformed.
    session: Option<Fixed<MAX_VALUE>>,
    /// Both with their terminating zero.
    library: Option<Fixed<{ libc::PATH_MAX as usize }>>,
    launcher: Option<Fixed<{ libc::PATH_MAX as usize }>>,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();

fn loaded() -> &'static Loaded {
    LOADED.get_or_init(|| Loaded {
        session: crate::variables::variable(VARIABLE.as_bytes())
            .filter(|value| SessionEnv::parse(value).is_some())
            .and_then(Fixed::copy),
        library: own_path().and_then(|path| Fixed::copy(path.to_bytes_with_nul())),
        launcher: own_path().and_then(|path| beside(path.to_bytes())),
    })
}

/// Copies what is needed from the environment; the constructor calls it before the program's code runs.
pub(crate) fn load() {
    loaded();
}

/// The session, or `None` where the library was loaded without one: nothing can be carried then,
/// and nothing may leave.
pub(crate) fn session() -> Option<SessionEnv<'static>> {
    loaded().session.as_ref().and_then(|value| SessionEnv::parse(value.as_bytes()))
}

/// The value of the session variable as it was when the library was loaded.
pub(crate) fn value() -> Option<&'static [u8]> {
    loaded().session.as_ref().map(Fixed::as_bytes)
}

/// The path by which this library was loaded.
pub(crate) fn library() -> Option<&'static CStr> {
    CStr::from_bytes_with_nul(loaded().library.as_ref()?.as_bytes()).ok()
}

/// The launcher, which starts what cannot load this library.
pub(crate) fn launcher() -> Option<&'static CStr> {
    CStr::from_bytes_with_nul(loaded().launcher.as_ref()?.as_bytes()).ok()
}

/// The launcher beside the library, or in the `bin` above it.
fn beside<const N: usize>(library: &[u8]) -> Option<Fixed<N>> {
    let folder = library.get(..=library.iter().rposition(|&byte| byte == b'/')?)?;
    [&b"underpass\0"[..], b"libunderpass-launcher\0", b"../../bin/underpass\0", b"../../../bin/underpass\0"]
        .into_iter()
        .find_map(|relative| {
            let mut path = Fixed { bytes: [0; N], len: folder.len() + relative.len() };
            path.bytes.get_mut(..folder.len())?.copy_from_slice(folder);
            path.bytes.get_mut(folder.len()..path.len)?.copy_from_slice(relative);
            let there = rustix::fs::stat(CStr::from_bytes_with_nul(path.as_bytes()).ok()?);
            there.is_ok().then_some(path)
        })
}

fn own_path() -> Option<&'static CStr> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is that of a function in this library, and `info` is room for a Dl_info.
    let found = unsafe { libc::dladdr(own_path as *const libc::c_void, info.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY: all zero bytes are a valid Dl_info (four pointers), and dladdr succeeded.
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dli_fname is the link map's C string, which lives as long as this library is loaded;
    // LD_PRELOAD libraries are never unloaded.
    Some(unsafe { CStr::from_ptr(info.dli_fname) })
}
