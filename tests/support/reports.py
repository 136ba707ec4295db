"""Reads reports with the parsers of other programs: the folder is the argument, what was read is printed as JSON."""

import csv
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree

import jsonschema

folder = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).parent


def applied(fix, root):
    """The files that a SARIF fix changes, as its replacements leave them."""
    out = {}
    for change in fix["artifactChanges"]:
        path = urllib.parse.unquote(change["artifactLocation"]["uri"])
        lines = re.findall(r"[^\n]*\n|[^\n]+", (root / path).read_bytes().decode())
        starts = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
        text = "".join(lines)
        for part in reversed(change["replacements"]):
            region = part["deletedRegion"]
            start = starts[region["startLine"] - 1] + region["startColumn"] - 1
            end = starts[region["endLine"] - 1] + region["endColumn"] - 1
            text = text[:start] + part["insertedContent"]["text"] + text[end:]
        out[path] = text
    return out


sarif = json.loads((folder / "run.sarif").read_text())
schema = json.loads((here / "sarif-2.1.0.json").read_text())
errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(sarif)
fixes = [result["fixes"][0] for result in sarif["runs"][0]["results"] if "fixes" in result]
suites = xml.etree.ElementTree.parse(folder / "run.xml").getroot()
with open(folder / "run.csv", newline="") as file:
    rows = list(csv.reader(file))
print(
    json.dumps(
        {
            "sarif errors": [f"{error.json_path}: {error.message}" for error in errors],
            "fixed": [applied(fix, folder / "shop") for fix in fixes],
            "tests": [case.get("name") for case in suites.iter("testcase")],
            "failures": [case.get("message") for case in suites.iter("failure")],
            "errors": [case.get("message") for case in suites.iter("error")],
            "widths": sorted({len(row) for row in rows}),
            "rows": rows[1:],
        }
    )
)
