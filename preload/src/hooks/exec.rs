//! Every program that a program starts goes on in the same session.

use libc::{c_char, c_int, pid_t, posix_spawn_file_actions_t as actions, posix_spawnattr_t as attributes};

use super::hooks;
use crate::environment::{repair_own, repaired};
use crate::variables::current;
use crate::{errno, real, started};

type Strings = *const *const c_char;
type SpawnStrings = *const *mut c_char;

hooks! {
    /// execve(2).
    fn execve(path: *const c_char, argv: Strings, envp: Strings) -> c_int,
        closed errno::fail(libc::ENOMEM) => execve_in(path, argv, envp);

    /// execv(3): execve(2) with the process's environment.
    fn execv(path: *const c_char, argv: Strings) -> c_int,
        closed errno::fail(libc::ENOMEM) => execve_in(path, argv, current());

    /// execvp(3).
    fn execvp(file: *const c_char, argv: Strings) -> c_int,
        closed errno::fail(libc::ENOMEM) => execvpe_in(file, argv, current());

    /// execvpe(3).
    fn execvpe(file: *const c_char, argv: Strings, envp: Strings) -> c_int,
        closed errno::fail(libc::ENOMEM) => execvpe_in(file, argv, envp);

    /// fexecve(3).
    fn fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int,
        closed errno::fail(libc::ENOMEM) => match real::fexecve.get() {
            // libc says EINVAL, where execveat(2) goes without.
            Some(fexecve) if argv.is_null() || envp.is_null() => fexecve(fd, argv, envp),
            Some(fexecve) => by_descriptor_in((fd, c"".as_ptr(), libc::AT_EMPTY_PATH), argv, envp, |envp| fexecve(fd, argv, envp)),
            None => errno::fail(libc::ENOSYS),
        };

    /// execveat(2), which glibc has since 2.34.
    fn execveat(directory: c_int, path: *const c_char, argv: Strings, envp: Strings, flags: c_int) -> c_int,
        closed errno::fail(libc::ENOMEM) => match real::execveat.get() {
            Some(execveat) => by_descriptor_in((directory, path, flags), argv, envp, |envp| execveat(directory, path, argv, envp, flags)),
            None => errno::fail(libc::ENOSYS),
        };

    /// system(3), which starts a shell with the process's environment, inside libc.
    fn system(command: *const c_char) -> c_int,
        closed errno::fail(libc::ENOMEM) => { repair_own(); None }, real system_in(command);

    /// libc's own name for `system`.
    fn __libc_system(command: *const c_char) -> c_int,
        closed errno::fail(libc::ENOMEM) => { repair_own(); None }, real system_in(command);

    /// popen(3), likewise.
    fn popen(command: *const c_char, kind: *const c_char) -> *mut libc::FILE,
        closed std::ptr::null_mut() => popen_in(command, kind);

    /// The public alias of `popen` in glibc.
    fn _IO_popen(command: *const c_char, kind: *const c_char) -> *mut libc::FILE,
        closed std::ptr::null_mut() => popen_in(command, kind);

    /// posix_spawn(3).
    fn posix_spawn(pid: *mut pid_t, path: *const c_char, file_actions: *const actions, attributes: *const attributes, argv: SpawnStrings, envp: SpawnStrings) -> c_int,
        closed libc::ENOMEM => spawn_in(real::posix_spawn.get(), pid, path, file_actions, attributes, argv, envp);

    /// posix_spawnp(3).
    fn posix_spawnp(pid: *mut pid_t, file: *const c_char, file_actions: *const actions, attributes: *const attributes, argv: SpawnStrings, envp: SpawnStrings) -> c_int,
        closed libc::ENOMEM => spawnp_in(real::posix_spawnp.get(), pid, file, file_actions, attributes, argv, envp);

    /// pidfd_spawn(3), which glibc has since 2.39.
    fn pidfd_spawn(pidfd: *mut c_int, path: *const c_char, file_actions: *const actions, attributes: *const attributes, argv: SpawnStrings, envp: SpawnStrings) -> c_int,
        closed libc::ENOMEM => spawn_in(real::pidfd_spawn.get(), pidfd, path, file_actions, attributes, argv, envp);

    /// pidfd_spawnp(3), likewise.
    fn pidfd_spawnp(pidfd: *mut c_int, file: *const c_char, file_actions: *const actions, attributes: *const attributes, argv: SpawnStrings, envp: SpawnStrings) -> c_int,
        closed libc::ENOMEM => spawnp_in(real::pidfd_spawnp.get(), pidfd, file, file_actions, attributes, argv, envp);

    /// posix_spawn_file_actions_addchdir_np(3), which is remembered in the actions.
    fn posix_spawn_file_actions_addchdir_np(file_actions: *mut actions, path: *const c_char) -> c_int,
        closed libc::ENOMEM => match real::posix_spawn_file_actions_addchdir_np.get() {
            Some(add) => started::noted(file_actions, add(file_actions, path)),
            None => libc::ENOSYS,
        };

    /// posix_spawn_file_actions_addfchdir_np(3), likewise.
    fn posix_spawn_file_actions_addfchdir_np(file_actions: *mut actions, fd: c_int) -> c_int,
        closed libc::ENOMEM => match real::posix_spawn_file_actions_addfchdir_np.get() {
            Some(add) => started::noted(file_actions, add(file_actions, fd)),
            None => libc::ENOSYS,
        };
}

/// # Safety
///
/// The arguments are as execve(2) requires.
pub(super) unsafe fn execve_in(path: *const c_char, argv: Strings, envp: Strings) -> c_int {
    match real::execve.get() {
        // SAFETY: the program's own arguments, with an environment that lives until the call returns.
        Some(execve) => unsafe {
            started::by_path(path, argv, false, |path, argv| repaired(envp, |envp| execve(path, argv, envp)))
        },
        None => errno::fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The arguments are as execvpe(3) requires.
pub(super) unsafe fn execvpe_in(file: *const c_char, argv: Strings, envp: Strings) -> c_int {
    match real::execvpe.get() {
        // SAFETY: as in `execve_in`.
        Some(execvpe) => unsafe {
            started::by_name(file, argv, false, |file, argv| repaired(envp, |envp| execvpe(file, argv, envp)))
        },
        None => errno::fail(libc::ENOSYS),
    }
}

type Spawn = unsafe extern "C-unwind" fn(
    *mut pid_t,
    *const c_char,
    *const actions,
    *const attributes,
    SpawnStrings,
    SpawnStrings,
) -> c_int;

/// # Safety
///
/// The arguments are as posix_spawn(3) requires.
unsafe fn spawn_in(
    spawn: Option<Spawn>,
    pid: *mut pid_t,
    path: *const c_char,
    file_actions: *const actions,
    attributes: *const attributes,
    argv: SpawnStrings,
    envp: SpawnStrings,
) -> c_int {
    let Some(spawn) = spawn else { return libc::ENOSYS };
    // SAFETY: as in `execve_in`.
    unsafe {
        started::by_path(path, argv.cast(), started::goes_elsewhere(file_actions), |path, argv| {
            repaired(envp.cast(), |envp| spawn(pid, path, file_actions, attributes, argv.cast(), envp.cast()))
        })
    }
}

/// # Safety
///
/// The arguments are as posix_spawnp(3) requires.
unsafe fn spawnp_in(
    spawn: Option<Spawn>,
    pid: *mut pid_t,
    file: *const c_char,
    file_actions: *const actions,
    attributes: *const attributes,
    argv: SpawnStrings,
    envp: SpawnStrings,
) -> c_int {
    let Some(spawn) = spawn else { return libc::ENOSYS };
    // SAFETY: as in `execve_in`.
    unsafe {
        started::by_name(file, argv.cast(), started::goes_elsewhere(file_actions), |file, argv| {
            repaired(envp.cast(), |envp| spawn(pid, file, file_actions, attributes, argv.cast(), envp.cast()))
        })
    }
}

/// # Safety
///
/// The arguments are as execveat(2) requires.
unsafe fn by_descriptor_in(
    file: (c_int, *const c_char, c_int),
    argv: Strings,
    envp: Strings,
    as_it_is: impl FnOnce(Strings) -> c_int,
) -> c_int {
    let start = |path, argv| match real::execve.get() {
        // SAFETY: the launcher, with the program's own arguments and an environment that lives until the call returns.
        Some(execve) => unsafe { repaired(envp, |envp| execve(path, argv, envp)) },
        None => errno::fail(libc::ENOSYS),
    };
    // SAFETY: the caller's promise.
    unsafe { started::by_descriptor(file, argv, || repaired(envp, as_it_is), start) }
}

/// # Safety
///
/// The argument is as system(3) requires.
unsafe fn system_in(command: *const c_char) -> c_int {
    match real::system.get() {
        // SAFETY: the program's own argument.
        Some(system) => unsafe { system(command) },
        None => errno::fail(libc::ENOSYS),
    }
}

/// # Safety
///
/// The arguments are as popen(3) requires.
unsafe fn popen_in(command: *const c_char, kind: *const c_char) -> *mut libc::FILE {
    repair_own();
    match real::popen.get() {
        // SAFETY: the program's own arguments.
        Some(popen) => unsafe { popen(command, kind) },
        None => std::ptr::null_mut(),
    }
}
