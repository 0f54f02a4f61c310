//! Having each hop tried: one request, many replies.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use underpass_core::config::Config;
use underpass_core::control::{ControlReply, ControlRequest, MAX_LINE};

use super::{DEADLINE, Place, begin, cannot_ask, failure, has_left, lock, start, unexpected, unknown_answer};
use crate::messages::Failure;

/// What has become of trying one hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) chain: String,
    /// From 1.
    pub(crate) hop: usize,
    pub(crate) of: usize,
    /// The hop's URL, without credentials.
    pub(crate) name: String,
    /// Where it did not fail.
    pub(crate) millis: Option<u64>,
    /// Where it is connected to from here.
    pub(crate) round_trip_microseconds: Option<u64>,
    /// What its rules refuse, in words.
    pub(crate) refuses: Vec<String>,
    pub(crate) failure: Option<String>,
    pub(crate) hint: Option<String>,
}

/// Has each hop tried; `each` is called as soon as one is known.
pub(crate) fn check(
    place: Place<'_>,
    config: &Config,
    mut each: impl FnMut(Checked) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let request = ControlRequest::Check { config: Box::new(config.clone()) };
    // Each hop may take as long as a connection.
    let patience = DEADLINE + Duration::from_secs(config.deadline.into());
    let mut hop = |reply| match reply {
        ControlReply::Checked {
            chain,
            hop,
            of,
            name,
            millis,
            round_trip_microseconds,
            refuses,
            failure,
            hint,
        } => each(Checked { chain, hop, of, name, millis, round_trip_microseconds, refuses, failure, hint })
            .map(|()| false),
        ControlReply::Done => Ok(true),
        other => Err(unexpected(place, other)),
    };
    if let Some(stream) = begin(place, &request)?
        && replies(place, &stream, patience, &mut hop)?
    {
        return Ok(());
    }
    let _lock = lock(place)?;
    let stream = match begin(place, &request)? {
        Some(stream) => Some(stream),
        None => {
            start(place)?;
            begin(place, &request)?
        }
    };
    match stream {
        Some(stream) if replies(place, &stream, patience, &mut hop)? => Ok(()),
        _ => Err(failure(place, "has started and does not listen")),
    }
}

/// Takes replies until `each` says that it was the last. `false` where none came: the agent was just
/// leaving.
fn replies(
    place: Place<'_>,
    stream: &UnixStream,
    patience: Duration,
    mut each: impl FnMut(ControlReply) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    set_socket_timeout(stream, Timeout::Recv, Some(patience))
        .map_err(|error| cannot_ask(place, &error.into()))?;
    let mut lines = BufReader::new(stream);
    let mut any = false;
    loop {
        let mut line = String::new();
        match (&mut lines).take(MAX_LINE as u64).read_line(&mut line) {
            Ok(0) if !any => return Ok(false),
            Ok(0) => return Err(failure(place, "has ended before the check has")),
            Ok(_) => {}
            Err(error) if has_left(&error) && !any => return Ok(false),
            Err(error) => return Err(cannot_ask(place, &error)),
        }
        any = true;
        match ControlReply::from_line(&line) {
            Ok(reply) => {
                if each(reply)? {
                    return Ok(true);
                }
            }
            Err(_) => return Err(unknown_answer(place)),
        }
    }
}
