use super::*;
use crate::scratch::Scratch;
use elf::{Class, tests::crafted};

const GO_NOTE: &[u8] = b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd";

fn refusal(bytes: &[u8]) -> Option<Refusal> {
    let kind = Kind::Elf { elf: elf::read(bytes).unwrap(), privilege: Privilege::default(), known: None };
    Link { path: "/x".into(), kind }.refusal(&Asker::default())
}

fn with_byte(mut file: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    file[at] = value;
    file
}

#[test]
fn each_kind_of_program_has_its_refusal() {
    let native = |notes| with_byte(crafted(Some(LOADER), notes), 18, MACHINE as u8);
    assert_eq!(refusal(&native(b"")), None);
    assert_eq!(refusal(&native(GO_NOTE)), Some(Refusal::Go));
    assert_eq!(refusal(&with_byte(native(b""), 18, 243)), Some(Refusal::Machine(243)));
    assert_eq!(refusal(&with_byte(native(b""), 4, 1)), Some(Refusal::Class(Class::Bits32)));
    assert_eq!(refusal(&with_byte(native(b""), 5, 2)), Some(Refusal::Class(Class::Other)));
    assert_eq!(refusal(&with_byte(crafted(None, b""), 18, MACHINE as u8)), Some(Refusal::Static));
    let musl = with_byte(crafted(Some("/lib/ld-musl-x86_64.so.1"), b""), 18, MACHINE as u8);
    assert_eq!(refusal(&musl), Some(Refusal::Loader("/lib/ld-musl-x86_64.so.1".into())));
}

#[test]
fn glibcs_loader_is_known_by_its_name() {
    assert!(is_glibc_loader(LOADER.as_bytes()));
    let moved = format!("/nix/store/x-glibc/lib/{}", Path::new(LOADER).file_name().unwrap().display());
    assert!(is_glibc_loader(moved.as_bytes()));
    assert!(!is_glibc_loader(b"/lib/ld-musl-x86_64.so.1"));
    assert!(!is_glibc_loader(b""));
}

fn names(path: &Path) -> Vec<String> {
    let links = chain(path, Some(OsStr::new("/usr/bin:/bin"))).unwrap();
    links.iter().skip(1).map(|link| link.path.display().to_string()).collect()
}

#[test]
fn a_script_is_followed_to_its_interpreter() {
    let scratch = Scratch::new();
    let file = |name, content: &[u8]| scratch.file(name, content);
    assert_eq!(names(&file("plain", b"#!/bin/sh\n")), ["/bin/sh"]);
    assert_eq!(names(&file("by-env", b"#!/usr/bin/env -S sh -e\n")), ["/usr/bin/env", "/usr/bin/sh"]);
    assert_eq!(names(&file("by-env-unknown", b"#!/usr/bin/env no-such\n")), ["/usr/bin/env"]);
    assert_eq!(names(&file("without-line", b"echo hello\n")), ["/bin/sh"]);
    assert_eq!(names(&file("empty", b"")), ["/bin/sh"]);
}

#[test]
fn a_script_without_an_interpreter_is_not_found_and_one_of_itself_ends() {
    let scratch = Scratch::new();
    let failed = chain(&scratch.file("orphan", "#!/no/such/sh\n"), None).unwrap_err();
    assert_eq!(failed.status, 127);
    assert!(failed.message.ends_with("its interpreter /no/such/sh: no such file or directory"), "{failed}");
    let path = scratch.file("loop", "");
    fs::write(&path, format!("#!{}\n", path.display())).unwrap();
    assert_eq!(chain(&path, None).unwrap_err().status, 126);
}

#[test]
fn a_script_is_judged_by_its_interpreter() {
    let scratch = Scratch::new();
    let go = scratch.file("go", with_byte(crafted(Some(LOADER), GO_NOTE), 18, MACHINE as u8));
    let script = scratch.file("of-go", format!("#!{}\n", go.display()));
    let failed = judge(&chain(&script, None).unwrap(), &Asker::default()).unwrap_err();
    assert_eq!(failed.status, 126);
    assert!(failed.message.contains("/go: cannot be carried: it is a Go program"), "{failed}");
    let shell = scratch.file("of-sh", "#!/bin/sh\n");
    assert_eq!(judge(&chain(&shell, None).unwrap(), &Asker::default()), Ok(()));
}

#[test]
fn the_loader_itself_is_no_static_program() {
    let links = chain(Path::new(LOADER), None).unwrap();
    assert_eq!(judge(&links, &Asker::default()), Ok(()));
}
