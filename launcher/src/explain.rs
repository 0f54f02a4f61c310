//! `--explain`: what a program is, and the lowest tier that carries it.

use std::ffi::OsStr;
use std::fmt::Write;

use underpass_core::privilege::{Asker, Privilege};

use crate::lookup;
use crate::messages::Failure;
use crate::program::{self, Kind, Known, Link, elf::Class, elf::Elf};

/// The answer for the program of this name.
pub(crate) fn explain(name: &OsStr, path: Option<&OsStr>, asker: &Asker) -> Result<String, Failure> {
    let file = lookup::find(name, path)?;
    let links = program::chain(&file, path)?;
    let mut text = String::new();
    for link in &links {
        describe(&mut text, link);
    }
    let refused = links.iter().find_map(|link| Some((link, link.refusal(asker)?)));
    match refused {
        None => line(&mut text, "tier", "hook"),
        Some((link, refusal)) => {
            let held = program::judge_for_guard(&links, asker).is_ok();
            line(&mut text, "tier", if held { "guard" } else { "none" });
            line(&mut text, "why", &format!("{}: {refusal}", link.path.display()));
        }
    }
    Ok(text)
}

fn describe(text: &mut String, link: &Link) {
    let _ = writeln!(text, "{}", link.path.display());
    match &link.kind {
        Kind::Elf { elf, privilege, known } => {
            line(text, "format", &format(elf));
            line(text, "loader", &loader(elf, *known));
            line(text, "set-id", &set_id(privilege));
            line(text, "capabilities", &capabilities(privilege));
            line(text, "go", if elf.go { "yes" } else { "no" });
            line(text, "sandbox", &sandbox(link, elf));
        }
        Kind::Script(interpreter) => {
            let by_env = interpreter.by_env.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let words = format!("script of {} {by_env}", interpreter.path.display());
            line(text, "format", words.trim_end());
        }
        Kind::Unknown => line(text, "format", &format!("unknown to the kernel, given to {}", program::SHELL)),
        Kind::Unreadable => line(text, "format", "unknown: it may not be read"),
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<13} {value}");
}

fn format(elf: &Elf) -> String {
    let class = match elf.class {
        Class::Native => "64-bit",
        Class::Bits32 => "32-bit",
        Class::Other => "not little-endian",
    };
    let machine = match elf.machine {
        3 => "x86".to_owned(),
        40 => "arm".to_owned(),
        62 => "x86-64".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv".to_owned(),
        other => format!("machine {other}"),
    };
    let place = if elf.position_independent { "position-independent" } else { "fixed address" };
    format!("ELF, {class}, {machine}, {place}")
}

fn loader(elf: &Elf, known: Option<Known>) -> String {
    match &elf.loader {
        None if known == Some(Known::Loader) => "it is glibc's loader itself".to_owned(),
        None if known == Some(Known::Launcher) => "none needed: it is underpass itself".to_owned(),
        None if elf.class == Class::Native => "none, statically linked".to_owned(),
        None => "not read".to_owned(),
        Some(path) => {
            let name = String::from_utf8_lossy(path);
            let libc = match program::is_glibc_loader(path) {
                true => "glibc",
                false if name.contains("ld-musl") => "musl",
                false => "not this system's glibc",
            };
            format!("{name} ({libc})")
        }
    }
}

fn sandbox(link: &Link, elf: &Elf) -> String {
    match (&program::sandbox::signs(&link.path)[..], &elf.loader) {
        ([], None) => "none seen, as it imports nothing".to_owned(),
        ([], Some(_)) => "none seen".to_owned(),
        (signs, _) => format!("its own, by {}", signs.join(", ")),
    }
}

fn set_id(privilege: &Privilege) -> String {
    let ignored = if privilege.ignored { " (ignored: mounted nosuid)" } else { "" };
    match (privilege.uid, privilege.gid) {
        (None, None) => "no".to_owned(),
        (Some(uid), None) => format!("user {uid}{ignored}"),
        (None, Some(gid)) => format!("group {gid}{ignored}"),
        (Some(uid), Some(gid)) => format!("user {uid}, group {gid}{ignored}"),
    }
}

fn capabilities(privilege: &Privilege) -> String {
    match privilege.capabilities {
        None => "none".to_owned(),
        Some(mask) => format!("{mask:#x} permitted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(name: &str) -> Result<String, Failure> {
        explain(OsStr::new(name), Some(OsStr::new("/usr/bin:/bin")), &Asker::default())
    }

    #[test]
    fn an_ordinary_program_is_held_by_the_hook_tier() {
        let text = explained("true").unwrap();
        assert!(text.starts_with("/usr/bin/true\n  format        ELF, 64-bit, "), "{text}");
        assert!(text.contains("(glibc)\n"), "{text}");
        assert!(text.ends_with("  tier          hook\n"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_127() {
        assert_eq!(explained("no-such-program").unwrap_err().status, 127);
    }
}
