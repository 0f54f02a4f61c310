//! The real functions: the next definition of each hooked symbol after ours.
//!
//! Every one is resolved by the load-time constructor, since `dlsym` takes locks that a signal
//! handler must not wait for. A call that comes before the constructor (from the constructor of
//! another library) resolves its own on the spot: passing it through unjudged would be a leak.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of the next library in search order, of type `F`, a function pointer type.
///
/// The type says that it may unwind: a thread that is cancelled (pthread_cancel(3)) in a cancellation
/// point leaves it by a forced unwind, which goes through the hook's frame too.
pub(crate) struct Real<F> {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
    of: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    /// # Safety
    ///
    /// `F` must be the `extern "C-unwind"` function pointer type of the symbol `name`.
    pub(crate) const unsafe fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(std::ptr::null_mut()), of: PhantomData }
    }

    /// Looks the symbol up; called once for each by the constructor.
    pub(crate) fn resolve(&self) -> *mut c_void {
        // SAFETY: the name is a C string, and RTLD_NEXT is valid in a loaded library.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.address.store(address, Ordering::Relaxed);
        address
    }

    /// The function, or `None` where the C library of this system does not have it.
    pub(crate) fn get(&self) -> Option<F> {
        let mut address = self.address.load(Ordering::Relaxed);
        if address.is_null() {
            address = self.resolve();
        }
        if address.is_null() {
            return None;
        }
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: `new`'s caller promised that F is the function pointer type of this symbol, and
        // the address is what the dynamic linker found for it; both have the size asserted above.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }
}

/// Declares the real functions and `resolve_all`. Where libc declares the function, its type is
/// compared with ours at compile time.
macro_rules! real_functions {
    (@check ($($t:ty),*) $r:ty) => {};
    (@check ($($t:ty),*) $r:ty, $checked:path) => {
        const _: unsafe extern "C" fn($($t),*) -> $r = $checked;
    };
    ($( $(#[$doc:meta])* $name:ident : fn($($t:ty),*) -> $r:ty $(= $checked:path)? ;)*) => {
        $(
            #[allow(non_upper_case_globals, reason = "named as the symbol it stands for")]
            pub(crate) static $name: Real<unsafe extern "C-unwind" fn($($t),*) -> $r> =
                // SAFETY: the type is checked against libc's declaration where libc has one, and
                // taken from the manual page (section 2 or 3) of the function otherwise.
                unsafe {
                    Real::new(match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    })
                };
            real_functions!(@check ($($t),*) $r $(, $checked)?);
        )*

        /// Resolves every real function.
        pub(crate) fn resolve_all() {
            $( $name.resolve(); )*
        }
    };
}

use libc::{
    addrinfo, c_char, c_int, c_long, c_uint, epoll_event, hostent, mmsghdr, msghdr, pid_t, sockaddr,
    socklen_t, timespec,
};
use libc::{posix_spawn_file_actions_t as actions, posix_spawnattr_t as attributes, size_t, ssize_t};

type Environment = *const *const c_char;
type Arguments = *const *const c_char;
type SpawnStrings = *const *mut c_char;

real_functions! {
    connect: fn(c_int, *const sockaddr, socklen_t) -> c_int = libc::connect;
    bind: fn(c_int, *const sockaddr, socklen_t) -> c_int = libc::bind;
    listen: fn(c_int, c_int) -> c_int = libc::listen;
    accept: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int = libc::accept;
    accept4: fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int = libc::accept4;
    socket: fn(c_int, c_int, c_int) -> c_int = libc::socket;
    getsockopt: fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int = libc::getsockopt;
    getpeername: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int = libc::getpeername;
    getsockname: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int = libc::getsockname;
    epoll_ctl: fn(c_int, c_int, c_int, *mut epoll_event) -> c_int = libc::epoll_ctl;
    sendto: fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t = libc::sendto;
    sendmsg: fn(c_int, *const msghdr, c_int) -> ssize_t = libc::sendmsg;
    setsockopt: fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int = libc::setsockopt;
    recvfrom: fn(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t = libc::recvfrom;
    __recvfrom_chk: fn(c_int, *mut c_void, size_t, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t;
    recvmsg: fn(c_int, *mut msghdr, c_int) -> ssize_t = libc::recvmsg;
    recvmmsg: fn(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int = libc::recvmmsg;
    sendmmsg: fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int = libc::sendmmsg;

    getaddrinfo: fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int = libc::getaddrinfo;
    getnameinfo: fn(*const sockaddr, socklen_t, *mut c_char, socklen_t, *mut c_char, socklen_t, c_int) -> c_int = libc::getnameinfo;
    gethostbyname2_r: fn(*const c_char, c_int, *mut hostent, *mut c_char, size_t, *mut *mut hostent, *mut c_int) -> c_int;

    res_mkquery: fn(c_int, *const c_char, c_int, c_int, *const u8, c_int, *const u8, *mut u8, c_int) -> c_int;
    res_nmkquery: fn(*mut c_void, c_int, *const c_char, c_int, c_int, *const u8, c_int, *const u8, *mut u8, c_int) -> c_int;
    __res_state: fn() -> *mut c_void;

    execve: fn(*const c_char, Arguments, Environment) -> c_int = libc::execve;
    execvpe: fn(*const c_char, Arguments, Environment) -> c_int = libc::execvpe;
    fexecve: fn(c_int, Arguments, Environment) -> c_int = libc::fexecve;
    execveat: fn(c_int, *const c_char, Arguments, Environment, c_int) -> c_int;
    dlopen: fn() -> *mut c_void;
    dlmopen: fn() -> *mut c_void;

    execl: fn() -> c_int;
    execlp: fn() -> c_int;
    execle: fn() -> c_int;
    syscall: fn() -> c_long;
    system: fn(*const c_char) -> c_int = libc::system;
    popen: fn(*const c_char, *const c_char) -> *mut libc::FILE = libc::popen;
    pidfd_spawn: fn(*mut c_int, *const c_char, *const actions, *const attributes, SpawnStrings, SpawnStrings) -> c_int;
    pidfd_spawnp: fn(*mut c_int, *const c_char, *const actions, *const attributes, SpawnStrings, SpawnStrings) -> c_int;
    posix_spawn: fn(*mut pid_t, *const c_char, *const actions, *const attributes, SpawnStrings, SpawnStrings) -> c_int = libc::posix_spawn;
    posix_spawn_file_actions_addchdir_np: fn(*mut actions, *const c_char) -> c_int = libc::posix_spawn_file_actions_addchdir_np;
    posix_spawn_file_actions_addfchdir_np: fn(*mut actions, c_int) -> c_int = libc::posix_spawn_file_actions_addfchdir_np;
    posix_spawnp: fn(*mut pid_t, *const c_char, *const actions, *const attributes, SpawnStrings, SpawnStrings) -> c_int = libc::posix_spawnp;
}
