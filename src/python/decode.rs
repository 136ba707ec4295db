//! Bytes to text and back (PEP 263), and what stops us from parsing a text at all.
//!
//! Invariant: a text is accepted only if encoding it again gives the very bytes it came from.

use encoding_rs::Encoding as Legacy;

use super::Unparsed;

/// How a file's bytes spell its text.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    /// UTF-8; a byte-order mark stays in the text.
    Utf8,
    /// ISO 8859-1: byte n is character n. By hand, because the web's "latin1" is windows-1252.
    Latin1,
    /// Any other encoding Python names and `encoding_rs` knows.
    Legacy(&'static Legacy),
}

impl Encoding {
    /// `text` as bytes.
    ///
    /// # Errors
    /// The first character that the encoding has no bytes for.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, char> {
        match self {
            Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
            Encoding::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| c))
                .collect(),
            Encoding::Legacy(encoding) => {
                let (bytes, _, lossy) = encoding.encode(text);
                if lossy {
                    let lost = |c: &char| encoding.encode(c.encode_utf8(&mut [0; 4])).2;
                    return Err(text.chars().find(lost).unwrap_or('\u{fffd}'));
                }
                Ok(bytes.into_owned())
            }
        }
    }
}

/// Text and encoding of `bytes`, by byte-order mark, PEP 263 cookie or UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Result<(String, Encoding), Unparsed> {
    let refuse = |what: String| Err(Unparsed::Encoding(what));
    if bytes.contains(&0) {
        return refuse("contains NUL bytes (UTF-16, or not text): CPython refuses it too".into());
    }
    let encoding = match cookie(bytes) {
        None => Encoding::Utf8,
        Some(name) => match by_name(&name) {
            Some(encoding) => encoding,
            None => return refuse(format!("declares the unknown encoding {name:?}")),
        },
    };
    let text = match encoding {
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                let line = bytes
                    .iter()
                    .take(error.valid_up_to())
                    .filter(|b| **b == b'\n');
                return refuse(format!(
                    "line {} is not valid UTF-8, and no encoding is declared",
                    line.count() + 1
                ));
            }
        },
        Encoding::Latin1 => bytes.iter().map(|&b| char::from(b)).collect(),
        Encoding::Legacy(legacy) => match legacy.decode_without_bom_handling(bytes) {
            (text, false) => text.into_owned(),
            (_, true) => return refuse(format!("is not valid {}", legacy.name())),
        },
    };
    if encoding.encode(&text).as_deref() != Ok(bytes) {
        return refuse("would not encode back to the same bytes".into());
    }
    Ok((text, encoding))
}

/// The encoding a comment on one of the first two lines declares (PEP 263).
fn cookie(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (row, line) in bytes.split(|b| *b == b'\n').take(2).enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        let Some(comment) = line.strip_prefix('#') else {
            // The second line counts only after a comment or an empty line.
            if row == 0 && line.trim().is_empty() {
                continue;
            }
            return None;
        };
        let name = comment.match_indices("coding").find_map(|(at, word)| {
            let rest = comment.get(at + word.len()..)?;
            let rest = rest
                .strip_prefix([':', '='])?
                .trim_start_matches([' ', '\t']);
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
                .unwrap_or(rest.len());
            rest.get(..end).filter(|name| !name.is_empty())
        });
        if let Some(name) = name {
            return Some(name.to_ascii_lowercase());
        }
    }
    None
}

fn by_name(name: &str) -> Option<Encoding> {
    let dashed = name.replace('_', "-");
    match dashed.as_str() {
        "utf-8" | "utf8" | "u8" | "utf" | "utf-8-sig" | "cp65001" | "ascii" | "us-ascii" => {
            Some(Encoding::Utf8)
        }
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" | "latin" | "l1" => {
            Some(Encoding::Latin1)
        }
        _ if dashed.starts_with("utf-8-") => Some(Encoding::Utf8),
        _ if dashed.starts_with("latin-1-") || dashed.starts_with("iso-8859-1-") => {
            Some(Encoding::Latin1)
        }
        _ => {
            let web = match dashed.strip_prefix("cp125") {
                Some(digit) => format!("windows-125{digit}"),
                None => dashed,
            };
            Legacy::for_label(web.as_bytes()).map(Encoding::Legacy)
        }
    }
}

/// What kind of trouble the syntax error on `line` is.
pub(super) fn classify(text: &str, line: usize, what: &str) -> Unparsed {
    for (row, line) in text.lines().enumerate() {
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            return Unparsed::MergeConflict(row + 1);
        }
    }
    for (row, line) in text.lines().enumerate() {
        if is_python2(line.trim()) {
            return Unparsed::Python2(row + 1);
        }
    }
    Unparsed::Syntax(line, what.to_owned())
}

/// Whether a line is legal in Python 2 alone: print and exec statements, `except X, e`, `raise X, "..."`, backticks.
fn is_python2(line: &str) -> bool {
    let statement = |word: &str| {
        line.strip_prefix(word).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with(['"', '\'', '%'])
                || rest.starts_with(">>")
                || rest.starts_with(|c: char| c.is_alphabetic())
        })
    };
    let comma = |word: &str, end: &str| {
        line.strip_prefix(word)
            .and_then(|rest| rest.split_once(','))
            .is_some_and(|(kind, rest)| !kind.contains(['(', '#']) && rest.contains(end))
    };
    statement("print ")
        || statement("exec ")
        || comma("except ", ":")
        || comma("raise ", "")
        || (line.contains('`') && !line.contains(['"', '\'', '#']))
}
