//! Why a program cannot be sealed, in words.

use std::fs;
use std::io;

use crate::messages::reason;

/// What forbids user namespaces: a file, what is in it then, and what that means.
const FORBIDDEN: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "this system allows no user namespace (user.max_user_namespaces is 0)",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "this system allows root alone user namespaces (kernel.unprivileged_userns_clone is 0)",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces here (kernel.apparmor_restrict_unprivileged_userns is 1)",
    ),
];

/// What was tried, and why it is not to be had.
pub(crate) fn refused(what: &str, error: &io::Error) -> String {
    let is_no = matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::ENOSYS | libc::EINVAL)
    );
    if !is_no {
        return format!("{what}: {}", reason(error));
    }
    let is = |(file, value, _): &&(&str, &str, &str)| {
        fs::read_to_string(file).is_ok_and(|text| text.trim() == *value)
    };
    let why = FORBIDDEN.iter().find(is).map(|(_, _, why)| *why);
    let why = why.unwrap_or("user namespaces are refused here, as in containers");
    format!("{what}: {}: {why}", reason(error))
}
