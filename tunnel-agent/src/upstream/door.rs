//! How ssh comes to a connection of ours: its `ProxyCommand` (ssh_config(5)) is `underpass-agent join`,
//! which finds one socket, for one use, and says where ssh wants to go.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, thread};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixListener;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, reason};

use super::hop::Hop;
use super::stream::{Stream, converse};
use crate::service::successor;

/// A host name and a port, in bytes.
const MAX_LINE: u64 = 300;

/// A socket in a directory of its own, both gone with it.
pub(crate) struct Door {
    directory: PathBuf,
    listener: UnixListener,
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Door {
    /// Nobody but this user can reach it: its directory is 0700, and its name is not to be guessed.
    pub(crate) fn open() -> io::Result<Self> {
        let name = format!("underpass-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let directory = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let listener = UnixListener::bind(directory.join("door"));
        match listener {
            Ok(listener) => Ok(Self { directory, listener }),
            Err(error) => {
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// What makes ssh come here.
    pub(crate) fn proxy_command(&self) -> String {
        let quoted = |path: &Path| {
            // For the shell that ssh starts, and for ssh, which expands percent signs.
            format!("'{}'", path.display().to_string().replace('\'', "'\\''").replace('%', "%%"))
        };
        let program = successor::program().unwrap_or_else(|_| "underpass-agent".into());
        format!("ProxyCommand={} join {} %h %p", quoted(&program), quoted(&self.directory.join("door")))
    }

    /// Waits for ssh, asks `before`, which has been greeted, for the host that it names, and passes bytes until either end is done.
    pub(crate) async fn join(self, before: Arc<Hop>, mut stream: Stream) -> Result<(), Failure> {
        let trouble = |error: io::Error| Failure::Ssh(reason(&error));
        let (connection, _) = self.listener.accept().await.map_err(trouble)?;
        // It was for one use.
        drop(self);
        let mut connection = BufReader::new(connection);
        let mut line = String::new();
        (&mut connection).take(MAX_LINE).read_line(&mut line).await.map_err(trouble)?;
        let next =
            destination(line.trim_end()).ok_or(Failure::Ssh("it names no host and port".to_owned()))?;
        converse(&mut stream, &mut *before.request(&next, false)?).await?;
        let mut far = stream.into_duplex();
        let _ = tokio::io::copy_bidirectional(&mut connection, &mut far).await;
        Ok(())
    }
}

fn destination(line: &str) -> Option<Destination> {
    let (host, port) = line.rsplit_once(' ')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    match host.parse() {
        Ok(ip) => Some(Destination::Address((std::net::IpAddr::to_canonical(&ip), port).into())),
        Err(_) if !host.is_empty() && host.len() <= 255 => {
            Some(Destination::Name { host: host.to_owned(), port })
        }
        Err(_) => None,
    }
}

/// `underpass-agent join DOOR HOST PORT`: standard input and output are ssh's, which ends us when it ends.
pub(crate) fn come_in(door: &Path, host: &str, port: &str) -> io::Result<()> {
    let mut down = net::UnixStream::connect(door)?;
    down.write_all(format!("{host} {port}\n").as_bytes())?;
    let up = down.try_clone()?;
    thread::spawn(move || {
        let _ = pass(io::stdin().lock(), &up);
        let _ = up.shutdown(Shutdown::Write);
    });
    pass(&mut down, io::stdout().lock())
}

/// Passes on what comes, at once: standard output would wait for the end of a line.
fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_names_hosts_and_addresses() {
        let name = Destination::Name { host: "gate.example".into(), port: 22 };
        assert_eq!(destination("gate.example 22"), Some(name));
        assert_eq!(destination("::1 22"), Some(Destination::Address("[::1]:22".parse().unwrap())));
        for line in ["", "gate", "gate 0", "gate x", " 22"] {
            assert_eq!(destination(line), None, "{line}");
        }
    }
}
