//! `stage --with-tests`: tests in each repository's own style, run on both sides by the real frameworks.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs programs"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/venv.rs"]
mod venv;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use home::{GUIDE, Home, code, git, stderr, stdout};
use snapshot::snapshot;

/// An environment that has pytest besides the frameworks.
fn tester(home: &Home) -> PathBuf {
    let frameworks = venv::python();
    let run = |program: &Path, args: &[&str]| {
        let done = Command::new(program).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", stderr(&done));
        stdout(&done)
    };
    let venv = home.path("tester");
    run(
        Path::new("python3"),
        &["-m", "venv", "--without-pip", venv.to_str().unwrap()],
    );
    let own = venv.join("bin/python");
    let site = [
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
    ];
    let (theirs, ours) = (run(frameworks, &site), run(&own, &site));
    fs::write(Path::new(ours.trim()).join("frameworks.pth"), theirs).unwrap();
    let install = [
        "-m",
        "pip",
        "--python",
        own.to_str().unwrap(),
        "install",
        "-q",
        "pytest==8.4.2",
        "pytest-django==4.11.1",
    ];
    run(frameworks, &install);
    own
}

/// Stages `name` with tests, and gives the notes that it has then.
fn staged(home: &Home, name: &str, python: &str) -> String {
    let run = home.json(&[
        "stage",
        name,
        "--with-tests",
        "--execute",
        "--python",
        python,
        "--format",
        "json",
    ]);
    let row = &run["projects"][0];
    assert_eq!(row["status"], "ok", "{row}");
    let new = row["patch"]
        .as_str()
        .is_some_and(|patch| patch.contains("new file mode 100644"));
    let notes = row["notes"].to_string();
    assert_eq!(
        new,
        notes.contains("fail before the change and to pass after it"),
        "{row}"
    );
    notes
}

/// The new test `file` on the branch of `name`, which is staged with tests.
fn test_of(home: &Home, name: &str, python: &Path, file: &str) -> String {
    let notes = staged(home, name, python.to_str().unwrap());
    assert!(
        notes.contains(file) && !notes.contains("no test for"),
        "{notes}"
    );
    git(
        &home.path(name),
        &["show", &format!("depickle/pickle-to-json:{file}")],
    )
}

const TASKS: &str = "import base64\nimport pickle\nimport zlib\n\nfrom flask import Blueprint, request\n\ntasks = Blueprint(\"tasks\", __name__, url_prefix=\"/tasks\")\n\n\n@tasks.route(\"/<int:number>\", methods=[\"PUT\"])\ndef change(number):\n    data = zlib.decompress(base64.b64decode(request.form[\"task\"]))\n    return {\"title\": pickle.loads(data)[\"title\"]}\n";

#[test]
fn tests_are_written_as_the_repository_writes_them() {
    let home = Home::new();
    let python = tester(&home);

    // pytest with a fixture of its own, a factory, a blueprint; a name that is taken.
    let factory = "from flask import Flask\n\nfrom shop.tasks import tasks\n\n\ndef create_app():\n    app = Flask(__name__)\n    app.register_blueprint(tasks)\n    return app\n";
    let conftest = "import pytest\n\nfrom shop import create_app\n\n\n@pytest.fixture\ndef client():\n    return create_app().test_client()\n";
    home.repo(
        "fixtures",
        &[
            (
                "pyproject.toml",
                "[tool.pytest.ini_options]\ntestpaths = [\"tests\"]\n",
            ),
            ("src/shop/__init__.py", factory),
            ("src/shop/tasks.py", TASKS),
            ("tests/conftest.py", conftest),
            (
                "tests/test_pickle_refused.py",
                "def test_ours():\n    pass\n",
            ),
        ],
    );
    let test = test_of(&home, "fixtures", &python, "tests/test_pickle_refused_2.py");
    snapshot("with-tests-fixture", &test, &[]);

    // unittest, without any configuration.
    home.repo("plain", &[("app.py", GUIDE)]);
    let test = test_of(&home, "plain", &python, "test_pickle_refused.py");
    snapshot("with-tests-unittest", &test, &[]);
    let patch = git(
        &home.path("plain"),
        &["show", "--stat", "--format=", "depickle/pickle-to-json"],
    );
    assert!(patch.contains("2 files changed"), "{patch}");
    assert_eq!(code(&home.run(&["rollback"])), 0);

    // pytest by name alone, FastAPI, two endpoints.
    let api = "import pickle\n\nfrom fastapi import FastAPI, Request, UploadFile\n\napi: FastAPI = FastAPI()\n\n\n@api.post(\"/items\")\nasync def add_item(request: Request):\n    return {\"name\": pickle.loads(await request.body())[\"name\"]}\n\n\n@api.post(\"/upload\")\ndef upload(file: UploadFile):\n    return {\"name\": pickle.load(file.file)[\"name\"]}\n";
    home.repo(
        "api",
        &[
            ("service/main.py", api),
            ("service/__init__.py", ""),
            ("checks/other_test.py", "def test_one():\n    assert True\n"),
            ("pytest.ini", "[pytest]\npython_files = *_test.py\n"),
        ],
    );
    let test = test_of(&home, "api", &python, "checks/pickle_refused_test.py");
    snapshot("with-tests-fastapi", &test, &[]);
}

const MANAGE: &str = "import os\nimport sys\n\nif __name__ == \"__main__\":\n    os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"site_settings\")\n    from django.core.management import execute_from_command_line\n\n    execute_from_command_line(sys.argv)\n";

#[test]
fn django_has_test_cases_of_its_own() {
    let home = Home::new();
    let python = tester(&home);
    let manage = MANAGE;
    let settings = "SECRET_KEY = \"x\"\nROOT_URLCONF = \"urls\"\nINSTALLED_APPS = [\"cart\"]\nALLOWED_HOSTS = [\"*\"]\nDATABASES = {\"default\": {\"ENGINE\": \"django.db.backends.sqlite3\", \"NAME\": \":memory:\"}}\nMIDDLEWARE = []\n";
    let urls = "from django.urls import path\n\nfrom cart import views\n\nurlpatterns = [path(\"cart/\", views.show)]\n";
    let views = "import base64\nimport pickle\n\nfrom django.http import HttpResponse\n\n\ndef show(request):\n    cart = pickle.loads(base64.b64decode(request.COOKIES[\"cart\"]))\n    return HttpResponse(str(cart[\"items\"]))\n";
    let files = [
        ("manage.py", manage),
        ("site_settings.py", settings),
        ("urls.py", urls),
        ("cart/__init__.py", ""),
        ("cart/views.py", views),
        ("cart/tests/__init__.py", ""),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&files[..], more].concat();
    home.repo("own", &with(&[("cart/tests/test_other.py", "from django.test import TestCase\n\n\nclass Tests(TestCase):\n    def test_one(self):\n        pass\n")]));
    let test = test_of(&home, "own", &python, "cart/tests/test_pickle_refused.py");
    snapshot("with-tests-django", &test, &[]);
    home.repo("plugged", &with(&[("setup.cfg", "[tool:pytest]\nDJANGO_SETTINGS_MODULE = site_settings\naddopts =\n    -p pytest_django\n"), ("tests/test_one.py", "def test_one():\n    pass\n")]));
    let test = test_of(&home, "plugged", &python, "tests/test_pickle_refused.py");
    snapshot("with-tests-pytest-django", &test, &[]);
}

const STARLETTE: &str = "import base64\nimport pickle\n\nfrom starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\nasync def load(request):\n    cart = pickle.loads(base64.b64decode(request.cookies[\"cart\"]))\n    return JSONResponse({\"n\": len(cart[\"items\"])})\n\n\nasync def body(request):\n    return JSONResponse({\"n\": len(pickle.loads(await request.body())[\"items\"])})\n\n\napp = Starlette(routes=[Route(\"/cart\", load), Route(\"/body\", body, methods=[\"POST\"])])\n";

const AIOHTTP: &str = "import pickle\n\nfrom aiohttp import web\n\n\nasync def load(request):\n    return web.json_response({\"n\": len(pickle.loads(await request.read())[\"items\"])})\n\n\nasync def form(request):\n    data = await request.post()\n    return web.json_response({\"n\": len(pickle.loads(data[\"cart\"].encode(\"latin-1\"))[\"items\"])})\n\n\ndef make_app():\n    app = web.Application()\n    app.add_routes([web.post(\"/load\", load), web.post(\"/form\", form)])\n    return app\n";

const TORNADO: &str = "import base64\nimport pickle\n\nfrom tornado.web import Application, RequestHandler\n\n\nclass Load(RequestHandler):\n    def post(self):\n        self.write(str(len(pickle.loads(self.request.body)[\"items\"])))\n\n    def get(self):\n        self.write(str(len(pickle.loads(base64.b64decode(self.get_cookie(\"cart\")))[\"items\"])))\n\n\nclass Find(RequestHandler):\n    def get(self):\n        self.write(str(len(pickle.loads(base64.b64decode(self.get_query_argument(\"q\")))[\"items\"])))\n\n\napplication = Application([(\"/load\", Load), (\"/find\", Find)])\n";

#[test]
fn frameworks_are_tested_by_their_own_clients() {
    let home = Home::new();
    let python = tester(&home);
    home.repo(
        "starlette",
        &[
            ("app.py", STARLETTE),
            ("tests/test_one.py", "def test_one():\n    pass\n"),
        ],
    );
    let test = test_of(&home, "starlette", &python, "tests/test_pickle_refused.py");
    snapshot("with-tests-starlette", &test, &[]);
    home.repo(
        "aiohttp",
        &[
            ("app.py", AIOHTTP),
            ("tests/test_one.py", "def test_one():\n    pass\n"),
        ],
    );
    let test = test_of(&home, "aiohttp", &python, "tests/test_pickle_refused.py");
    snapshot("with-tests-aiohttp", &test, &[]);
    home.repo("tornado", &[("app.py", TORNADO)]);
    let test = test_of(&home, "tornado", &python, "test_pickle_refused.py");
    snapshot("with-tests-tornado", &test, &[]);
    // What is bound once is started once.
    let bound = AIOHTTP
        .replace("def make_app():\n    app =", "app =")
        .replace("    app.add_routes", "app.add_routes")
        .replace("    return app\n", "");
    home.repo("bound", &[("app.py", &bound)]);
    let notes = staged(&home, "bound", python.to_str().unwrap());
    assert!(
        notes.contains("1 test in test_pickle_refused.py"),
        "{notes}"
    );
    assert!(
        notes.contains("no test for POST /form: beside another, its test does not pass"),
        "{notes}"
    );
}

#[test]
fn rest_framework_has_the_test_cases_of_django() {
    let home = Home::new();
    let python = tester(&home);
    let settings = "SECRET_KEY = \"x\"\nROOT_URLCONF = \"urls\"\nINSTALLED_APPS = [\"rest_framework\", \"cart\"]\nALLOWED_HOSTS = [\"*\"]\nDATABASES = {\"default\": {\"ENGINE\": \"django.db.backends.sqlite3\", \"NAME\": \":memory:\"}}\nMIDDLEWARE = []\nREST_FRAMEWORK = {\"DEFAULT_AUTHENTICATION_CLASSES\": [], \"UNAUTHENTICATED_USER\": None}\n";
    let urls = "from django.urls import path\n\nfrom cart import views\n\nurlpatterns = [path(\"cart/\", views.load), path(\"raw/\", views.Raw.as_view())]\n";
    let views = "import base64\nimport pickle\n\nfrom rest_framework.decorators import api_view\nfrom rest_framework.response import Response\nfrom rest_framework.views import APIView\n\n\n@api_view([\"POST\"])\ndef load(request):\n    return Response({\"n\": len(pickle.loads(base64.b64decode(request.data[\"cart\"]))[\"items\"])})\n\n\nclass Raw(APIView):\n    def put(self, request):\n        return Response({\"n\": len(pickle.loads(request.body)[\"items\"])})\n";
    home.repo(
        "shop",
        &[
            ("manage.py", MANAGE),
            ("site_settings.py", settings),
            ("urls.py", urls),
            ("cart/__init__.py", ""),
            ("cart/views.py", views),
        ],
    );
    let test = test_of(&home, "shop", &python, "cart/test_pickle_refused.py");
    snapshot("with-tests-rest-framework", &test, &[]);
}

#[test]
fn tests_come_with_the_last_commit_and_never_with_a_plan() {
    let home = Home::new();
    let python = tester(&home);
    let more = "import os\nimport pickle\n\nfrom flask import request\n\nfrom app import app\n\nos.environ[\"SHOP_KEY\"]\n\n\n@app.post(\"/more\")\ndef more():\n    return str(len(pickle.loads(request.data)))\n";
    let app = GUIDE.to_owned() + "\n\nimport more  # noqa\n";
    let root = home.repo("shop", &[("app.py", &app), ("more.py", more)]);
    let args = [
        "stage",
        "shop",
        "--with-tests",
        "--execute",
        "--python",
        python.to_str().unwrap(),
        "--split",
        "file",
        "--env",
        "SHOP_KEY=s3cret",
        "--format",
        "json",
    ];
    let run = home.json(&args);
    let notes = run["projects"][0]["notes"].to_string();
    assert!(
        notes.contains("2 tests in test_pickle_refused.py"),
        "{notes}"
    );
    let commits = git(
        &root,
        &[
            "log",
            "--format=",
            "--name-only",
            "main..depickle/pickle-to-json",
        ],
    );
    assert_eq!(commits, "more.py\ntest_pickle_refused.py\napp.py\n");
    // What was given is nobody else's.
    let entries = fs::read_dir(home.path("state/runs")).unwrap().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let text: String = texts.collect();
    assert!(
        text.contains("SHOP_KEY") && !text.contains("s3cret"),
        "{text}"
    );
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(
        code(&home.run(&["diff", "-q", "shop", "--save", "plan.json"])),
        1
    );
    let refused = home.run(&["stage", "--plan", "plan.json", "--with-tests", "--execute"]);
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("a plan pins every file"),
        "{}",
        stderr(&refused)
    );
    assert!(!git(&root, &["branch"]).contains("depickle"));
}

#[test]
fn nothing_is_run_and_nothing_kept_without_reason() {
    let home = Home::new();
    let root = home.repo(
        "shop",
        &[("app.py", GUIDE), ("run.py", "open('ran', 'w')\n")],
    );
    let refused = home.run(&["stage", "shop", "--with-tests"]);
    assert_eq!(code(&refused), 2);
    assert!(
        stderr(&refused).contains("--execute"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(code(&home.run(&["stage", "shop", "--execute"])), 2);
    assert!(!git(&root, &["branch"]).contains("depickle"));

    // No Python, no test; the change is staged all the same, and that is said.
    let python = home.path("nowhere/python");
    let notes = staged(&home, "shop", python.to_str().unwrap());
    assert!(notes.contains("no test for app.py:11"), "{notes}");
    let files = git(
        &root,
        &["show", "--stat", "--format=", "depickle/pickle-to-json"],
    );
    assert!(files.contains("1 file changed"), "{files}");

    // Who lets only known users through is not tested, and a framework without a template neither.
    let login = GUIDE
        .replace(
            "import Flask, request\n",
            "import Flask, request\nfrom flask_login import login_required\n",
        )
        .replace("def load", "@login_required\ndef load");
    home.repo("login", &[("app.py", login.as_str())]);
    let python = tester(&home);
    let python = python.to_str().unwrap();
    let notes = staged(&home, "login", python);
    assert!(notes.contains("its handler is behind"), "{notes}");
    let bottle = "import pickle\n\nfrom bottle import Bottle, request\n\napp = Bottle()\n\n\n@app.post(\"/load\")\ndef load():\n    return {\"n\": pickle.loads(request.body.read())[\"n\"]}\n";
    home.repo("bottle", &[("app.py", bottle)]);
    let notes = staged(&home, "bottle", python);
    assert!(
        notes.contains("there is no test template for Bottle"),
        "{notes}"
    );

    // A test that does not pass after the change, and one that does not fail before it.
    let fixture = |app: &str| {
        format!(
            "import pytest\nfrom flask import Flask\n\nfrom app import app\n\n\n@pytest.fixture\ndef client():\n{app}    return made.test_client()\n"
        )
    };
    let other = fixture("    made = Flask('other')\n");
    home.repo("other", &[("app.py", GUIDE), ("tests/conftest.py", &other)]);
    let notes = staged(&home, "other", python);
    assert!(
        notes.contains("its test does not pass after the change"),
        "{notes}"
    );
    let always = fixture("    made = app\n    made.before_request(lambda: ('no', 400))\n");
    home.repo(
        "always",
        &[("app.py", GUIDE), ("tests/conftest.py", &always)],
    );
    let notes = staged(&home, "always", python);
    assert!(
        notes.contains("its test does not fail before the change"),
        "{notes}"
    );
    let files = git(
        &home.path("always"),
        &["ls-tree", "-r", "--name-only", "depickle/pickle-to-json"],
    );
    assert_eq!(files, "app.py\ntests/conftest.py\n");
}
