//! Lists of repositories: somebody's, page by page, or what a search finds.

use globset::Glob;
use serde_json::Value;

use super::api::Api;
use super::{ForgeError, Found, Kind, Listed, Manners, Source, Wanted};

/// Pages of a list that are read at most; a hundred repositories stand on one.
const PAGES: usize = 1000;

/// So many of what a search finds does GitHub tell, however many there are.
const TOLD: usize = 1000;

/// Why what a search finds besides is left out.
const BEYOND: &str = "beyond the 1,000 that a search tells";

/// The repositories of `source` that are `wanted`, asked for with `token`.
///
/// # Errors
/// [`ForgeError`]; a list that breaks off is an error and no shorter list.
pub fn list(
    source: &Source,
    wanted: &Wanted,
    token: Option<&str>,
    manners: Manners<'_>,
) -> Result<Listed, ForgeError> {
    let name = wanted.name.as_deref().map(|glob| {
        let compiled = Glob::new(glob).map_err(|_| ForgeError::BadGlob {
            glob: glob.to_owned(),
        });
        compiled.map(|glob| glob.compile_matcher())
    });
    let name = name.transpose()?;
    let api = source.api(token, manners)?;
    let mut listed = Listed::default();
    let found = match &source.query {
        Some(query) => {
            let (found, beyond) = searched(&api, query)?;
            listed.left.extend((beyond > 0).then_some((BEYOND, beyond)));
            found
        }
        None => all(source, &api)?,
    };
    for one in found {
        let of_language = match &wanted.language {
            Some(language) => speaks(source, &api, &one, language)?,
            None => true,
        };
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let topics = one["topics"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let why = if !wanted.archived && one["archived"] == true {
            Some("archived")
        } else if is_fork(&one) && !wanted.forks && !(wanted.own_forks && is_touched(&one)) {
            Some(if wanted.own_forks {
                "untouched forks"
            } else {
                "forks"
            })
        } else if one["empty"] == true || one["empty_repo"] == true {
            Some("empty")
        } else if !of_language {
            Some("of other languages")
        } else if wanted
            .topic
            .as_ref()
            .is_some_and(|topic| !topics.iter().any(|t| t == topic))
        {
            Some("without the topic")
        } else if name
            .as_ref()
            .is_some_and(|glob| !glob.is_match(text("name")) && !glob.is_match(text("path")))
        {
            Some("of other names")
        } else {
            None
        };
        let url = match (wanted.ssh, source.kind) {
            (true, Kind::GitLab) => text("ssh_url_to_repo"),
            (false, Kind::GitLab) => text("http_url_to_repo"),
            (true, _) => text("ssh_url"),
            (false, _) => text("clone_url"),
        };
        match why.or(url.is_empty().then_some("without an address")) {
            None => listed.found.push(Found {
                url: url.to_owned(),
                size: one["size"].as_u64(),
                language: one["language"].as_str().map(str::to_owned),
                topics: topics
                    .iter()
                    .filter_map(|topic| Some(topic.as_str()?.to_owned()))
                    .collect(),
            }),
            Some(why) => {
                listed.skipped.push((url.to_owned(), why));
                match listed.left.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, n)) => *n += 1,
                    None => listed.left.push((why, 1)),
                }
            }
        }
    }
    Ok(listed)
}

fn is_fork(one: &Value) -> bool {
    one["fork"] == true || one["forked_from_project"].is_object()
}

/// Whether somebody pushed to it after it was made: dates of one form, so their order is that of their texts.
fn is_touched(one: &Value) -> bool {
    let at = |key: &str| one[key].as_str().filter(|at| at.ends_with('Z'));
    at("pushed_at") > at("created_at") && at("created_at").is_some()
}

/// Whether `language` is the main one of `one`. GitLab says so in an answer of its own.
fn speaks(source: &Source, api: &Api<'_>, one: &Value, language: &str) -> Result<bool, ForgeError> {
    if source.kind != Kind::GitLab {
        return Ok(one["language"]
            .as_str()
            .is_some_and(|main| main.eq_ignore_ascii_case(language)));
    }
    let shares = api
        .get(&format!("/projects/{}/languages", one["id"]))?
        .unwrap_or_default();
    let share = |(_, share): &(&String, &Value)| share.as_f64().unwrap_or_default();
    let main = shares
        .as_object()
        .into_iter()
        .flatten()
        .max_by(|a, b| share(a).total_cmp(&share(b)));
    Ok(main.is_some_and(|(main, _)| main.eq_ignore_ascii_case(language)))
}

/// Every repository of `source`, page by page until an empty one: how long a page is, the server decides.
fn all(source: &Source, api: &Api<'_>) -> Result<Vec<Value>, ForgeError> {
    for list in source.lists() {
        let mut found: Vec<Value> = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{list}&page={page}");
            let failed = |what: &str| ForgeError::Failed {
                url: path.clone(),
                what: what.to_owned(),
            };
            match api.get(&path)? {
                None if page == 1 => break,
                Some(Value::Array(rows)) if rows.is_empty() => return Ok(found),
                Some(Value::Array(rows)) if found.last() != rows.last() => found.extend(rows),
                Some(Value::Array(_)) => return Err(failed("the same page came twice")),
                _ => return Err(failed("the answer is no list")),
            }
        }
        if !found.is_empty() {
            return Err(ForgeError::Failed {
                url: list,
                what: "the list has no end".to_owned(),
            });
        }
    }
    Err(ForgeError::Nobody {
        host: source.host.clone(),
        owner: source.owner.clone(),
    })
}

/// What a search for `query` finds, and how many more there are that the forge does not tell.
fn searched(api: &Api<'_>, query: &str) -> Result<(Vec<Value>, usize), ForgeError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let coded: String = query
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let mut found: Vec<Value> = Vec::new();
    for page in 1.. {
        let path = format!("/search/repositories?q={coded}&per_page=100&page={page}");
        let failed = |what: &str| ForgeError::Failed {
            url: path.clone(),
            what: what.to_owned(),
        };
        let mut answer = api.get(&path)?.unwrap_or_default();
        if answer["incomplete_results"] == true {
            return Err(failed("the forge did not search to its end; ask for less"));
        }
        let total = answer["total_count"]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok());
        let (Some(total), Value::Array(rows)) = (total, answer["items"].take()) else {
            return Err(failed("the answer is no list"));
        };
        if rows.is_empty() && found.len() < total.min(TOLD) {
            return Err(failed("the list breaks off"));
        }
        found.extend(rows);
        if found.len() >= total.min(TOLD) {
            let beyond = total.saturating_sub(found.len());
            return Ok((found, beyond));
        }
    }
    Ok((found, 0))
}
