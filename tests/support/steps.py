"""Runs the shell of a CI definition as its service would, in the current folder: `steps.py FILE [INPUT=VALUE]...`.

FILE is a composite action of GitHub or a component of GitLab. Prints what came of it as JSON; steps that use other
actions are named only.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML

path = pathlib.Path(sys.argv[1])
documents = list(YAML(typ="safe").load_all(path.read_text()))
given = dict(pair.split("=", 1) for pair in sys.argv[2:])


def shell(program, script, env):
    """Exit code and output of `script`, which knows `env` besides what everybody knows."""
    done = subprocess.run(
        [*program, script], env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def action(definition):
    values = {f"inputs.{name}": str(row.get("default", "")) for name, row in definition["inputs"].items()}
    values |= {f"inputs.{name}": value for name, value in given.items()}
    values["github.action_path"] = str(path.parent)
    filled = lambda text: re.sub(r"\$\{\{ (.*?) \}\}", lambda hole: values[hole[1]], text)
    ran = []
    for step in definition["runs"]["steps"]:
        if "uses" in step:
            ran.append({"uses": step["uses"], "with": {key: filled(text) for key, text in step["with"].items()}})
            continue
        with tempfile.NamedTemporaryFile("r") as output:
            env = {key: filled(text) for key, text in step.get("env", {}).items()} | {"GITHUB_OUTPUT": output.name}
            code, said = shell(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], step["run"], env)
            values |= {f"steps.{step.get('id')}.outputs.{row.split('=')[0]}": row.split("=", 1)[1].strip() for row in output}
        ran.append({"name": step["name"], "code": code, "said": said})
        if code:
            break
    return ran


def component(spec, jobs):
    values = {name: row.get("default") for name, row in spec["spec"]["inputs"].items()} | given
    filled = lambda text: re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda hole: values[hole[1]], text)
    ran = []
    for name, job in jobs.items():
        env = {key: filled(text) for key, text in job["variables"].items()}
        code, said = shell(["sh", "-ec"], "\n".join(job["script"]), env)
        ran.append({"name": name, "code": code, "said": said})
    return ran


print(json.dumps(action(documents[0]) if "runs" in documents[0] else component(*documents)))
