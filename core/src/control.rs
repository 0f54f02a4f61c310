//! What a launcher and its agent say to each other: one JSON line each way over `control.sock`,
//! which only the agent's own user can reach. Programs never see this socket; what they can ask
//! is in [`crate::wire`].

mod source;
mod status;

pub use source::Source;
pub use status::{ConnectionStatus, FailureStatus, HopStatus, ListenerStatus, Mechanism, UnhookedStatus};

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// The control socket's name in the agent's directory.
pub const SOCKET: &str = "control.sock";

/// A request longer than this, in bytes and with its newline, is refused.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// What a launcher asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ControlRequest {
    /// Open a session for the asking process, which is about to become the program.
    OpenSession {
        /// Chains and routes; checked again by the agent.
        config: Box<Config>,
        /// Whether the agent may stay for the next launch when nobody is left (not in CI).
        linger: bool,
        /// The file that the configuration was read from, if there is one to read again.
        #[serde(default)]
        source: Option<Source>,
        /// The process that keeps the session, if it is not the asking one: a shell that evaluates what
        /// `--shell` prints.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_process: Option<u32>,
    },
    /// Try each hop of each chain; answered by a [`ControlReply::Checked`] for each, as it is known, and
    /// by [`ControlReply::Done`].
    Check {
        /// As for a session, and not kept.
        config: Box<Config>,
    },
    /// Tell what is carried: answered by a [`ControlReply::Connection`] for each connection, a
    /// [`ControlReply::Hop`] for each hop of the chains in use, a [`ControlReply::Failed`] for each reason for which
    /// connections have failed lately, a [`ControlReply::Listener`] for each listener at an exit, a
    /// [`ControlReply::Unhooked`] for each program that is not carried, and [`ControlReply::Done`].
    Status,
    /// Read the sessions' configuration files again; answered by [`ControlReply::Reloaded`].
    Reload,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ControlReply {
    /// The session is open.
    Session {
        /// The value of [`crate::session_env::VARIABLE`].
        environment: String,
    },
    /// What has become of trying one hop.
    Checked {
        /// The chain's name.
        chain: String,
        /// From 1.
        hop: usize,
        /// How many hops the chain has.
        of: usize,
        /// The hop's URL, without credentials.
        name: String,
        /// From the first packet of the way there to its first answer, in milliseconds; `None` if it failed.
        millis: Option<u64>,
        /// From the first packet to the connection, where it is connected to from here.
        round_trip_microseconds: Option<u64>,
        /// What its rules refuse, in words.
        refuses: Vec<String>,
        /// Why it failed, in words.
        failure: Option<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A connection that is carried now.
    Connection(Box<ConnectionStatus>),
    /// A hop of a chain in use.
    Hop(Box<HopStatus>),
    /// Connections that have not come about.
    Failed(Box<FailureStatus>),
    /// A listener at an exit.
    Listener(Box<ListenerStatus>),
    /// A program that is not carried.
    Unhooked(Box<UnhookedStatus>),
    /// The files have been read.
    Reloaded {
        /// Sessions that have other routes or chains now.
        changed: usize,
        /// Sessions with a file that keep what they had.
        unchanged: usize,
        /// Sessions without a file.
        fixed: usize,
        /// Files that cannot be used, `FILE:LINE:COLUMN: what: why`; their sessions keep what they had.
        failures: Vec<String>,
    },
    /// The last line of several.
    Done,
    /// It cannot be done; the text is for a person and names no secret.
    Error {
        /// `what: why`, lower case, no full stop.
        message: String,
    },
}

impl ControlRequest {
    /// The request as one line with its newline.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads one line.
    pub fn from_line(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }
}

impl ControlReply {
    /// The reply as one line with its newline.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads one line.
    pub fn from_line(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }
}

/// Serialising these types cannot fail: they hold only strings, numbers, sequences and maps by string.
fn line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_the_round_trip() {
        let request = ControlRequest::OpenSession {
            config: Box::new(Config::strict(vec!["local:".parse().unwrap()])),
            linger: true,
            source: None,
            for_process: None,
        };
        let line = request.to_line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(ControlRequest::from_line(&line), Ok(request));
        let reply = ControlReply::Session { environment: "1:00:/x".into() };
        assert_eq!(ControlReply::from_line(&reply.to_line()), Ok(reply));
    }

    #[test]
    fn unknown_fields_and_requests_are_errors() {
        assert!(ControlRequest::from_line(r#"{"shut_down":{}}"#).is_err());
        let config = serde_json::to_string(&Config::strict(Vec::new())).unwrap();
        let good = format!(r#"{{"open_session":{{"config":{config},"linger":true}}}}"#);
        assert!(ControlRequest::from_line(&good).is_ok());
        assert!(ControlRequest::from_line(&good.replace("linger", "lingers")).is_err());
    }
}
