//! The time that all files of a package have: that of the commit, so that it does not matter when it is made.

use std::path::Path;
use std::process::Command;

use ::time::OffsetDateTime;

use crate::Failure;

/// What packagers set instead: <https://reproducible-builds.org/specs/source-date-epoch/>.
const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Seconds since 1970 of the variable, or of the last commit of the sources.
pub(crate) fn of_sources(source: &Path) -> Result<u64, Failure> {
    if let Some(given) = std::env::var_os(VARIABLE) {
        let given = given.to_string_lossy();
        return given.parse().map_err(|_| Failure(format!("{VARIABLE}: {given:?} is no number of seconds")));
    }
    let git = Command::new("git").arg("-C").arg(source).args(["log", "-1", "--format=%ct"]).output();
    let said = git.ok().filter(|git| git.status.success());
    let seconds = said.and_then(|git| String::from_utf8_lossy(&git.stdout).trim().parse().ok());
    seconds.ok_or_else(|| {
        let why = "the time of the last commit is not to be had from git";
        Failure(format!("{}: {why}\nhint: set {VARIABLE}", source.display()))
    })
}

/// The date in the form of RFC 5322, in UTC, for Debian's changelog.
pub(crate) fn rfc5322(seconds: u64) -> String {
    let at = moment(seconds);
    let [weekday, month] =
        [at.weekday().to_string(), at.month().to_string()].map(|name| name[..3].to_owned());
    let (day, year, time) = (at.day(), at.year(), at.time());
    let (hour, minute, second) = time.as_hms();
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `2026-11-22`, for man pages.
pub(crate) fn iso(seconds: u64) -> String {
    moment(seconds).date().to_string()
}

/// Later than the year 9999 is not to be had, and is 1970.
fn moment(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_date_prints_them() {
        // date -u -R -d @1795312861
        assert_eq!(rfc5322(1_795_312_861), "Sun, 22 Nov 2026 02:01:01 +0000");
        assert_eq!(iso(1_795_312_861), "2026-11-22");
        assert_eq!(rfc5322(u64::MAX), "Thu, 01 Jan 1970 00:00:00 +0000");
    }
}
