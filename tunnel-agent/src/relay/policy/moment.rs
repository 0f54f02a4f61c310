//! Times for people, in UTC: RFC 3339 of a moment, and the day on which something ends.

use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime, Time};

/// `2026-11-21T13:36:15.042Z`
pub(super) fn rfc3339(now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second, milli) = now.to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The first moment of a day that is written as `2027-01-01`.
pub(super) fn day(text: &str) -> Option<SystemTime> {
    let number = |part: &str, digits: usize| {
        let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    let mut parts = text.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()?;
    parts.next().is_none().then(|| OffsetDateTime::new_utc(date, Time::MIDNIGHT).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_written_as_by_rfc_3339() {
        let at = |seconds, milli: u32| SystemTime::UNIX_EPOCH + Duration::new(seconds, milli * 1_000_000);
        assert_eq!(rfc3339(at(0, 0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(at(1_795_268_175, 42)), "2026-11-21T13:36:15.042Z");
        assert_eq!(rfc3339(at(951_782_400, 999)), "2000-02-29T00:00:00.999Z");
    }

    #[test]
    fn a_day_is_a_year_a_month_and_a_day_of_it() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(day("2027-01-01"), at(1_798_761_600));
        assert_eq!(day("2000-02-29"), at(951_782_400));
        for text in [
            "",
            "2027",
            "2027-1-1",
            "2027-13-01",
            "2027-02-29",
            "2027-00-01",
            "27-01-01",
            "2027-01-01-",
            "+027-01-01",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
