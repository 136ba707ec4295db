//! Pull requests, or merge requests as GitLab calls them: found, opened, brought up to date, closed.
//!
//! Invariant: there is one request for a branch; whoever opens one looks for it first.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Api;
use super::{ForgeError, Kind, Manners};

/// One repository on a forge, that may be written to.
pub struct Hosted<'a> {
    kind: Kind,
    /// `team/shop`.
    path: String,
    api: Api<'a>,
}

/// What a request is to say.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The branch with the change.
    pub branch: &'a str,
    /// The branch that it is to be merged into; the default one when there is none.
    pub into: Option<&'a str>,
    /// One line.
    pub title: &'a str,
    /// Markdown.
    pub body: &'a str,
    /// Names of labels that are there.
    pub labels: &'a [String],
    /// Names of users.
    pub reviewers: &'a [String],
    /// Whether it is not to be merged yet.
    pub draft: bool,
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// About to be opened; after a crash it may be there or not.
    Announced,
    /// Open.
    Open,
    /// Merged.
    Merged,
    /// Closed without.
    Closed,
}

/// A request as the forge has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number in the repository.
    pub number: u64,
    /// Where people read it.
    pub url: String,
    /// How far it has come.
    pub state: RequestState,
    /// The branch that it is to be merged into.
    pub into: Option<String>,
    /// The commit that it was merged as.
    pub merge: Option<String>,
    /// Whether it changes nothing, as far as the forge says so.
    pub empty: bool,
}

impl<'a> Hosted<'a> {
    /// The repository `path` at the API `base`.
    ///
    /// # Errors
    /// [`ForgeError::PlainHttp`].
    pub fn new(
        kind: Kind,
        base: &str,
        path: &str,
        token: &str,
        manners: Manners<'a>,
    ) -> Result<Hosted<'a>, ForgeError> {
        let api = Api::new(base.to_owned(), Some(kind.header(token)), manners)?;
        let path = path.to_owned();
        Ok(Hosted { kind, path, api })
    }

    /// The newest request of `branch`, one that is open before all others.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn find(&self, branch: &str) -> Result<Option<Request>, ForgeError> {
        let owner = self.path.split('/').next().unwrap_or_default();
        let coded = branch.replace('/', "%2F");
        let query = match self.kind {
            Kind::GitHub => format!("head={owner}:{coded}&state=all&per_page=100"),
            Kind::GitLab => format!("source_branch={coded}&state=all&per_page=100"),
            Kind::Gitea => "state=all&sort=recentupdate&limit=50".to_owned(),
        };
        let mut found: Option<Request> = None;
        // Only Gitea lists other branches as well; those long out of use are passed over.
        for page in 1..=20 {
            let list = self
                .api
                .get(&format!("{}?{query}&page={page}", self.requests()))?;
            let Some(Value::Array(rows)) = list else {
                break;
            };
            let ours = |row: &&Value| match self.kind {
                Kind::GitLab => row["source_branch"] == branch,
                // A fork may have a branch of that name, too.
                _ => {
                    row["head"]["ref"] == branch
                        && row["head"]["repo"]["full_name"]
                            .as_str()
                            .is_none_or(|name| name.eq_ignore_ascii_case(&self.path))
                }
            };
            for request in rows.iter().filter(ours).filter_map(|row| self.read(row)) {
                let better = found.as_ref().is_none_or(|found| {
                    (request.state == RequestState::Open, request.number)
                        > (found.state == RequestState::Open, found.number)
                });
                if better {
                    found = Some(request);
                }
            }
            if rows.is_empty() || self.kind != Kind::Gitea || found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// The request `number`.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn get(&self, number: u64) -> Result<Option<Request>, ForgeError> {
        let row = self.api.get(&format!("{}/{number}", self.requests()))?;
        Ok(row.as_ref().and_then(|row| self.read(row)))
    }

    /// Opens a request.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn open(&self, draft: &Draft<'_>) -> Result<Request, ForgeError> {
        let path = self.repository();
        let home = self.api.get(&path)?.unwrap_or_default();
        let into = draft.into.or(home["default_branch"].as_str());
        let Some(into) = into.filter(|_| home.is_object()) else {
            return Err(self.failed("there is no such repository, or none that the token may see"));
        };
        let title = self.title(draft);
        let body = match self.kind {
            Kind::GitHub => json!({
                "title": title, "head": draft.branch, "base": into, "body": draft.body, "draft": draft.draft,
            }),
            Kind::GitLab => json!({
                "title": title, "source_branch": draft.branch, "target_branch": into, "description": draft.body,
            }),
            Kind::Gitea => json!({
                "title": title, "head": draft.branch, "base": into, "body": draft.body,
            }),
        };
        let row = self.api.send("POST", &self.requests(), &body)?;
        self.read(&row)
            .ok_or_else(|| self.failed("the answer to opening a request is none"))
    }

    /// Gives the request `number` the title, the text, the labels and the reviewers of `draft`.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn update(&self, number: u64, draft: &Draft<'_>) -> Result<(), ForgeError> {
        let (title, one) = (self.title(draft), format!("{}/{number}", self.requests()));
        let issue = format!("{}/issues/{number}", self.repository());
        if self.kind == Kind::GitLab {
            let mut body = json!({ "title": title, "description": draft.body });
            if !draft.labels.is_empty() {
                body["add_labels"] = draft.labels.join(",").into();
            }
            if !draft.reviewers.is_empty() {
                let ids = draft.reviewers.iter().map(|name| self.user(name));
                body["reviewer_ids"] = ids.collect::<Result<Vec<Value>, _>>()?.into();
            }
            self.api.send("PUT", &one, &body)?;
            return Ok(());
        }
        let body = json!({ "title": title, "body": draft.body });
        self.api.send("PATCH", &one, &body)?;
        if !draft.labels.is_empty() {
            let labels = match self.kind {
                Kind::Gitea => self.labels(draft.labels)?,
                _ => json!(draft.labels),
            };
            let labels = json!({ "labels": labels });
            self.api.send("POST", &format!("{issue}/labels"), &labels)?;
        }
        if !draft.reviewers.is_empty() {
            let reviewers = json!({ "reviewers": draft.reviewers });
            self.api
                .send("POST", &format!("{one}/requested_reviewers"), &reviewers)?;
        }
        Ok(())
    }

    /// Closes the request `number`, with `why` as a comment.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub fn close(&self, number: u64, why: &str) -> Result<(), ForgeError> {
        let one = format!("{}/{number}", self.requests());
        let (notes, method, closed) = match self.kind {
            Kind::GitLab => (
                format!("{one}/notes"),
                "PUT",
                json!({ "state_event": "close" }),
            ),
            _ => (
                format!("{}/issues/{number}/comments", self.repository()),
                "PATCH",
                json!({ "state": "closed" }),
            ),
        };
        self.api.send("POST", &notes, &json!({ "body": why }))?;
        self.api.send(method, &one, &closed)?;
        Ok(())
    }

    fn repository(&self) -> String {
        match self.kind {
            Kind::GitLab => format!("/projects/{}", self.path.replace('/', "%2F")),
            _ => format!("/repos/{}", self.path),
        }
    }

    fn requests(&self) -> String {
        let end = match self.kind {
            Kind::GitLab => "merge_requests",
            _ => "pulls",
        };
        format!("{}/{end}", self.repository())
    }

    fn title(&self, draft: &Draft<'_>) -> String {
        let mark = match (self.kind, draft.draft) {
            (Kind::GitLab, true) => "Draft: ",
            (Kind::Gitea, true) => "WIP: ",
            _ => "",
        };
        format!("{mark}{}", draft.title)
    }

    fn read(&self, row: &Value) -> Option<Request> {
        let lab = self.kind == Kind::GitLab;
        let merged = row["merged_at"].is_string() || row["merged"] == true;
        let state = match row["state"].as_str()? {
            "open" | "opened" | "locked" => RequestState::Open,
            "merged" => RequestState::Merged,
            _ if merged => RequestState::Merged,
            _ => RequestState::Closed,
        };
        let merge = ["merge_commit_sha", "squash_commit_sha"]
            .iter()
            .find_map(|key| row[*key].as_str());
        Some(Request {
            number: row[if lab { "iid" } else { "number" }].as_u64()?,
            url: row[if lab { "web_url" } else { "html_url" }]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            state,
            into: match lab {
                true => row["target_branch"].as_str(),
                false => row["base"]["ref"].as_str(),
            }
            .map(str::to_owned),
            merge: merge
                .filter(|_| state == RequestState::Merged)
                .map(str::to_owned),
            empty: row["changed_files"] == 0 || row["changes_count"] == "0",
        })
    }

    fn user(&self, name: &str) -> Result<Value, ForgeError> {
        let found = self.api.get(&format!("/users?username={name}"))?;
        let id = found.map(|found| found[0]["id"].clone());
        id.filter(Value::is_u64)
            .ok_or_else(|| self.failed(&format!("there is no user {name}")))
    }

    fn labels(&self, names: &[String]) -> Result<Value, ForgeError> {
        let path = format!("{}/labels?limit=50", self.repository());
        let known = self.api.get(&path)?.unwrap_or_default();
        let known = known.as_array().map(Vec::as_slice).unwrap_or_default();
        let id = |name: &String| {
            let label = known.iter().find(|label| label["name"] == name.as_str());
            let id = label.map(|label| label["id"].clone());
            id.ok_or_else(|| self.failed(&format!("there is no label {name}")))
        };
        names.iter().map(id).collect()
    }

    fn failed(&self, what: &str) -> ForgeError {
        ForgeError::Failed {
            url: self.path.clone(),
            what: what.to_owned(),
        }
    }
}
