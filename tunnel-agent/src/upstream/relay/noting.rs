//! Why a session's stream has failed is noted: HTTP/2 passes on the kind of an error and its words, and not what TLS
//! has said. What cannot be written says less than what can still be read.

use std::io;
use std::sync::Arc;

use super::vitals::Vitals;
use crate::upstream::tls;
use crate::watched::Watch;

pub(super) struct Noting(pub(super) Arc<Vitals>);

impl Watch for Noting {
    fn has_failed(&mut self, error: &io::Error) {
        self.0.notes(tls::failure(error));
    }
}
