"""Cuts the operations that depickle uses out of a description of GitHub's API: `cut_openapi.py DESCRIPTION > CUT`.

The whole is large. Paths begin as on a server of one's own. What examples say against the description is the description's affair.
"""

import json
import sys

USED = {
    "/repos/{owner}/{repo}": ["get"],
    "/repos/{owner}/{repo}/pulls": ["get", "post"],
    "/repos/{owner}/{repo}/pulls/{pull_number}": ["get", "patch"],
    "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers": ["post"],
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ["post"],
    "/repos/{owner}/{repo}/issues/{issue_number}/labels": ["post"],
    "/orgs/{org}/repos": ["get"],
    "/users/{username}/repos": ["get"],
    "/search/repositories": ["get"],
}


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


with open(sys.argv[1]) as file:
    whole = json.load(file)
paths = {f"/api/v3{path}": {key: one for key, one in whole["paths"][path].items() if key in methods + ["parameters"]} for path, methods in USED.items()}
kept, todo = {}, list(references(paths))
while todo:
    reference = todo.pop()
    kind, name = reference.removeprefix("#/components/").split("/")
    if name not in kept.setdefault(kind, {}):
        kept[kind][name] = whole["components"][kind][name]
        todo.extend(references(kept[kind][name]))
json.dump({**{key: whole[key] for key in ("openapi", "info", "servers")}, "paths": paths, "components": kept}, sys.stdout)
