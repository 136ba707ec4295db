//! Signs, counted by hour, client and route.
//!
//! Invariant: memory does not grow with the log: what is beyond the bounds is counted, and no more.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Hit, Sign, WORDS};

/// Different signs that are listed, in all groups together.
const SIGNS: usize = 5000;
/// Different signs that are listed of one group.
const OF_GROUP: usize = 200;

/// Where a sign stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// 1-based.
    pub line: u64,
    /// When, if the log says so.
    pub time: Option<String>,
}

/// One sign, however often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// What.
    #[serde(flatten)]
    pub sign: Sign,
    /// How often.
    pub count: u64,
    /// The first of them.
    pub first: Place,
    /// The last.
    pub last: Place,
}

/// What the requests of a group have in common. What a log does not say sorts last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    #[serde(skip)]
    timeless: bool,
    /// `2026-11-25T22`.
    pub hour: Option<String>,
    /// Address.
    pub client: Option<String>,
    /// HTTP method.
    pub method: Option<String>,
    /// Path without query.
    pub route: Option<String>,
}

/// Signs of one hour, client and route.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Which.
    #[serde(flatten)]
    pub key: Key,
    /// How often each status was the answer.
    pub statuses: BTreeMap<u16, u64>,
    /// What was seen.
    pub signs: Vec<Counted>,
}

/// All signs of all logs.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<Key, Group>,
    totals: BTreeMap<&'static str, u64>,
    listed: usize,
    beyond: u64,
}

impl Groups {
    /// Counts the signs of `hit`, which stands on line `line` of `file`.
    pub fn add(&mut self, hit: Hit, file: &str, line: u64) {
        let context = hit.context;
        let hour = context.time.as_deref().map(|time| {
            // Without minutes, seconds and zone.
            let time = time.strip_suffix('Z').unwrap_or(time);
            time.get(..time.len().saturating_sub(6))
                .unwrap_or(time)
                .to_owned()
        });
        let place = Place {
            file: file.to_owned(),
            line,
            time: context.time,
        };
        let key = Key {
            timeless: hour.is_none(),
            hour,
            client: context.client,
            method: context.method,
            route: context.route,
        };
        for sign in &hit.signs {
            *self.totals.entry(sign.word()).or_default() += 1;
        }
        if hit.signs.is_empty() || self.listed >= SIGNS && !self.groups.contains_key(&key) {
            self.beyond += hit.signs.len() as u64;
            return;
        }
        let empty = Group {
            key: key.clone(),
            statuses: BTreeMap::new(),
            signs: Vec::new(),
        };
        let group = self.groups.entry(key).or_insert(empty);
        if let Some(status) = context.status {
            *group.statuses.entry(status).or_default() += 1;
        }
        for sign in hit.signs {
            let full = group.signs.len() >= OF_GROUP || self.listed >= SIGNS;
            match group.signs.iter_mut().find(|counted| counted.sign == sign) {
                Some(counted) => {
                    counted.count += 1;
                    counted.last = place.clone();
                }
                None if full => self.beyond += 1,
                None => {
                    self.listed += 1;
                    let (first, last) = (place.clone(), place.clone());
                    group.signs.push(Counted {
                        sign,
                        count: 1,
                        first,
                        last,
                    });
                }
            }
        }
    }

    /// All groups, by time, then client and route, and in each what runs code first; and how many signs are not in them.
    pub fn sorted(self) -> (Vec<Group>, u64) {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        for group in &mut groups {
            group.signs.sort_by(|a, b| a.sign.cmp(&b.sign));
        }
        (groups, self.beyond)
    }

    /// How many signs of each kind there are, listed or not, zeros too.
    pub fn totals(&self) -> [(&'static str, u64); 6] {
        WORDS.map(|word| (word, self.totals.get(word).copied().unwrap_or(0)))
    }
}
