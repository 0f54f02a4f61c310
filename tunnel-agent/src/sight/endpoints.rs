//! Where the agent is asked for its metrics: each place that a configuration names, from then on and as long as the agent
//! lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use underpass_core::config::metrics::Metrics;

use super::numbers;
use crate::agent::Agent;
use crate::metrics::serve;

/// Places at once.
const MOST: usize = 8;

/// The places of one agent.
#[derive(Default)]
pub(crate) struct Endpoints(Mutex<BTreeMap<Metrics, AbortHandle>>);

impl Endpoints {
    /// Serves there, too, if a configuration wants it and it is not served yet. The error is for a person.
    pub(crate) fn open(&self, agent: &Arc<Agent>, wanted: Option<&Metrics>) -> Result<(), String> {
        let Some(place) = wanted else { return Ok(()) };
        let mut places = self.0.lock();
        if places.contains_key(place) {
            return Ok(());
        }
        if places.len() >= MOST {
            return Err(format!("metrics {place}: this agent serves them at {MOST} places already"));
        }
        let opened = serve::open(place)?;
        let asked = Arc::clone(agent);
        let served = tokio::spawn(serve::serve(opened, Arc::new(move || numbers::tell(&asked))));
        places.insert(place.clone(), served.abort_handle());
        tracing::info!(at = %place, "metrics are served");
        Ok(())
    }

    /// Serves nowhere any more: another agent may.
    pub(crate) fn close(&self) {
        std::mem::take(&mut *self.0.lock()).into_values().for_each(|served| served.abort());
    }
}
