use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::made::Made;
use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("underpass-key-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> Result<Identity, KeyError> {
    Identity::read(path, &certificate_path(path))
}

#[test]
fn what_is_written_is_read_and_its_pin_is_the_same() {
    let directory = Directory::new("read");
    let path = directory.0.join("new").join("client.key");
    let made = Made::new(&[]).unwrap();
    made.write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(read(&path).unwrap().pin(), made.identity().unwrap().pin());
}

#[test]
fn a_key_is_never_overwritten() {
    let directory = Directory::new("twice");
    let path = directory.0.join("relay.key");
    Made::new(&["relay.test".to_owned()]).unwrap().write(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Made::new(&[]).unwrap().write(&path), Err(KeyError::Io(..))));
    fs::remove_file(&path).unwrap();
    // The certificate alone is in the way too, and no key is left without its own.
    assert!(matches!(Made::new(&[]).unwrap().write(&path), Err(KeyError::Io(..))));
    assert!(!path.exists());
    assert!(!before.is_empty());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let directory = Directory::new("loose");
    let path = directory.0.join("client.key");
    Made::new(&[]).unwrap().write(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o660, 0o644] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(matches!(read(&path), Err(KeyError::Loose(..))), "{mode:o}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    read(&path).unwrap();
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let directory = Directory::new("other");
    let (one, two) = (directory.0.join("one"), directory.0.join("two"));
    Made::new(&[]).unwrap().write(&one).unwrap();
    Made::new(&[]).unwrap().write(&two).unwrap();
    fs::rename(certificate_path(&two), certificate_path(&one)).unwrap();
    assert!(matches!(read(&one), Err(KeyError::Malformed(..))));
    assert!(matches!(read(&directory.0.join("three")), Err(KeyError::Missing(..))));
}

#[test]
fn no_two_clients_have_more_in_common_than_any() {
    let pem = |made: &Made| format!("{:?}", made.identity().unwrap());
    let (one, two) = (Made::new(&[]).unwrap(), Made::new(&[]).unwrap());
    assert_ne!(pem(&one), pem(&two));
    assert!(pem(&one).starts_with("Identity(sha256//"));
}
