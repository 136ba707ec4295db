//! When a plan may be staged: `Sat 02:00-06:00 UTC`.

use time::{OffsetDateTime, Weekday};

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// The same minutes of some days of each week. One that ends before it begins ends on the next day.
#[derive(Debug)]
pub(super) struct Window {
    days: Vec<Weekday>,
    from: u16,
    to: u16,
}

impl Window {
    pub(super) fn parse(text: &str) -> anyhow::Result<Window> {
        read(text).ok_or_else(|| {
            anyhow::anyhow!("--window {text:?}: write it as \"Sat 02:00-06:00 UTC\" or \"Sat,Sun 22:00-02:00 UTC\"")
        })
    }

    pub(super) fn holds(&self, now: OffsetDateTime) -> bool {
        let minute = u16::from(now.hour()) * 60 + u16::from(now.minute());
        let today = self.days.contains(&now.weekday());
        match self.from < self.to {
            true => today && (self.from..self.to).contains(&minute),
            false => {
                let began = self.days.contains(&now.weekday().previous());
                today && minute >= self.from || began && minute < self.to
            }
        }
    }
}

fn read(text: &str) -> Option<Window> {
    let mut words = text.split_whitespace();
    let (days, hours, zone) = (words.next()?, words.next()?, words.next()?);
    let day = |name: &str| DAYS.iter().find(|(known, _)| *known == name);
    let days: Option<Vec<Weekday>> = days.split(',').map(|name| day(name).map(|d| d.1)).collect();
    let (from, to) = hours.split_once('-')?;
    let (days, from, to) = (days?, minute(from)?, minute(to)?);
    (zone == "UTC" && words.next().is_none() && from != to).then_some(Window { days, from, to })
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| match text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u16>().ok(),
        false => None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && (hours < 24 || (hours, minutes) == (24, 0))).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_window_holds_its_minutes_and_no_others() {
        let sat = Window::parse("Sat 02:00-06:00 UTC").unwrap();
        assert!(sat.holds(datetime!(2026-11-28 02:00 UTC)));
        assert!(sat.holds(datetime!(2026-11-28 05:59:59 UTC)));
        assert!(!sat.holds(datetime!(2026-11-28 06:00 UTC)));
        assert!(!sat.holds(datetime!(2026-11-28 01:59 UTC)));
        assert!(!sat.holds(datetime!(2026-11-27 03:00 UTC)));
        let night = Window::parse("Fri,Sat 22:00-02:00 UTC").unwrap();
        assert!(night.holds(datetime!(2026-11-27 23:00 UTC)));
        assert!(night.holds(datetime!(2026-11-29 01:59 UTC)));
        assert!(!night.holds(datetime!(2026-11-27 01:00 UTC)));
        assert!(!night.holds(datetime!(2026-11-29 22:00 UTC)));
        let day = Window::parse("Sun 00:00-24:00 UTC").unwrap();
        assert!(day.holds(datetime!(2026-11-29 23:59 UTC)));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "Sat",
            "02:00-06:00 UTC",
            "Sat 02:00-06:00",
            "Sat 02:00-06:00 CET",
            "Sat 2:00-6:00 UTC",
            "Sat 02:00-24:30 UTC",
            "Sat 02:00-02:00 UTC",
            "Caturday 02:00-06:00 UTC",
            "Sat 02:00-06:00 UTC x",
            "Sat +2:00-06:00 UTC",
        ] {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }
}
