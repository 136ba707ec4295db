//! Lines that are too long, broken at their last brackets as the common formatters do it.

use crate::text::Span;

/// The widest line that formatters leave.
const WIDTH: usize = 88;

/// `line`, which is one statement, at `margin`: itself, or the lines it is broken into, each with its margin.
pub(super) fn broken(line: &str, margin: &str, indent: &str) -> Vec<String> {
    let whole = format!("{margin}{line}");
    if !too_wide(&whole) || line.contains(['\n', '\r', '#']) {
        return vec![whole];
    }
    let deeper = format!("{margin}{indent}");
    let listed = |parts: &[&str]| -> Vec<String> {
        let part = |part: &&str| broken(&format!("{part},"), &deeper, indent);
        parts.iter().flat_map(part).collect()
    };
    if let Some(value) = line.strip_prefix("return ")
        && let parts @ [_, _, ..] = commas(value).as_slice()
        && !says(value, "lambda")
    {
        // A tuple gets brackets of its own.
        let mut lines = vec![format!("{margin}return (")];
        lines.extend(listed(parts));
        lines.push(format!("{margin})"));
        return lines;
    }
    let Some((head, body, tail)) = last_brackets(line) else {
        return vec![whole];
    };
    let inner = format!("{deeper}{body}");
    // The commas of a comprehension or a lambda part nothing.
    if too_wide(&inner) && ["for", "lambda"].iter().any(|word| says(body, word)) {
        return vec![whole];
    }
    let mut lines = vec![format!("{margin}{head}")];
    match commas(body).as_slice() {
        parts @ [_, _, ..] if too_wide(&inner) => lines.extend(listed(parts)),
        _ => lines.extend(broken(body, &deeper, indent)),
    }
    lines.push(format!("{margin}{tail}"));
    lines
}

/// Whether `word` stands in `text` outside of strings.
fn says(text: &str, word: &str) -> bool {
    let code: String = code(text).into_iter().map(|(_, c)| c).collect();
    let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.any(|other| other == word)
}

/// Columns of `line`; a tab counts four.
fn width(line: &str) -> usize {
    line.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// Whether `line` is wider than formatters leave it.
pub(super) fn too_wide(line: &str) -> bool {
    width(line) > WIDTH
}

/// `line` around its last brackets that hold something.
fn last_brackets(line: &str) -> Option<(&str, &str, &str)> {
    let mut open = Vec::new();
    let mut last = None;
    for (at, c) in code(line) {
        match c {
            '(' | '[' | '{' => open.push(at),
            ')' | ']' | '}' => last = Some(Span::new(open.pop()? + 1, at)),
            _ => {}
        }
    }
    let inner = last?;
    let body = line.get(inner.start..inner.end)?;
    let parts = (line.get(..inner.start)?, body, line.get(inner.end..)?);
    (open.is_empty() && !body.is_empty()).then_some(parts)
}

/// The parts of `body` between commas outside of brackets.
fn commas(body: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in code(body) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(body.get(start..at).map(str::trim));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(body.get(start..).map(str::trim));
    parts.retain(|part| !part.is_empty());
    parts
}

/// The characters of `line` that stand outside of strings.
fn code(line: &str) -> Vec<(usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    let mut found = Vec::new();
    for (at, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => found.push((at, c)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn a_line_that_fits_stays() {
        assert_eq!(broken("return f(1)", "    ", "    "), ["    return f(1)"]);
    }

    #[test]
    fn the_last_brackets_are_opened() {
        let line = "return JSONResponse({\"error\": \"The cart that was sent cannot be read\"}, status_code=400)";
        let wanted = [
            "        return JSONResponse(",
            "            {\"error\": \"The cart that was sent cannot be read\"}, status_code=400",
            "        )",
        ];
        assert_eq!(broken(line, "        ", "    "), wanted);
    }

    #[test]
    fn arguments_that_do_not_fit_on_one_line_get_one_each() {
        let line = "return JSONResponse({\"error\": \"The cart (or list) that was sent cannot be read at all\"}, status_code=400)";
        let wanted = [
            "        return JSONResponse(",
            "            {\"error\": \"The cart (or list) that was sent cannot be read at all\"},",
            "            status_code=400,",
            "        )",
        ];
        assert_eq!(broken(line, "        ", "    "), wanted);
    }

    #[test]
    fn a_tuple_gets_brackets() {
        let line = "return jsonify(error=\"The cart that was sent cannot be read; please send another one\"), 400";
        let wanted = [
            "    return (",
            "        jsonify(error=\"The cart that was sent cannot be read; please send another one\"),",
            "        400,",
            "    )",
        ];
        assert_eq!(broken(line, "    ", "    "), wanted);
    }

    #[test]
    fn a_comprehension_is_not_parted_at_its_commas() {
        let short =
            "loaded = {name: json.loads(value) for name, value in request.form.items(multi=True)}";
        let wanted = [
            "        loaded = {",
            "            name: json.loads(value) for name, value in request.form.items(multi=True)",
            "        }",
        ];
        assert_eq!(broken(short, "        ", "    "), wanted);
        let long = short.replace("multi", "with_all_of_its_values_in_their_order");
        let whole = format!("        {long}");
        assert_eq!(broken(&long, "        ", "    "), [whole]);
    }

    #[test]
    fn what_has_no_brackets_stays() {
        let line = format!("return \"{}\"", "x".repeat(90));
        assert_eq!(broken(&line, "", "    "), std::slice::from_ref(&line));
    }
}
