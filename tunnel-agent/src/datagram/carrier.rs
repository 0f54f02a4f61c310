//! What carries a peer's datagrams along a chain.

use std::sync::Arc;

use underpass_core::failure::Failure;

use super::Course;
use super::association::Association;
use super::streamed::Streamed;
use crate::agent::Agent;

/// One of the two ways ([`crate::upstream::chain::datagrams::Carriage`]).
#[derive(Clone)]
pub(super) enum Carrier {
    Association(Arc<Association>),
    Stream(Arc<Streamed>),
}

impl Carrier {
    pub(super) fn goes_by(&self, course: &Course) -> bool {
        match self {
            Self::Association(association) => association.goes_by(course),
            Self::Stream(streamed) => streamed.goes_by(course),
        }
    }

    /// Whether what is sent now goes out.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Association(association) => association.relay().is_some(),
            Self::Stream(streamed) => streamed.is_open(),
        }
    }

    /// Makes it ready, unless it is.
    pub(super) async fn ready(&self, agent: &Arc<Agent>) -> Result<(), Failure> {
        match self {
            Self::Association(association) => association.ready(agent).await.map(drop),
            Self::Stream(streamed) => streamed.ready(agent).await,
        }
    }
}
