//! The environment of the program: ours plus the two variables, and every other entry as it was,
//! also those that std would not show (without `=`, or twice).

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::path::Path;

use std::os::unix::ffi::OsStrExt;
use underpass_core::preload_path;
use underpass_core::session_env::{self, SessionEnv};

use crate::messages::Failure;

pub(crate) const PRELOAD: &str = "LD_PRELOAD";

/// `inherited` without the variables `taken`, with the library first in `LD_PRELOAD` and the session in
/// its variable. Both keep their place where they had one.
pub(crate) fn for_program<'a>(
    inherited: impl IntoIterator<Item = &'a CStr>,
    library: &Path,
    session: &str,
    taken: &[String],
) -> Result<Vec<Cow<'a, CStr>>, Failure> {
    let mut entries: Vec<Cow<'a, CStr>> = inherited.into_iter().map(Cow::Borrowed).collect();
    entries.retain(|entry| taken.iter().all(|name| value(entry, name).is_none()));
    let preload = preload(entries.iter().map(|entry| &**entry), library);
    set(&mut entries, PRELOAD, &preload)?;
    set(&mut entries, session_env::VARIABLE, session.as_bytes())?;
    Ok(entries)
}

/// The value of a session's variable for a program in tier auto, or under guard, or neither; `None` if it is none. Who is
/// under guard itself starts nobody who is not.
pub(crate) fn of_session<'a>(
    session: &[u8],
    auto: bool,
    supervised: bool,
    inherited: impl IntoIterator<Item = &'a CStr>,
) -> Option<String> {
    let ours = inherited.into_iter().find_map(|entry| value(entry, session_env::VARIABLE));
    let are_we = || ours.and_then(SessionEnv::parse).is_some_and(|session| session.supervised);
    let session = SessionEnv { auto, supervised: supervised || are_we(), ..SessionEnv::parse(session)? };
    String::from_utf8(session.to_value()).ok()
}

/// The environment without our library, for a program of another C library, whose loader would give up on it.
pub(crate) fn without_library<'a>(mut entries: Vec<Cow<'a, CStr>>) -> Result<Vec<Cow<'a, CStr>>, Failure> {
    let Some(current) = entries.iter().find_map(|entry| value(entry, PRELOAD)) else { return Ok(entries) };
    let is_ours = |entry: &&[u8]| {
        entry.rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(b"libunderpass"))
    };
    let others: Vec<&[u8]> = preload_path::others(b"", current).filter(|entry| !is_ours(entry)).collect();
    let others = others.join(&b':');
    match others.is_empty() {
        true => entries.retain(|entry| value(entry, PRELOAD).is_none()),
        false => set(&mut entries, PRELOAD, &others)?,
    }
    Ok(entries)
}

/// The environment with this session in place of the one that it has.
pub(crate) fn with_session<'a>(
    mut entries: Vec<Cow<'a, CStr>>,
    session: &str,
) -> Result<Vec<Cow<'a, CStr>>, Failure> {
    set(&mut entries, session_env::VARIABLE, session.as_bytes())?;
    Ok(entries)
}

/// The value of `LD_PRELOAD` with the library first.
pub(crate) fn preload<'a>(inherited: impl IntoIterator<Item = &'a CStr>, library: &Path) -> Vec<u8> {
    let current = inherited.into_iter().find_map(|entry| value(entry, PRELOAD)).unwrap_or_default();
    preload_path::with_library(library.as_os_str().as_bytes(), current)
}

fn set(entries: &mut Vec<Cow<'_, CStr>>, name: &str, new: &[u8]) -> Result<(), Failure> {
    let entry = CString::new([name.as_bytes(), b"=", new].concat())
        .map_err(|_| Failure::setup(format_args!("{name}: its value holds a zero byte")))?;
    let place = entries.iter().position(|entry| value(entry, name).is_some());
    // Which of two entries counts differs between getenv(3) and ld.so(8), so only one is left.
    entries.retain(|entry| value(entry, name).is_none());
    entries.insert(place.unwrap_or(entries.len()), Cow::Owned(entry));
    Ok(())
}

fn value<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(inherited: &[&str]) -> Vec<String> {
        without(&[], inherited)
    }

    fn without(taken: &[&str], inherited: &[&str]) -> Vec<String> {
        let taken: Vec<String> = taken.iter().map(|name| name.to_string()).collect();
        let entries: Vec<CString> = inherited.iter().map(|entry| CString::new(*entry).unwrap()).collect();
        let entries = entries.iter().map(CString::as_c_str);
        let made = for_program(entries, Path::new("/l.so"), "1:00:/s", &taken).unwrap();
        made.iter().map(|entry| entry.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn two_variables_are_added_and_the_others_stay_as_they_were() {
        assert_eq!(
            made(&["A=1", "odd", "A=2", ""]),
            ["A=1", "odd", "A=2", "", "LD_PRELOAD=/l.so", "UNDERPASS_SESSION=1:00:/s"]
        );
    }

    #[test]
    fn other_libraries_are_kept_behind_ours() {
        assert_eq!(
            made(&["LD_PRELOAD=/a.so /l.so", "B=1", "LD_PRELOAD=/b.so"]),
            ["LD_PRELOAD=/l.so:/a.so", "B=1", "UNDERPASS_SESSION=1:00:/s"]
        );
    }

    #[test]
    fn what_is_taken_out_is_gone_each_time_and_nothing_else_is() {
        assert_eq!(
            without(
                &["ALL_PROXY", "all_proxy"],
                &["ALL_PROXY=x", "ALL_PROXY_=1", "all_proxy=", "ALL_PROXY=y"]
            ),
            ["ALL_PROXY_=1", "LD_PRELOAD=/l.so", "UNDERPASS_SESSION=1:00:/s"]
        );
    }

    #[test]
    fn another_c_library_gets_the_others_alone() {
        let left = |preload: &str| {
            let entries = ["A=1", preload].map(|entry| Cow::Owned(CString::new(entry).unwrap()));
            let left = without_library(entries.to_vec()).unwrap();
            left.iter().map(|entry| entry.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(left("LD_PRELOAD=/x/libunderpass.so"), ["A=1"]);
        assert_eq!(left("LD_PRELOAD=/x/libunderpass-1-2.so:/a.so:/b.so"), ["A=1", "LD_PRELOAD=/a.so:/b.so"]);
        assert_eq!(left("B=1"), ["A=1", "B=1"]);
    }

    #[test]
    fn an_outer_session_is_replaced() {
        assert_eq!(
            made(&["UNDERPASS_SESSION=1:ff:/old", "LD_PRELOADED=x"]),
            ["UNDERPASS_SESSION=1:00:/s", "LD_PRELOADED=x", "LD_PRELOAD=/l.so"]
        );
    }

    #[test]
    fn the_session_says_who_is_under_guard_also_within_another_guard() {
        let opened = "1:00000000000000000000000000000000:/s";
        let guarded = "1:00000000000000000000000000000000:guard:/s";
        let ours = CString::new(format!("{}={guarded}", session_env::VARIABLE)).unwrap();
        let of = |supervised, inherited: &[&CStr]| {
            of_session(opened.as_bytes(), false, supervised, inherited.iter().copied()).unwrap()
        };
        assert_eq!(of(false, &[]), opened);
        assert_eq!(of(true, &[]), guarded);
        assert_eq!(of(false, &[&ours]), guarded);
        assert_eq!(of_session(b"none", false, true, []), None);
    }
}
