//! `ssh://`: the user's own OpenSSH as a hop, with its configuration, keys, agent and shared
//! connections. Its standard input and output are the connection (`ssh -W`, ssh(1)).
//!
//! No question is ever asked (`BatchMode`). ssh says on standard error what becomes of the connection:
//! with `-vv`, also that it has been opened, which it says nowhere else.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, Command};
use tokio::task::JoinSet;
use underpass_core::destination::Destination;
use underpass_core::failure::{Failure, errno, reason};
use underpass_core::session_env::{OUTSIDE, VARIABLE};
use underpass_core::upstream::{HopHost, Ssh};

use super::door::Door;
use super::hop::Hop;
use super::stream::Stream;

/// What ssh says when the far end has accepted: by itself, and where it uses a shared connection.
const OPENED: [&str; 2] = [": open confirm ", "mux_client_request_stdio_fwd: master session id"];
/// A longer line of ssh's is cut, in bytes.
const MAX_LINE: usize = 1024;

/// What ssh says about the destination, and what it means.
const TOLD: [(&str, i32); 9] = [
    ("Connection refused", errno::ECONNREFUSED),
    ("Connection timed out", errno::ETIMEDOUT),
    ("No route to host", errno::EHOSTUNREACH),
    ("Network is unreachable", errno::ENETUNREACH),
    ("Name or service not known", errno::EHOSTUNREACH),
    ("Temporary failure in name resolution", errno::EHOSTUNREACH),
    ("No address associated with hostname", errno::EHOSTUNREACH),
    ("administratively prohibited", errno::EACCES),
    // What OpenSSH's server says where it has no better word.
    ("connect failed: open failed", errno::ENETUNREACH),
];

/// A connection to `destination` as `ssh` makes it.
pub(crate) async fn dial(ssh: &Ssh, destination: &Destination) -> Result<Stream, Failure> {
    run(command(ssh), ssh, destination).await
}

/// The same through the proxies before it: `stream` is a connection to the last of them, `before`.
pub(crate) async fn dial_over(
    ssh: &Ssh,
    destination: &Destination,
    before: Arc<Hop>,
    stream: Stream,
) -> Result<Stream, Failure> {
    let door = Door::open().map_err(|error| Failure::Ssh(reason(&error)))?;
    let mut command = command(ssh);
    // A connection that ssh shares would not go this way.
    command.args(["-o", "ControlPath=none", "-o", "ProxyJump=none", "-o", &door.proxy_command()]);
    // It ends with the dial, unless that comes about.
    let mut joined = JoinSet::new();
    joined.spawn(door.join(before, stream));
    let dialled = run(command, ssh, destination).await;
    if dialled.is_ok() {
        joined.detach_all();
    } else {
        joined.abort_all();
        // A proxy that has not reached the host says more than what ssh makes of it.
        if let Some(Ok(Err(failure))) = joined.join_next().await {
            return Err(Failure::UpstreamUnreachable(failure.to_string()));
        }
    }
    dialled
}

async fn run(command: Command, ssh: &Ssh, destination: &Destination) -> Result<Stream, Failure> {
    let (stream, mut command) =
        prepared(command, ssh, destination).map_err(|error| Failure::Ssh(reason(&error)))?;
    let mut child = command.spawn().map_err(|error| not_started(&error))?;
    // The child alone has its end of the connection now.
    drop(command);
    let Some(errors) = child.stderr.take() else {
        return Err(Failure::Ssh("its standard error is lost".to_owned()));
    };
    let mut errors = BufReader::new(errors);
    let mut last = String::new();
    while let Some(line) = line(&mut errors).await {
        if OPENED.iter().any(|words| line.contains(words)) {
            // What it says from now on is nobody's, but its pipe must not fill.
            tokio::spawn(async move {
                while self::line(&mut errors).await.is_some() {}
                let _ = child.wait().await;
            });
            return Ok(stream);
        }
        let is_debug = ["debug1:", "debug2:", "OpenSSH_"].iter().any(|start| line.starts_with(start));
        if !is_debug && !line.is_empty() && !line.starts_with("stdio forwarding failed") {
            last = line;
        }
    }
    Err(failure(last))
}

/// Whether the host lets us in.
pub(crate) async fn check(ssh: &Ssh) -> Result<(), Failure> {
    let mut command = command(ssh);
    command
        .args(["--", &host(ssh), "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().await.map_err(|error| not_started(&error))?;
    // ssh's own trouble is 255 (ssh(1)); anything else is the account's.
    match output.status.code() {
        Some(255) | None => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(Failure::Ssh(words.lines().last().unwrap_or_default().trim().to_owned()))
        }
        Some(_) => Ok(()),
    }
}

fn not_started(error: &io::Error) -> Failure {
    Failure::Ssh(match error.kind() {
        io::ErrorKind::NotFound => "there is no ssh on this machine; install openssh-client".to_owned(),
        _ => reason(error),
    })
}

fn failure(last: String) -> Failure {
    // Only what the other side says about the channel is about the destination.
    let told = TOLD.iter().find(|(words, _)| last.contains("open failed") && last.contains(words));
    match told {
        Some((_, errno)) => Failure::Dial(*errno),
        None if last.is_empty() => Failure::Ssh("it ended without a word".to_owned()),
        None => Failure::Ssh(last),
    }
}

/// ssh's two ends are two sockets: it may end with bytes of ours unread, and a Unix socket that is closed
/// so is reset, with what it had still to deliver.
fn prepared(mut command: Command, ssh: &Ssh, destination: &Destination) -> io::Result<(Stream, Command)> {
    let (input, its_input) = pair()?;
    let (output, its_output) = pair()?;
    command.args(["-vv", "-T", "-W", &destination.to_string(), "--", &host(ssh)]);
    command.stdin(Stdio::from(its_input)).stdout(Stdio::from(its_output)).stderr(Stdio::piped());
    Ok((Stream::wrapped(tokio::io::join(output, input)), command))
}

/// Our end, and one that a program can use that knows nothing of non-blocking files.
fn pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, its) = UnixStream::pair()?;
    let its: OwnedFd = its.into_std()?.into();
    rustix::io::ioctl_fionbio(&its, false)?;
    Ok((ours, its))
}

/// What every call of ssh has.
fn command(ssh: &Ssh) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes"]);
    if let Some(port) = ssh.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &ssh.user {
        command.args(["-l", user]);
    }
    // It leaves from this machine: it is not to be carried itself.
    command.env(VARIABLE, OUTSIDE).env_remove("LD_PRELOAD").kill_on_drop(true);
    command
}

fn host(ssh: &Ssh) -> String {
    match &ssh.host {
        HopHost::Address(ip) => ip.to_string(),
        HopHost::Name(name) => name.clone(),
    }
}

/// The next line of what ssh says.
async fn line(errors: &mut BufReader<ChildStderr>) -> Option<String> {
    let mut bytes = Vec::new();
    match errors.read_until(b'\n', &mut bytes).await {
        Ok(0) | Err(_) => None,
        Ok(_) => {
            bytes.truncate(MAX_LINE);
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_about_the_channel_are_about_the_destination() {
        let said = |words: &str| failure(words.to_owned());
        let refused = "channel 0: open failed: connect failed: Connection refused";
        assert_eq!(said(refused), Failure::Dial(errno::ECONNREFUSED));
        let own = "ssh: connect to host gate port 22: Connection refused";
        assert_eq!(said(own), Failure::Ssh(own.to_owned()));
        assert!(matches!(said("me@gate: Permission denied (publickey)."), Failure::Ssh(_)));
    }
}
