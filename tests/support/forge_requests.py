"""A forge of each kind, as far as pull requests go: `forge_requests.py PORT FOLDER` has FOLDER/team/NAME.git as `team/NAME`.

What it was told is kept in FOLDER/state.json. The token is `secret`; the first write is told to wait. A file FOLDER/merged has
lines of a branch and the commit that it was merged as; one FOLDER/empty says that no request changes anything.
"""

import json
import os
import subprocess
import sys
import time
from urllib.parse import parse_qs, unquote, urlsplit

import answering

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
STATE = {"requests": [], "writes": [], "waited": False}


def there(name):
    return os.path.exists(os.path.join(FOLDER, name))


def tip(path, branch):
    command = ["git", "-C", f"{FOLDER}/{path}.git", "rev-parse", "-q", "--verify", f"refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def merged(branch):
    """The commit that `branch` was merged as."""
    if not there("merged"):
        return None
    with open(os.path.join(FOLDER, "merged")) as file:
        return dict(line.split() for line in file).get(branch)


def shown(one, kind):
    state, merge = one["state"], merged(one["branch"])
    if state == "open" and merge:
        state = "merged"
    merge = merge if state == "merged" else None
    url = f"http://127.0.0.1:{PORT}/{one['path']}/{one['number']}"
    if kind == "gitlab":
        return {"iid": one["number"], "web_url": url, "source_branch": one["branch"], "merge_commit_sha": merge,
                "target_branch": "main", "state": "opened" if state == "open" else state,
                "changes_count": "0" if there("empty") else "1"}
    return {"number": one["number"], "html_url": url, "state": "open" if state == "open" else "closed",
            "merged_at": "2026-11-23T00:00:00Z" if state == "merged" else None, "merge_commit_sha": merge,
            "head": {"ref": one["branch"], "repo": {"full_name": one["path"]}}, "base": {"ref": "main"},
            "changed_files": 0 if there("empty") else 1}


class Handler(answering.Handler):
    def say(self, status, value, **fields):
        # Kept before anybody hears of it.
        if self.command != "GET":
            with open(os.path.join(FOLDER, "state.new"), "w") as file:
                json.dump(STATE, file)
            os.replace(os.path.join(FOLDER, "state.new"), os.path.join(FOLDER, "state.json"))
        super().say(status, value, **fields)

    def answer(self):
        parts = urlsplit(self.path)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        words = parts.path.strip("/").split("/")
        kind = {"v3": "github", "v4": "gitlab", "v1": "gitea"}[words[1]]
        header = {"github": "Bearer secret", "gitea": "token secret", "gitlab": None}[kind]
        sent = self.headers.get("PRIVATE-TOKEN") == "secret" if kind == "gitlab" else self.headers.get("Authorization") == header
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        if not sent:
            return self.say(401, {"message": "Bad credentials"})
        if self.command != "GET":
            if not STATE["waited"]:
                STATE["waited"] = True
                return self.say(429, {"message": "slow down"}, Retry_After="1")
            STATE["writes"].append({"at": time.monotonic(), "method": self.command, "path": parts.path, "body": body})
        words = words[2:]
        if words[0] == "users":
            return self.say(200, [{"id": 7}])
        path, rest = (unquote(words[1]), words[2:]) if kind == "gitlab" else ("/".join(words[1:3]), words[3:])
        if not there(f"{path}.git"):
            return self.say(404, {"message": "Not Found"})
        if not rest:
            return self.say(200, {"default_branch": "main"})
        if rest == ["labels"]:
            return self.say(200, [{"id": 5, "name": "security"}])
        requests = [one for one in STATE["requests"] if one["path"] == path]
        if len(rest) == 1 and self.command == "GET":
            wanted = query.get("source_branch") or query.get("head", "").partition(":")[2]
            rows = [shown(one, kind) for one in requests if not wanted or one["branch"] == wanted]
            return self.say(200, rows if query["page"] == "1" else [])
        if len(rest) == 1:
            branch = body.get("head") or body.get("source_branch")
            if not tip(path, branch):
                return self.say(422, {"message": "Validation Failed", "errors": [{"message": "head is invalid"}]})
            if any(one["branch"] == branch and one["state"] == "open" for one in requests):
                return self.say(422, {"message": "a pull request already exists"})
            one = {"path": path, "number": len(STATE["requests"]) + 1, "branch": branch, "state": "open", **body, "comments": []}
            one["state"] = "open"
            STATE["requests"].append(one)
            return self.say(201, shown(one, kind))
        one = next(one for one in requests if one["number"] == int(rest[1]))
        if self.command == "GET":
            return self.say(200, shown(one, kind))
        if rest[2:] in (["comments"], ["notes"]):
            one["comments"].append(body["body"])
            return self.say(201, {})
        if rest[2:] == ["labels"]:
            one["labels"] = body["labels"]
            return self.say(200, [])
        if rest[2:] == ["requested_reviewers"]:
            one["reviewers"] = body["reviewers"]
            return self.say(201, {})
        if body.get("state") == "closed" or body.pop("state_event", None) == "close":
            body["state"] = "closed"
        one.update(body)
        self.say(200, shown(one, kind))

    do_GET = do_POST = do_PATCH = do_PUT = answer


answering.serve(Handler)
