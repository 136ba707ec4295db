//! Searches for the tools in which logs are kept, for the routes that lead to loads.
//!
//! Invariant: a route comes from scanned code, so it is quoted for each tool.

use std::collections::BTreeSet;

use serde::Serialize;

/// A route that leads to a load.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Watched {
    /// As the framework has it: `/cart/<int:id>`.
    pub route: String,
    /// HTTP methods, where they are known.
    pub methods: Vec<String>,
}

/// A search that is ready to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// `grep`, `jq`, `splunk`, `kql` or `sigma`.
    pub tool: &'static str,
    /// What it finds.
    pub finds: &'static str,
    /// The search.
    pub text: String,
}

/// Pickles as base64 of either alphabet, hex, escapes, percent, and text: a first look, which `hunt` reads more closely.
const PAYLOAD: &str = r"gA[I-X][A-Za-z0-9+/_-]|80(02|03|04|05)[0-9A-Fa-f]{4}|[\\%]+x?80[\\%]+x?0[2-5]|c(os|posix|nt|subprocess|builtins|__builtin__)([\\]+n|%0[Aa])";

/// The same in parts, for tools without regular expressions.
const PARTS: [&str; 12] = [
    "gASV", "gAWV", "gAJ", "gAN", "gAR", "KGRwMA", "KGxwMA", "Y3Bvc2l4", "800495", "800595",
    "%80%04", "%80%03",
];

/// Errors of reading pickles.
const ERRORS: [&str; 7] = [
    "UnpicklingError",
    "could not find MARK",
    "invalid load key",
    "unpickling stack underflow",
    "pickle data was truncated",
    "Can't get attribute",
    "pickle exhausted before end of frame",
];

const SENT: &str = "pickles sent to the routes that load them";
const FAILED: &str = "errors of reading pickles";
const REFUSED: &str = "requests that the routes refuse after the change";

/// The searches for `routes`, and for what rewritten code logs.
pub fn queries(routes: &[Watched], refusals: &[String]) -> Vec<Query> {
    let paths: BTreeSet<String> = routes.iter().map(|route| route.route.clone()).collect();
    let anywhere = paths.is_empty();
    let regex: Vec<String> = paths
        .iter()
        .map(|route| pattern(route, "[^/ ?\"]+", escaped))
        .collect();
    let regex = if anywhere {
        "/".to_owned()
    } else {
        format!("({})([ ?\"]|$)", regex.join("|"))
    };
    let methods: BTreeSet<&str> = routes
        .iter()
        .flat_map(|route| route.methods.iter().map(String::as_str))
        .collect();
    // One route that answers any method is answered with any.
    let known = !anywhere && routes.iter().all(|route| !route.methods.is_empty());
    let methods: Vec<String> = methods.into_iter().map(escaped).collect();
    let method = if known {
        format!("({}) ", methods.join("|"))
    } else {
        "[A-Z]+ ".to_owned()
    };
    let request = format!("{method}[^ ?\"]*{regex}");
    let messages: Vec<&str> = ERRORS
        .into_iter()
        .chain(refusals.iter().map(String::as_str))
        .collect();
    let alternatives: Vec<String> = messages.iter().map(|text| escaped(text)).collect();
    let alternatives = alternatives.join("|");

    let mut all = Vec::new();
    let mut add = |tool, finds, text| all.push(Query { tool, finds, text });
    add(
        "grep",
        SENT,
        format!(
            "zgrep -nE {} access.log*",
            shell(&format!("{request}.*({PAYLOAD})"))
        ),
    );
    add(
        "grep",
        REFUSED,
        format!(
            "zgrep -nE {} access.log*",
            shell(&format!("\"{request}.*\" 400 "))
        ),
    );
    add(
        "grep",
        FAILED,
        format!("zgrep -nE {} app.log*", shell(&alternatives)),
    );

    let fields = "[.request, .request_uri, .path, .uri, .url] | map(strings) | join(\" \")";
    let payload = quoted(PAYLOAD);
    add(
        "jq",
        SENT,
        format!(
            "jq -c {} app.json",
            shell(&format!(
                "select(({fields} | test({})) and (tostring | test({payload})))",
                quoted(&regex)
            ))
        ),
    );
    add(
        "jq",
        REFUSED,
        format!(
            "jq -c {} app.json",
            shell(&format!(
                "select(({fields} | test({})) and (.status | tostring) == \"400\")",
                quoted(&regex)
            ))
        ),
    );
    add(
        "jq",
        FAILED,
        format!(
            "jq -c {} app.json",
            shell(&format!(
                "select(tostring | test({}))",
                quoted(&alternatives)
            ))
        ),
    );

    let by = "| stats count earliest(_time) as first latest(_time) as last by clientip, uri_path, status";
    let of_routes: Vec<String> = paths
        .iter()
        .map(|route| format!("uri_path={}", quoted(&wild(route))))
        .collect();
    let of_routes = if anywhere {
        "uri_path=*".to_owned()
    } else {
        format!("({})", of_routes.join(" OR "))
    };
    add(
        "splunk",
        SENT,
        format!("sourcetype=access_* {of_routes} | regex _raw={payload} {by}"),
    );
    add(
        "splunk",
        REFUSED,
        format!("sourcetype=access_* {of_routes} status=400 {by}"),
    );
    let any: Vec<String> = messages.iter().map(|text| quoted(text)).collect();
    add(
        "splunk",
        FAILED,
        format!("{} | stats count by host, source", any.join(" OR ")),
    );

    let of_routes: Vec<String> = paths.iter().map(|route| kql(&wild(route))).collect();
    let of_routes = if anywhere {
        "url.path : *".to_owned()
    } else {
        format!("url.path : ({})", of_routes.join(" or "))
    };
    let parts: Vec<String> = PARTS
        .iter()
        .map(|part| format!("*{}*", kql(part)))
        .collect();
    let parts = parts.join(" or ");
    add(
        "kql",
        SENT,
        format!("{of_routes} and (url.query : ({parts}) or http.request.body.content : ({parts}))"),
    );
    add(
        "kql",
        REFUSED,
        format!("{of_routes} and http.response.status_code : 400"),
    );
    add("kql", FAILED, format!("message : ({})", any.join(" or ")));

    let list = |items: &mut dyn Iterator<Item = String>| {
        items
            .map(|item| format!("      - {}\n", quoted(&item)))
            .collect::<String>()
    };
    let stems = list(&mut paths.iter().map(|route| wild(route)));
    let route = if anywhere {
        String::new()
    } else {
        format!("  route:\n    cs-uri-stem:\n{stems}")
    };
    let and = if anywhere { "" } else { "route and " };
    let head = |title: &str, source: &str| {
        format!("title: {title}\nstatus: experimental\nlogsource:\n  {source}\ndetection:\n")
    };
    let parts = list(&mut PARTS.iter().map(|part| (*part).to_owned()));
    let web = head(
        "Pickles sent to the routes that load them",
        "category: webserver",
    );
    add(
        "sigma",
        SENT,
        format!(
            "{web}{route}  query:\n    cs-uri-query|contains:\n{parts}  cookie:\n    cs-cookie|contains:\n{parts}  condition: {and}(query or cookie)\nlevel: high"
        ),
    );
    if !anywhere {
        let web = head(
            "Requests that the routes refuse after the change",
            "category: webserver",
        );
        add(
            "sigma",
            REFUSED,
            format!(
                "{web}{route}  status:\n    sc-status: 400\n  condition: route and status\nlevel: medium"
            ),
        );
    }
    let words: String = messages
        .iter()
        .map(|text| format!("    - {}\n", quoted(text)))
        .collect();
    let application = head(
        "Errors of reading pickles",
        "category: application\n  product: python",
    );
    add(
        "sigma",
        FAILED,
        format!("{application}  keywords:\n{words}  condition: keywords\nlevel: high"),
    );
    all
}

/// `route` with `parameter` for what a client chooses, and `literal` of the rest.
fn pattern(route: &str, parameter: &str, literal: impl Fn(&str) -> String) -> String {
    let route = route.trim_start_matches('^').trim_end_matches('$');
    let mut out = String::new();
    let mut rest = route;
    let mut plain = String::new();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '<' => rest.find('>').map(|end| end + 1),
            '{' => rest.find('}').map(|end| end + 1),
            '(' => closing(rest),
            ':' if plain.ends_with('/') => Some(rest.find('/').unwrap_or(rest.len())),
            '*' => Some(1),
            _ => None,
        };
        match end {
            Some(end) => {
                out.push_str(&literal(&plain));
                out.push_str(parameter);
                plain.clear();
                rest = rest.get(end..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out + &literal(&plain)
}

/// Where the parenthesis that `text` begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    let end = text.char_indices().find(|(_, c)| {
        open += i32::from(*c == '(') - i32::from(*c == ')');
        open == 0
    });
    end.map(|(at, _)| at + 1)
}

/// With `*` for what a client chooses, and for what stands before a route that does not begin with a slash.
fn wild(route: &str) -> String {
    let route = pattern(route, "*", str::to_owned);
    match route.starts_with('/') {
        true => route,
        false => format!("*/{route}"),
    }
}

/// For a regular expression.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// For a shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// In double quotes, as JSON and YAML have it; backslashes and quotes are escaped in the searches as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value with wildcards.
fn kql(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\():<>\"{} ".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
