//! `verify`: branches are scanned again, and attacked before and after through the real frameworks.
#![expect(
    clippy::disallowed_methods,
    reason = "makes real repositories and runs the program"
)]

#[path = "support/case.rs"]
mod case;
#[path = "support/home.rs"]
mod home;
#[path = "support/venv.rs"]
mod venv;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use home::{GUIDE, Home, code, git, stderr, stdout};
use serde_json::Value;

/// One application for each framework that is run, and each channel and wrapping.
const CASES: [&str; 47] = [
    "frameworks/aiohttp-web/query-in-a-view",
    "frameworks/apiflask/body",
    "frameworks/blacksheep/body",
    "frameworks/asgi/body",
    "frameworks/asgi/helper-and-query",
    "frameworks/aws-lambda/answers-json",
    "frameworks/aws-powertools/header",
    "frameworks/azure-functions/body",
    "frameworks/bottle/cookie-and-response",
    "frameworks/chalice/body",
    "frameworks/cherrypy/parameter-and-helper",
    "frameworks/connexion/body",
    "frameworks/django/form-zlib",
    "frameworks/django/header",
    "frameworks/django-ninja/body",
    "frameworks/falcon/asgi",
    "frameworks/falcon/cookie-and-title",
    // FastAPI itself answers 422 to nothing.
    "frameworks/fastapi/form-header-cookie",
    "frameworks/fastapi/query-parameter",
    "frameworks/fastapi/uploaded-file",
    "frameworks/flask/cookie-urlsafe-zlib",
    "frameworks/flask/helper-of-two-handlers",
    "frameworks/flask-smorest/argument",
    "frameworks/grpc/coroutine",
    "frameworks/grpc/service",
    "frameworks/http-server/body",
    "frameworks/klein/body",
    "frameworks/litestar/body",
    "frameworks/litestar/cookie-and-http-exception",
    "frameworks/pyramid/view-class-and-helper",
    "frameworks/quart/form-and-abort",
    "frameworks/rest-framework/function-and-response",
    "frameworks/rest-framework/view-class",
    "frameworks/sanic/body",
    "frameworks/starlette/body",
    "frameworks/tornado/form-in-a-method",
    "frameworks/turbogears/parameter",
    "frameworks/twisted/resource",
    "frameworks/webargs/argument",
    "frameworks/webob/body",
    "frameworks/webpy/cookie-in-a-helper",
    "frameworks/werkzeug/raises",
    "frameworks/wsgi/class-and-helper",
    // Attacks of other kinds.
    "jsonpickle-to-json/handler",
    "marshal-to-json/handler",
    "numpy-no-pickle/keyword",
    "yaml-to-safe-load/handler",
];

/// A home whose repository `shop` has `files`, staged.
fn staged(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    home.repo("shop", files);
    assert_eq!(code(&home.run(&["stage", "-q", "shop"])), 0);
    home
}

/// What `verify --execute` says of `shop`.
fn executed(home: &Home, more: &[&str]) -> (Output, Value) {
    let python = venv::python().to_str().unwrap();
    let args = [
        "verify",
        "shop",
        "--execute",
        "--format",
        "json",
        "--python",
        python,
    ];
    let output = home.run(&[&args[..], more].concat());
    let value = serde_json::from_slice(&output.stdout);
    let value = value.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output, value)
}

/// Verdict and reason of the only proof.
fn only(value: &Value) -> (&str, Option<&str>) {
    let findings = value["projects"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{value}");
    let proof = &findings[0]["proofs"][0];
    (proof["verdict"].as_str().unwrap(), proof["reason"].as_str())
}

/// Commits `text` as `file` on the branch that was staged.
fn amend(home: &Home, file: &str, text: &str) {
    let shop = home.path("shop");
    let list = [
        "for-each-ref",
        "--format=%(refname:short)",
        "refs/heads/depickle",
    ];
    let branch = git(&shop, &list);
    git(&shop, &["checkout", "-q", branch.trim()]);
    home.write(&format!("shop/{file}"), text);
    git(&shop, &["commit", "-q", "-a", "-m", "by hand"]);
    git(&shop, &["checkout", "-q", "main"]);
}

#[test]
fn applications_of_every_framework_are_proven() {
    let home = Home::new();
    for case in case::all().into_iter().flatten() {
        if CASES.contains(&case.name.as_str()) {
            let asked = format!("{:?}", case.order());
            assert_eq!(asked, format!("{:?}", depickle::plan::Order::default()));
            let files = case
                .before
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_str()));
            home.repo(&case.name.replace('/', "-"), &files.collect::<Vec<_>>());
        }
    }
    let names: Vec<String> = CASES.iter().map(|name| name.replace('/', "-")).collect();
    let mut args = vec!["stage", "-q"];
    args.extend(names.iter().map(String::as_str));
    assert_eq!(code(&home.run(&args)), 0);
    let runs = home.json(&["runs", "--format", "json"]);
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let python = venv::python().to_str().unwrap();
    let args = [
        "verify",
        "--run",
        run,
        "--execute",
        "--format",
        "json",
        "--python",
        python,
    ];
    let output = home.run(&args);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = value["projects"].as_array().unwrap();
    assert_eq!(rows.len(), CASES.len());
    for row in rows {
        let findings = row["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{row:#}");
        for finding in findings {
            assert_eq!(finding["verdict"], "proven", "{row:#}");
            assert_eq!(finding["gone"], true);
        }
    }
    assert_eq!(code(&output), 0);
}

#[test]
fn the_demo_is_proven_and_its_proof_is_on_record() {
    let home = Home::new();
    assert_eq!(code(&home.run(&["demo", "--keep", "."])), 0);
    assert_eq!(code(&home.run(&["stage", "-q", "shop"])), 0);
    // Nothing is run unless it is asked for.
    let output = home.run(&["verify", "shop"]);
    assert!(stdout(&output).contains("4 of 4 loads are gone, none is new\n"));
    assert!(stderr(&output).is_empty());
    let (output, value) = executed(&home, &[]);
    assert_eq!(code(&output), 0, "{value:#}");
    assert!(stderr(&output).contains("runs the application of shop as it was"));
    let findings = value["projects"][0]["findings"].as_array().unwrap();
    let proven = |finding: &&Value| finding["verdict"] == "proven";
    assert_eq!(findings.iter().filter(proven).count(), 4, "{value:#}");
    let journal = std::fs::read_dir(home.path("state/runs")).unwrap();
    let texts: Vec<String> = journal
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("## Proof") && text.contains("4 proven"))
    );
    // What says less of the same commit does not take its place.
    let entries = home.entries();
    assert_eq!(code(&home.run(&["verify", "shop"])), 0);
    assert_eq!(home.entries(), entries);
}

#[test]
fn applications_are_found_where_they_stand() {
    let load = "    return str(len(pickle.loads(request.get_data())[\"items\"]))\n";
    let blueprint = format!(
        "import pickle\n\nfrom flask import Blueprint, request\n\ncarts = Blueprint(\"carts\", __name__)\n\n\n@carts.post(\"/load/<uuid:cart>\")\ndef load(cart):\n{load}"
    );
    let factory = "from flask import Flask\n\nfrom .carts import carts\n\n\ndef create_app(settings=None):\n    app = Flask(__name__)\n    app.register_blueprint(carts, url_prefix=\"/shop\")\n    return app\n";
    let view = "import pickle\n\nfrom django.http import HttpResponse\n\n\ndef load(request):\n    return HttpResponse(str(len(pickle.loads(request.body)[\"items\"])))\n";
    let settings = "SECRET_KEY = \"x\"\nROOT_URLCONF = \"site_.urls\"\nDEBUG = False\nINSTALLED_APPS = [\"carts\"]\nMIDDLEWARE = [\"django.middleware.security.SecurityMiddleware\", \"django.middleware.csrf.CsrfViewMiddleware\"]\n";
    let manage =
        "import os\nos.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"site_.settings\")\n";
    let urls = "from django.urls import include, path\nurlpatterns = [path(\"shop/\", include(\"carts.urls\"))]\n";
    let own = "from django.urls import path\nfrom . import views\nurlpatterns = [path(\"load/<int:n>\", views.load)]\n";
    let own = own.replace("load/<int:n>", "load");
    let layouts: [&[(&str, &str)]; 3] = [
        &[
            ("src/shop/__init__.py", factory),
            ("src/shop/carts.py", &blueprint),
        ],
        // Modules that are named as this program's own parts are.
        &[
            ("backend/driver.py", &blueprint),
            (
                "backend/app.py",
                "from flask import Flask\nfrom driver import carts\napp = Flask(__name__)\napp.register_blueprint(carts)\n",
            ),
            ("backend/sandbox.py", "1 / 0\n"),
        ],
        &[
            ("manage.py", manage),
            ("site_/__init__.py", ""),
            ("site_/settings.py", settings),
            ("site_/urls.py", urls),
            ("carts/__init__.py", ""),
            ("carts/urls.py", &own),
            ("carts/views.py", view),
        ],
    ];
    for files in layouts {
        let home = staged(files);
        let (_, value) = executed(&home, &[]);
        assert_eq!(only(&value).0, "proven", "{value:#}");
        assert_eq!(
            value["projects"][0]["findings"][0]["proofs"][0]["same_for_good"],
            true
        );
    }
}

#[test]
fn a_fix_that_falls_back_to_pickle_is_disproven() {
    let home = staged(&[("app.py", GUIDE)]);
    let wrong = GUIDE
        .replace("import pickle\n", "import json\nimport pickle\n")
        .replace(
            "    unpickled_data = pickle.loads(data)\n",
            "    try:\n        unpickled_data = json.loads(data)\n    except ValueError:\n        unpickled_data = pickle.loads(data)\n",
        );
    amend(&home, "app.py", &wrong);
    let output = home.run(&["verify", "shop"]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("app.py:11  pickle.loads  still there\n"));
    let (output, value) = executed(&home, &[]);
    assert_eq!(code(&output), 1);
    assert_eq!(only(&value), ("disproven", Some("attack-runs")));
}

#[test]
fn a_fix_that_answers_500_or_refuses_good_data_is_disproven() {
    let home = staged(&[("app.py", GUIDE)]);
    let fixed = git(
        &home.path("shop"),
        &["show", "depickle/pickle-to-json:app.py"],
    );
    amend(
        &home,
        "app.py",
        &fixed.replace("(ValueError, RecursionError)", "json.JSONDecodeError"),
    );
    let (output, value) = executed(&home, &[]);
    assert_eq!(
        (code(&output), only(&value)),
        (1, ("disproven", Some("wrong-answer")))
    );
    amend(
        &home,
        "app.py",
        &fixed.replace("    try:\n", "    data = b\"\"\n    try:\n"),
    );
    let (output, value) = executed(&home, &[]);
    assert_eq!(
        (code(&output), only(&value)),
        (1, ("disproven", Some("good-data-refused")))
    );
    amend(&home, "app.py", &format!("import nowhere\n{fixed}"));
    let (output, value) = executed(&home, &[]);
    assert_eq!(
        (code(&output), only(&value)),
        (1, ("disproven", Some("after-broken")))
    );
}

#[test]
fn a_load_that_came_with_the_branch_is_new() {
    let home = staged(&[("app.py", GUIDE)]);
    let fixed = git(
        &home.path("shop"),
        &["show", "depickle/pickle-to-json:app.py"],
    );
    let more = "\n\n@app.route(\"/more\", methods=[\"POST\"])\ndef more():\n    import pickle\n\n    return str(pickle.loads(request.data))\n";
    amend(&home, "app.py", &format!("{fixed}{more}"));
    let output = home.run(&["verify", "shop"]);
    assert_eq!(code(&output), 1);
    assert!(
        stdout(&output).contains("pickle.loads  new\n"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains("1 of 1 loads are gone, 1 new"));
}

#[test]
fn what_cannot_be_run_is_not_run_and_never_proven() {
    let top = |line: &str| format!("{line}\n{GUIDE}");
    for (text, reason) in [
        (top("import nowhere_to_be_found"), "dependency-missing"),
        (top("int('not a number')"), "not-importable"),
        (top("import os; os.environ['SHOP_KEY']"), "needs-a-setting"),
        (top("import socket; socket.create_connection(('127.0.0.1', 1))"), "needs-a-service"),
        (top("import os; os.kill(os.getpid(), 9)"), "ended"),
        (top("bytearray(8 << 30)"), "not-importable"),
        (format!("{GUIDE}\n\ndel app\n"), "no-app"),
        (GUIDE.replace("data = request.get_data()", "data = request.get_data()\n    if not request.headers.get('X'):\n        return 'no', 403"), "attack-did-not-run"),
        (GUIDE.replace("    data =", "    import os\n    os.kill(os.getpid(), 9)\n    data ="), "ended"),
    ] {
        let home = staged(&[("app.py", &text)]);
        let (output, value) = executed(&home, &[]);
        assert_eq!(only(&value), ("not-run", Some(reason)), "{value:#}");
        assert_eq!(code(&output), 3);
    }
}

#[test]
fn a_clone_is_proven_with_the_files_that_it_has() {
    let home = Home::new();
    let served = home.repo("served", &[("app.py", GUIDE), ("logo.svg", "<svg/>")]);
    git(&served, &["config", "uploadpack.allowFilter", "true"]);
    git(
        &served,
        &["config", "uploadpack.allowAnySHA1InWant", "true"],
    );
    let url = format!("file://{}", served.display());
    assert_eq!(code(&home.run(&["stage", "-q", &url])), 0);
    let runs = home.json(&["runs", "--format", "json"]);
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let python = venv::python().to_str().unwrap();
    let args = ["verify", "--run", run, "--execute", "--python", python];
    let output = home.run(&args);
    assert!(
        stdout(&output).contains("1 of 1 loads are gone, none is new; 1 proven\n"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).contains("not copied: 1 ("));
}

#[test]
fn what_the_environment_lacks_can_be_given() {
    let home = staged(&[(
        "app.py",
        &format!("import os; os.environ['SHOP_KEY']\n{GUIDE}"),
    )]);
    let (output, value) = executed(&home, &["--env", "SHOP_KEY=a=b"]);
    assert_eq!((code(&output), only(&value)), (0, ("proven", None)));
}

#[test]
fn a_route_that_is_gone_proves_nothing() {
    let home = staged(&[("app.py", GUIDE)]);
    let fixed = git(
        &home.path("shop"),
        &["show", "depickle/pickle-to-json:app.py"],
    );
    amend(&home, "app.py", &fixed.replace("\"/load\"", "\"/loads\""));
    let (output, value) = executed(&home, &[]);
    assert_eq!(
        (code(&output), only(&value)),
        (1, ("disproven", Some("wrong-answer")))
    );
}

#[test]
fn an_application_that_hangs_is_ended() {
    let home = staged(&[("app.py", &format!("import time\ntime.sleep(600)\n{GUIDE}"))]);
    let (output, value) = executed(&home, &["--timeout", "2"]);
    assert_eq!(only(&value), ("not-run", Some("timed-out")));
    assert_eq!(code(&output), 3);
}

#[test]
fn an_application_finds_no_secret_and_leaves_nothing_behind() {
    let home = Home::new();
    let beat = home.path("beat");
    // A daemon that leaves its group and its session.
    let daemon = format!(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True:\n            open({beat:?}, 'a').write('x')\n            time.sleep(0.01)\n    os._exit(0)\nassert 'DEPICKLE_STATE_DIR' not in os.environ\nassert not os.listdir(os.environ['HOME']), os.listdir(os.environ['HOME'])\n"
    );
    home.repo("shop", &[("app.py", &format!("{daemon}{GUIDE}"))]);
    assert_eq!(code(&home.run(&["stage", "-q", "shop"])), 0);
    let (_, value) = executed(&home, &[]);
    assert_eq!(only(&value).0, "proven", "{value:#}");
    let length = |path: &Path| std::fs::metadata(path).unwrap().len();
    let then = length(&beat);
    assert!(then > 0);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(length(&beat), then, "the daemon is still there");
}

#[test]
fn an_application_has_no_network_or_it_is_said() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let call = format!(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 2)\nexcept OSError:\n    pass\n"
    );
    home.repo("shop", &[("app.py", &format!("{call}{GUIDE}"))]);
    assert_eq!(code(&home.run(&["stage", "-q", "shop"])), 0);
    let (_, value) = executed(&home, &[]);
    assert_eq!(only(&value).0, "proven", "{value:#}");
    let proof = &value["projects"][0]["findings"][0]["proofs"][0];
    let came = listener.accept().is_ok();
    assert_eq!(came, !proof["open_network"].is_null(), "{value:#}");
}

#[test]
fn without_a_branch_there_is_nothing_to_verify() {
    let home = Home::new();
    home.repo("shop", &[("app.py", GUIDE)]);
    let output = home.run(&["verify", "shop"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no run has staged a branch there, or applied its change"));
    assert_eq!(
        code(&home.run(&["verify", "--run", "20260101T000000-0000"])),
        2
    );
}

#[test]
fn applications_are_found_as_each_framework_starts_them() {
    let pyramid = "import pickle\n\nfrom pyramid.config import Configurator\nfrom pyramid.response import Response\n\n\ndef load(request):\n    return Response(str(len(pickle.loads(request.body))))\n\n\ndef main(global_config, **settings):\n    config = Configurator(settings=settings)\n    config.add_route(\"load\", \"/cart\")\n    config.add_view(load, route_name=\"load\")\n    return config.make_wsgi_app()\n";
    let cherrypy = "import pickle\n\nimport cherrypy\n\n\nclass Carts:\n    @cherrypy.expose\n    def load(self):\n        return str(len(pickle.loads(cherrypy.request.body.read())))\n\n\nclass Root:\n    carts = Carts()\n\n\ncherrypy.tree.mount(Root(), \"/shop\")\n\nif __name__ == \"__main__\":\n    cherrypy.engine.start()\n";
    let quickstart = "import pickle\n\nimport cherrypy\n\n\nclass Carts:\n    @cherrypy.expose\n    def load(self):\n        return str(len(pickle.loads(cherrypy.request.body.read())))\n\n\nif __name__ == \"__main__\":\n    cherrypy.quickstart(Carts())\n";
    let twisted = "import pickle\n\nfrom twisted.internet import reactor\nfrom twisted.web.resource import Resource\nfrom twisted.web.server import Site\n\n\nclass Carts(Resource):\n    isLeaf = True\n\n    def render_POST(self, request):\n        return str(len(pickle.loads(request.content.read()))).encode()\n\n\nroot = Resource()\nroot.putChild(b\"cart\", Carts())\nsite = Site(root)\n\nif __name__ == \"__main__\":\n    reactor.listenTCP(8080, site)\n    reactor.run()\n";
    // Several handlers behind one application that tells them apart itself.
    let server = "import pickle\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n\n\nclass Handler(BaseHTTPRequestHandler):\n    def do_POST(self):\n        body = self.rfile.read(int(self.headers[\"Content-Length\"]))\n        if self.path == \"/load\":\n            cart = pickle.loads(body)\n            self.send_response(200 if cart else 404)\n        else:\n            self.send_response(200)\n        self.end_headers()\n\n\nif __name__ == \"__main__\":\n    HTTPServer((\"\", 8000), Handler).serve_forever()\n";
    let azure = "import pickle\n\nimport azure.functions as func\n\napp = func.FunctionApp()\n\n\n@app.route(route=\"other\")\ndef other(req: func.HttpRequest) -> func.HttpResponse:\n    return func.HttpResponse(\"other\")\n\n\n@app.route(route=\"carts/{id:int}\")\ndef load(req: func.HttpRequest) -> func.HttpResponse:\n    return func.HttpResponse(req.route_params[\"id\"] + str(len(pickle.loads(req.get_body()))))\n";
    for text in [pyramid, cherrypy, quickstart, twisted, server, azure] {
        let home = staged(&[("app.py", text)]);
        let (output, value) = executed(&home, &[]);
        assert_eq!(
            only(&value),
            ("proven", None),
            "{value:#}\n{}",
            stderr(&output)
        );
    }
}

/// A folder with what stands for PyTorch: it reads the two kinds of files that PyTorch does, as PyTorch does.
fn with_torch(home: &Home) -> String {
    let torch = "import pickle\nimport zipfile\n\n\nclass Weights(pickle.Unpickler):\n    def find_class(self, module, name):\n        raise pickle.UnpicklingError('Weights only load failed')\n\n\ndef load(f, map_location=None, weights_only=False):\n    try:\n        f = zipfile.ZipFile(f).open('archive/data.pkl')\n    except zipfile.BadZipFile:\n        f.seek(0)\n    return Weights(f).load() if weights_only else pickle.load(f)\n";
    home.write("modules/torch.py", torch);
    format!("PYTHONPATH={}", home.path("modules").display())
}

#[test]
fn checkpoints_are_attacked_as_archives_and_as_pickles() {
    let app = GUIDE
        .replace("import pickle\n", "import torch\n")
        .replace("request.get_data()", "request.files[\"model\"].stream")
        .replace(
            "pickle.loads(data)",
            "torch.load(data, map_location=\"cpu\")",
        );
    let home = staged(&[("app.py", &app)]);
    let (_, value) = executed(&home, &[]);
    assert_eq!(
        only(&value),
        ("not-run", Some("dependency-missing")),
        "{value:#}"
    );
    let (_, value) = executed(&home, &["--env", &with_torch(&home)]);
    assert_eq!(only(&value), ("proven", None), "{value:#}");
    let proof = &value["projects"][0]["findings"][0]["proofs"][0];
    assert_eq!(
        proof["ran_before"],
        serde_json::json!(["archive", "pickle"])
    );
    assert_eq!(proof["same_for_good"], true, "{value:#}");
    amend(&home, "app.py", &app);
    let (output, value) = executed(&home, &["--env", &with_torch(&home)]);
    assert_eq!(
        (code(&output), only(&value)),
        (1, ("disproven", Some("attack-runs")))
    );
}

#[test]
fn other_formats_are_held_to_their_own_attacks() {
    let of = |module: &str, call: &str, options: &str| {
        GUIDE
            .replace("import pickle\n", &format!("import {module}\n"))
            .replace(
                "pickle.loads(data)",
                &format!("{module}.{call}(data{options})"),
            )
    };
    // Nothing runs where marshal reads; it only has to be refused.
    let marshal = of("marshal", "loads", "");
    let home = staged(&[("app.py", &marshal)]);
    let (_, value) = executed(&home, &[]);
    assert_eq!(only(&value).0, "proven", "{value:#}");
    let said = value["projects"][0]["findings"][0]["proofs"][0]["message"].to_string();
    assert!(
        said.contains("reading it runs nothing") && said.contains("400"),
        "{said}"
    );
    let both = "import json\nimport marshal\n".to_owned();
    let both = marshal.replace("import marshal\n", &both).replace(
        "    unpickled_data = marshal.loads(data)\n",
        "    try:\n        unpickled_data = json.loads(data)\n    except (ValueError, RecursionError):\n        unpickled_data = marshal.loads(data)\n",
    );
    amend(&home, "app.py", &both);
    let (output, value) = executed(&home, &[]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        only(&value),
        ("disproven", Some("wrong-answer")),
        "{value:#}"
    );

    // What only reads pickles as `pickle` does gets pickles.
    for module in ["dill", "cloudpickle"] {
        let home = staged(&[("app.py", &of(module, "loads", ""))]);
        let (_, value) = executed(&home, &[]);
        assert_eq!(
            only(&value),
            ("not-run", Some("dependency-missing")),
            "{value:#}"
        );
        home.write(&format!("modules/{module}.py"), "from pickle import *\n");
        let modules = format!("PYTHONPATH={}", home.path("modules").display());
        let (_, value) = executed(&home, &["--env", &modules]);
        assert_eq!(only(&value), ("proven", None), "{value:#}");
    }

    // What a document of jsonpickle's says is plain data afterwards, whatever it is answered with.
    let home = staged(&[("app.py", &of("jsonpickle", "decode", ".decode()"))]);
    let (_, value) = executed(&home, &[]);
    assert_eq!(only(&value).0, "proven", "{value:#}");
    let proof = &value["projects"][0]["findings"][0]["proofs"][0];
    assert_eq!(
        proof["ran_before"],
        serde_json::json!(["object", "reduce"]),
        "{proof}"
    );
    assert!(
        proof["message"].to_string().contains("read as plain data"),
        "{proof}"
    );
}

#[test]
fn runs_of_several_commits_and_of_plans_are_proven() {
    let home = Home::new();
    let other = GUIDE
        .replace("/load", "/other")
        .replace("def load", "def other");
    let other = other.replace("app = Flask(__name__)", "from app import app");
    home.repo("shop", &[("app.py", GUIDE), ("more.py", &other)]);
    assert_eq!(
        code(&home.run(&["stage", "-q", "shop", "--split", "file"])),
        0
    );
    let runs = home.json(&["runs", "--format", "json"]);
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let python = venv::python().to_str().unwrap();
    let verify = |run: &str| {
        let args = ["verify", "--run", run, "--execute", "--python", python];
        let output = home.run(&args);
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert!(
            stdout(&output).contains("2 of 2 loads are gone, none is new; 2 proven\n"),
            "{}",
            stdout(&output)
        );
    };
    verify(run);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    assert_eq!(
        code(&home.run(&["diff", "-q", "shop", "--save", "plan.json"])),
        1
    );
    assert_eq!(code(&home.run(&["stage", "-q", "--plan", "plan.json"])), 0);
    let runs = home.json(&["runs", "--format", "json"]);
    verify(runs["runs"][0]["run"].as_str().unwrap());
}

#[test]
fn what_was_applied_in_place_is_proven() {
    // With git and without.
    for git_too in [true, false] {
        let home = Home::new();
        home.write("shop/.venv/pyvenv.cfg", "");
        home.write("shop/src/app.py", GUIDE);
        home.write("shop/README.md", "a shop\n");
        if git_too {
            home.write("shop/.gitignore", ".venv\n");
            home.repo("shop", &[]);
        }
        assert_eq!(code(&home.run(&["apply", "-q", "shop"])), 0);
        let output = home.run(&["verify", "shop"]);
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert!(
            stdout(&output).ends_with("1 of 1 loads are gone, none is new\n"),
            "{}",
            stdout(&output)
        );
        assert!(stdout(&output).starts_with("shop  in place\n"));
        let (output, value) = executed(&home, &[]);
        assert_eq!(
            (code(&output), only(&value)),
            (0, ("proven", None)),
            "{value:#}"
        );
        assert!(stderr(&output).contains("the application of shop as it was and as it is now"));
        // Somebody's own work on it is seen.
        home.write("shop/src/app.py", GUIDE);
        let (output, value) = executed(&home, &[]);
        assert_eq!(
            (code(&output), only(&value).0),
            (1, "disproven"),
            "{value:#}"
        );
        assert_eq!(value["projects"][0]["findings"][0]["gone"], false);
        assert!(
            value["projects"][0]["notes"]
                .to_string()
                .contains("not as the run left them")
        );
    }
    // What is taken back is not there to be verified.
    let home = Home::new();
    home.write("shop/app.py", GUIDE);
    assert_eq!(code(&home.run(&["apply", "-q", "shop"])), 0);
    assert_eq!(code(&home.run(&["rollback"])), 0);
    let output = home.run(&["verify", "shop"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("no run has staged a branch there, or applied its change"));
    let runs = home.json(&["runs", "--format", "json"]);
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let output = home.run(&["stage", "--resume", run]);
    assert_eq!(code(&output), 2);
}
