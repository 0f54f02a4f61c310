//! By which route and chain a connection goes, as a small number: the agent may know as little as that of
//! each of very many connections.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use underpass_core::config::route::{Asked, To};

use crate::plan::Plan;
use crate::tally::chains::{Tallies, Tally};

/// A route and chain of one configuration.
pub(crate) struct Course {
    /// See [`Plan::number`].
    pub(crate) configuration: u32,
    /// From 1; `None` where no route matched.
    pub(crate) route: Option<u16>,
    /// `None`: direct.
    pub(crate) chain: Option<Box<str>>,
    /// What has come of its chain's connections.
    pub(crate) tally: Arc<Tally>,
    /// Its session may have another by now.
    pub(crate) plan: Weak<Plan>,
}

/// What all courses beyond the most that there may be get.
pub(crate) const UNKNOWN: u16 = u16::MAX;

/// In place of a chain's name where none is known, as of connections that come from an exit.
const NONE: &str = "(none)";

#[derive(Default)]
struct Table {
    numbers: HashMap<(u32, u16), u16>,
    courses: Vec<Arc<Course>>,
}

/// The courses that connections of one agent have taken.
#[derive(Default)]
pub(crate) struct Courses {
    table: Mutex<Table>,
    pub(crate) tallies: Tallies,
}

impl Courses {
    /// The number of the course that a connection takes.
    pub(crate) fn number(&self, plan: &Arc<Plan>, asked: &Asked<'_>) -> u16 {
        let (route, to) = plan.config.decide(asked);
        let route = route.map_or(0, |route| u16::try_from(route + 1).unwrap_or(u16::MAX));
        let mut table = self.table.lock();
        let Table { numbers, courses } = &mut *table;
        let next = u16::try_from(courses.len()).unwrap_or(UNKNOWN);
        if let Some(&known) = numbers.get(&(plan.number, route)) {
            return known;
        }
        if next < UNKNOWN {
            numbers.insert((plan.number, route), next);
            let chain = match to {
                To::Chain(name) => Some(name.as_str().into()),
                To::Direct | To::Refuse(_) => None,
            };
            let tally = self.tallies.of(match to {
                To::Chain(name) => name,
                To::Direct => "direct",
                To::Refuse(_) => "refuse",
            });
            courses.push(Arc::new(Course {
                configuration: plan.number,
                route: (route > 0).then_some(route),
                chain,
                tally,
                plan: Arc::downgrade(plan),
            }));
        }
        next
    }

    /// Where connections of this course are counted, or of none.
    pub(crate) fn tally(&self, course: Option<&Course>) -> Arc<Tally> {
        course.map_or_else(|| self.tallies.of(NONE), |course| Arc::clone(&course.tally))
    }

    /// The course of this number, unless that is [`UNKNOWN`].
    pub(crate) fn get(&self, number: u16) -> Option<Arc<Course>> {
        self.table.lock().courses.get(usize::from(number)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::config::Config;

    use super::*;

    #[test]
    fn connections_of_one_route_and_configuration_share_a_course() {
        let text = "proxy = 'socks5h://h:1'\n[[route]]\nport = 25\nto = 'direct'\n";
        let config = underpass_core::config::file::parse(text, "c", |_| None).unwrap().config;
        let plan = Arc::new(Plan::new(config).unwrap());
        let other = Arc::new(Plan::new(Config::strict(vec!["local:".parse().unwrap()])).unwrap());
        let courses = Courses::default();
        let to = |port| Asked { name: Some("a.test"), port: Some(port), ..Asked::default() };
        let (web, mail) = (courses.number(&plan, &to(80)), courses.number(&plan, &to(25)));
        assert_eq!(courses.number(&plan, &to(443)), web);
        let elsewhere = courses.number(&other, &to(80));
        assert_eq!((web, mail, elsewhere), (0, 1, 2));
        let mail = courses.get(mail).unwrap();
        assert_eq!((mail.route, mail.chain.as_deref()), (Some(1), None));
        let web = courses.get(web).unwrap();
        assert_eq!((web.route, web.chain.as_deref()), (None, Some("main")));
        assert_ne!(web.configuration, courses.get(elsewhere).unwrap().configuration);
        assert!(courses.get(UNKNOWN).is_none());
    }
}
