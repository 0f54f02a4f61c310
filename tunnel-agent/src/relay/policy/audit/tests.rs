use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::Value;

use super::super::limits::Limits;
use super::*;

/// A busy disk takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("underpass-audit-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

fn decision<'a>(client: &'a Client, host: &'a str) -> Decision<'a> {
    Decision {
        client,
        host,
        port: 443,
        protocol: Protocol::Tcp,
        listens: None,
        address: Some("192.0.2.1".parse().unwrap()),
        permitted: true,
        rule: Some("web"),
        reason: None,
        bytes: (1, 2),
        duration: Duration::from_millis(3),
        neighbour: Some("203.0.113.5".parse().unwrap()),
    }
}

fn ann() -> Client {
    Client { name: "ann".into(), fingerprint: "AAAAAAAAAAAA".into(), ..Client::anonymous(Limits::default()) }
}

fn line(audit: &Decision<'_>, hasher: Option<&Hasher>, neighbour: bool) -> String {
    line::line(audit, hasher, neighbour, SystemTime::UNIX_EPOCH)
}

#[test]
fn whoever_is_turned_away_is_a_line_without_what_was_asked_for() {
    let from = "203.0.113.5".parse().ok();
    let said = |client, why, before, neighbour| {
        line::turned_away(client, why, before, neighbour, SystemTime::UNIX_EPOCH)
    };
    assert_eq!(
        said(None, "a token that is not known", 0, None),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"verdict\":\"deny\",\"reason\":\"a token that is not known\"}\n"
    );
    assert_eq!(
        said(Some(&ann()), "enough", 7, from),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"ann\",\"key\":\"AAAAAAAAAAAA\",\"verdict\":\"deny\",\
         \"reason\":\"enough, as 7 times before\",\"neighbour\":\"203.0.113.5\"}\n"
    );
}

#[test]
fn a_decision_is_one_line() {
    let ann = ann();
    assert_eq!(
        line(&decision(&ann, "a.example"), None, false),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"ann\",\"key\":\"AAAAAAAAAAAA\",\"host\":\"a.example\",\
         \"port\":443,\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"verdict\":\"permit\",\"rule\":\"web\",\
         \"up\":1,\"down\":2,\"ms\":3}\n"
    );
    let nobody = Client::anonymous(Limits::default());
    let refused = Decision {
        address: None,
        permitted: false,
        rule: None,
        reason: Some("no rule\npermits \"it\"".to_owned()),
        bytes: (0, 0),
        duration: Duration::ZERO,
        ..decision(&nobody, "a.example")
    };
    assert_eq!(
        line(&refused, None, true),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"anonymous\",\"host\":\"a.example\",\"port\":443,\
         \"protocol\":\"tcp\",\"verdict\":\"deny\",\"reason\":\"no rule\\npermits \\\"it\\\"\",\"up\":0,\"down\":0,\
         \"ms\":0,\"neighbour\":\"203.0.113.5\"}\n"
    );
}

#[test]
fn the_address_of_a_client_is_written_only_if_it_is_asked_for() {
    let ann = ann();
    assert!(!line(&decision(&ann, "a.example"), None, false).contains("203.0.113.5"));
    assert!(line(&decision(&ann, "a.example"), None, true).contains("203.0.113.5"));
}

#[test]
fn hashed_names_are_equal_where_names_are_and_show_nothing() {
    let folder = Folder::new("names");
    let path = folder.0.join("names.key");
    let write = |text: &str, mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("0123456789abcdef\n", 0o600);
    let ann = ann();
    let host = |hasher: &Hasher, host: &str| {
        let text = line(&decision(&ann, host), Some(hasher), false);
        assert!(!text.contains("example") && !text.contains("192.0.2.1"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        value["host"].as_str().unwrap().to_owned()
    };
    let of_file = || Hasher::new(Some(&path)).expect("a key");
    // printf a.example | openssl dgst -sha256 -hmac 0123456789abcdef
    assert_eq!(host(&of_file(), "a.example"), EXPECTED);
    assert_eq!(host(&of_file(), "a.example"), host(&of_file(), "a.example"));
    assert_ne!(host(&of_file(), "a.example"), host(&of_file(), "b.example"));
    let (one, other) = (Hasher::new(None).unwrap(), Hasher::new(None).unwrap());
    assert_ne!(host(&one, "a.example"), host(&other, "a.example"));
    for (text, mode, why) in
        [("0123456789abcde", 0o600, "16 characters"), ("0123456789abcdef", 0o640, "mode is 0640")]
    {
        write(text, mode);
        let error = Hasher::new(Some(&path)).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

const EXPECTED: &str = "hmac:yYhizAX6Fa8XLlCHTwgTIQ";

fn audit(folder: &Folder, size: u64, keep: u32) -> Audit {
    Audit { to: To::File { path: folder.0.join("log"), size, keep }, ..Audit::default() }
}

#[test]
fn files_are_bounded_in_size_and_number() {
    let folder = Folder::new("rotate");
    let ann = ann();
    let one = line(&decision(&ann, "0"), None, false).len() as u64;
    let log = Log::open(&audit(&folder, 2 * one, 2)).expect("open");
    for number in 0..9 {
        log.write(&decision(&ann, &number.to_string()), SystemTime::UNIX_EPOCH);
    }
    log.close(PATIENCE);
    let hosts = |name: &str| {
        let text = folder.file(name);
        let host =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["host"].as_str().unwrap().to_owned();
        text.lines().map(host).collect::<String>()
    };
    assert_eq!((hosts("log"), hosts("log.1"), hosts("log.2")), ("8".into(), "67".into(), "45".into()));
    assert!(!folder.0.join("log.3").exists());
    let mode = fs::metadata(folder.0.join("log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_goes_on_where_it_has_ended() {
    let folder = Folder::new("again");
    fs::write(folder.0.join("log"), "{\"cut\":").unwrap();
    let ann = ann();
    for host in ["a", "b"] {
        let log = Log::open(&audit(&folder, 1 << 20, 1)).expect("open");
        log.write(&decision(&ann, host), SystemTime::UNIX_EPOCH);
        log.close(PATIENCE);
    }
    let text = folder.file("log");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "{\"cut\":");
    assert!(lines[1].contains("\"host\":\"a\"") && lines[2].contains("\"host\":\"b\""));
}

#[test]
fn what_is_no_file_is_no_audit() {
    let folder = Folder::new("kinds");
    fs::create_dir(folder.0.join("log")).unwrap();
    assert!(Log::open(&audit(&folder, 1, 1)).is_err());
    fs::remove_dir(folder.0.join("log")).unwrap();
    std::os::unix::fs::symlink("elsewhere", folder.0.join("log")).unwrap();
    assert!(Log::open(&audit(&folder, 1, 1)).is_err());
    let error = Log::open(&Audit { to: To::file(Path::new("/nowhere/log").into()), ..Audit::default() });
    assert!(error.expect_err("no folder").to_string().starts_with("/nowhere/log: "));
}

/// Takes a line whenever it is told to, and fails if it is told so.
struct Slow {
    go: Receiver<bool>,
    taken: SyncSender<String>,
}

impl Write for Slow {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.go.recv().unwrap_or(true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let _ = self.taken.send(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_slow_disk_cannot_take_is_lost_and_counted() {
    let (go, gone) = sync_channel(0);
    let (taken, lines) = sync_channel(5000);
    let writer = Writer::start(Box::new(Slow { go: gone, taken })).expect("a thread");
    // The queue, and at most one that is being written.
    for number in 0..3000 {
        writer.take(format!("{number}\n"));
    }
    drop(go);
    writer.close(PATIENCE);
    let lines: Vec<_> = lines.try_iter().collect();
    let count = |line: &String| serde_json::from_str::<Value>(line).ok()?.get("lost")?.as_u64();
    let lost: u64 = lines.iter().filter_map(count).sum();
    let written = lines.iter().filter(|line| count(line).is_none()).count() as u64;
    assert_eq!(written + lost, 3000);
    assert!((1024..=1025).contains(&written), "{written}");
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted_when_there_is_room() {
    let (go, gone) = sync_channel(0);
    let (taken, lines) = sync_channel(10);
    let writer = Writer::start(Box::new(Slow { go: gone, taken })).expect("a thread");
    for line in ["a\n", "b\n", "c\n"] {
        writer.take(line.to_owned());
    }
    // a; before b: the count, and b itself; before c.
    for room in [false, false, false, true, true] {
        go.send(room).expect("a thread");
    }
    writer.close(PATIENCE);
    let lines: Vec<_> = lines.try_iter().collect();
    assert!(lines[0].ends_with(",\"lost\":2}\n"), "{lines:?}");
    assert_eq!(lines[1..], ["c\n"]);
}
