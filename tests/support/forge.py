"""Three forges in one, as far as listing goes: `forge.py PORT FOLDER` serves FOLDER/NAME.git as repositories of `team`.

Pages are short; the first request is told to wait; `private` wants the token `secret`; `later` has answered enough for two
seconds. A search finds 1,207 repositories, of which it tells 1,000; one for `slow` does not come to an end.
"""

import sys
import time
from urllib.parse import parse_qs, urlsplit

import answering

FOLDER = sys.argv[2]
LAST = 3
STATE = {"waited": False, "later": 0}

ROWS = [
    {"name": "shop", "language": "Python", "topics": ["web"]},
    {"name": "cart", "language": "Python", "topics": ["flask"], "size": 120},
    {"name": "site", "language": "HTML", "topics": ["web"]},
    {"name": "old", "language": "Python", "topics": [], "archived": True},
    {"name": "copy", "language": "Python", "topics": [], "fork": True, "created_at": "2026-02-01T00:00:00Z", "pushed_at": "2026-01-01T00:00:00Z"},
    {"name": "none", "language": None, "topics": [], "empty": True},
    {"name": "mine", "language": "Python", "topics": [], "fork": True, "created_at": "2026-02-01T00:00:00Z", "pushed_at": "2026-03-01T00:00:00Z"},
]


def row(number, known):
    url = f"file://{FOLDER}/{known['name']}.git"
    one = {"archived": False, "fork": False, "clone_url": url, "ssh_url": f"git@127.0.0.1:team/{known['name']}.git", **known}
    one.update(id=number, path=known["name"], http_url_to_repo=url, ssh_url_to_repo=one["ssh_url"])
    return one


def gitlab(one):
    one = {key: one[key] for key in ("id", "name", "path", "archived", "topics", "http_url_to_repo", "ssh_url_to_repo")}
    known = ROWS[one["id"]]
    if known.get("fork"):
        one["forked_from_project"] = {"id": 0}
    return {**one, "empty_repo": known.get("empty", False)}


class Handler(answering.Handler):
    def do_GET(self):
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        path = parts.path
        if not STATE["waited"]:
            STATE["waited"] = True
            return self.say(429, {}, Retry_After="1")
        sent = self.headers.get("Authorization", "") + self.headers.get("PRIVATE-TOKEN", "")
        if "private" in path and not sent.endswith("secret"):
            return self.say(401, {"message": "no"})
        if "spent" in path:
            return self.say(403, {"message": "no"}, X_RateLimit_Remaining="0")
        if "later" in path:
            STATE["later"] = STATE["later"] or int(time.time()) + 2
            if time.time() < STATE["later"]:
                return self.say(403, {"message": "no"}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(STATE["later"]))
        if path == "/api/v3/search/repositories":
            first = (int(query["page"][0]) - 1) * int(query["per_page"][0])
            if first >= 1000:
                return self.say(422, {"message": "Only the first 1000 search results are available"})
            words = query["q"][0].split()
            found = 1207 if "pickle" in words else 3
            rows = [row(n, {**ROWS[n % 3], "name": f"{ROWS[n % 3]['name']}{n // 3 or ''}"}) for n in range(first, min(first + 100, found))]
            return self.say(200, {"total_count": found, "incomplete_results": "slow" in words, "items": rows})
        if path.startswith("/api/v4/projects/") and path.endswith("/languages"):
            main = ROWS[int(path.split("/")[4])]["language"]
            return self.say(200, {main: 80.5, "Shell": 19.5} if main else {})
        lists = {
            "/api/v3/orgs/team/repos": lambda one: one,
            "/api/v3/orgs/later/repos": lambda one: one,
            "/api/v1/orgs/private/repos": lambda one: one,
            "/api/v1/users/team/repos": lambda one: one,
            "/api/v4/groups/team%2Fsub/projects": gitlab,
        }
        if path not in lists:
            return self.say(404, {"message": "Not Found"})
        page = int(query["page"][0])
        rows = [row(number, known) for number, known in enumerate(ROWS)]
        self.say(200, [lists[path](one) for one in rows[(page - 1) * LAST : page * LAST]])


answering.serve(Handler)
