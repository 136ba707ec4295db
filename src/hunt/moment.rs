//! Times as logs write them, all in one form.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Characters at the start of a line in which its time is looked for.
const START: usize = 120;

/// A time on its own: in words, or since 1970 in seconds, or in a thousandth or a millionth of them.
pub(super) fn clock(text: &str) -> Option<String> {
    let Ok(number) = text.parse::<f64>() else {
        return moment(text);
    };
    let mut seconds = [1.0, 1e3, 1e6, 1e9].into_iter().map(|unit| number / unit);
    let seconds = seconds.find(|s| (1e8..1e11).contains(s))?;
    Some(utc(
        OffsetDateTime::from_unix_timestamp(seconds as i64).ok()?
    ))
}

/// The time that stands at the start of `text`.
pub(super) fn moment(text: &str) -> Option<String> {
    let places = text.char_indices().map(|(at, _)| at).take(START);
    let words = places.filter(|at| {
        // Only where a word begins.
        let before = at
            .checked_sub(1)
            .and_then(|before| text.as_bytes().get(before));
        !before.is_some_and(u8::is_ascii_alphanumeric)
    });
    words
        .filter_map(|at| text.get(at..))
        .find_map(|rest| iso(rest).or_else(|| common(rest)).or_else(|| syslog(rest)))
}

fn utc(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{}Z", local(PrimitiveDateTime::new(at.date(), at.time())))
}

fn local(at: PrimitiveDateTime) -> String {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.as_hms();
    format!(
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}",
        u8::from(month)
    )
}

fn number<T: std::str::FromStr>(text: &str, from: usize, to: usize) -> Option<T> {
    let digits = text.get(from..to)?;
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

fn time(text: &str) -> Option<Time> {
    let parted = text.get(2..3) == Some(":") && text.get(5..6) == Some(":");
    let (hour, minute, second) = (
        number(text, 0, 2)?,
        number(text, 3, 5)?,
        number::<u8>(text, 6, 8)?,
    );
    Time::from_hms(hour, minute, second.min(59))
        .ok()
        .filter(|_| parted)
}

/// `date` and `time` in the zone that `zone` begins with, if it does.
fn zoned(date: Date, time: Time, zone: &str) -> String {
    let at = PrimitiveDateTime::new(date, time);
    let zone = zone.trim_start();
    if zone.starts_with('Z') {
        return utc(at.assume_utc());
    }
    let offset = || {
        let sign = match zone.get(..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let minutes = if zone.get(3..4) == Some(":") { 4 } else { 3 };
        let (hours, minutes): (i8, i8) = (number(zone, 1, 3)?, number(zone, minutes, minutes + 2)?);
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
    };
    offset().map_or_else(|| local(at), |offset| utc(at.assume_offset(offset)))
}

/// `2026-11-25 22:05:27,123`, `2026/11/25 22:05:27`, `2026-11-25T22:05:27.5+01:00`.
fn iso(text: &str) -> Option<String> {
    let parted = matches!(text.get(4..5)?, "-" | "/") && text.get(4..5) == text.get(7..8);
    let month = Month::try_from(number::<u8>(text, 5, 7)?).ok()?;
    let date = Date::from_calendar_date(number(text, 0, 4)?, month, number(text, 8, 10)?).ok()?;
    let between = matches!(text.get(10..11)?, "T" | " " | "t");
    let time = time(text.get(11..)?)?;
    let rest = text.get(19..)?;
    let zone = rest
        .strip_prefix(['.', ','])
        .map(|r| r.trim_start_matches(|c: char| c.is_ascii_digit()));
    (parted && between).then(|| zoned(date, time, zone.unwrap_or(rest)))
}

/// `25/Nov/2026:22:05:27 +0000`, `25/Nov/2026 22:05:27`.
fn common(text: &str) -> Option<String> {
    let parted = text.get(2..3) == Some("/") && text.get(6..7) == Some("/");
    let date = Date::from_calendar_date(
        number(text, 7, 11)?,
        month(text.get(3..6)?)?,
        number(text, 0, 2)?,
    )
    .ok()?;
    let time = time(text.get(12..)?)?;
    parted.then(|| zoned(date, time, text.get(20..).unwrap_or_default()))
}

/// `Nov 25 22:05:27`, which has no year; Apache's errors have it behind: `Nov 25 22:05:27.123456 2026`.
fn syslog(text: &str) -> Option<String> {
    let month = month(text.get(..3)?)?;
    let day: u8 = text
        .get(4..6)?
        .trim_start()
        .parse()
        .ok()
        .filter(|day| (1..32).contains(day))?;
    let time = time(text.get(7..)?)?;
    let rest = text.get(15..).unwrap_or_default();
    let fraction = |c: char| c == '.' || c.is_ascii_digit();
    let year = rest.trim_start_matches(fraction).strip_prefix(' ');
    let year = year.and_then(|rest| number(rest, 0, 4).filter(|_| rest.get(4..5) == Some("]")));
    if let Some(date) = year.and_then(|year| Date::from_calendar_date(year, month, day).ok()) {
        return Some(local(PrimitiveDateTime::new(date, time)));
    }
    let (hour, minute, second) = time.as_hms();
    Some(format!(
        "{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}",
        u8::from(month)
    ))
}

fn month(name: &str) -> Option<Month> {
    let at = MONTHS.iter().position(|month| *month == name)?;
    Month::try_from(u8::try_from(at + 1).ok()?).ok()
}
