//! What is told of listeners at exits.

use underpass_core::control::ListenerStatus;

use super::Exposures;

impl Exposures {
    /// All that there are: those of programs, of forwards, and of the front door's clients.
    pub(crate) fn status(&self) -> Vec<ListenerStatus> {
        let mut told: Vec<_> = self.all().iter().map(|it| it.status()).collect();
        told.sort_by_key(|it| it.at);
        let served: Vec<_> = self.reverses.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
        told.extend(served.iter().map(|it| it.status()));
        told.extend(self.awaited.lock().status());
        told
    }
}

impl super::Exposure {
    fn status(&self) -> ListenerStatus {
        ListenerStatus {
            at: Some(self.exit),
            to: self.local.to_string(),
            program: self.bound.client.program.clone(),
            pid: Some(self.bound.client.pid),
            chain: self.bound.chain.clone(),
            configuration: self.bound.plan.number,
            listens: self.known.is_listening(),
            age_seconds: self.known.age(),
            connections: self.known.came(),
        }
    }
}

impl super::reverse::Served {
    fn status(&self) -> ListenerStatus {
        let place = self.place.lock().clone();
        ListenerStatus {
            at: place.exit,
            to: self.reverse.to.to_string(),
            program: None,
            pid: None,
            chain: place.chain,
            configuration: place.configuration,
            listens: self.known.is_listening(),
            age_seconds: self.known.age(),
            connections: self.known.came(),
        }
    }
}
