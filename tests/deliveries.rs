//! What is derived of the way of untrusted data, held against the `request` block of every case that has one.

#[path = "support/case.rs"]
mod case;

use case::{Case, Request};
use depickle::pack::Model;
use depickle::project::Project;
use depickle::prove::{Channel, Delivery, Obstacle, deliveries};

/// Cases whose request is derived, of those that have one.
const DERIVED: usize = 187;

fn derived(case: &Case, model: &Model) -> Vec<Result<Delivery, Obstacle>> {
    let files = case.before.iter();
    let files = files.map(|(path, text)| (path.clone(), text.clone().into_bytes()));
    let project = Project::new(files, Vec::new());
    let checked = depickle::migrate(&project, model, &case.order(), None);
    let findings = checked.findings.iter();
    findings
        .flat_map(|finding| deliveries(&project, model, finding))
        .collect()
}

/// Whether `made` brings data where `wanted` does. Of an application that is the handler itself, any path does.
fn same(made: &Delivery, wanted: &Request, model: &Model) -> bool {
    let name = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
    let wrapping: Vec<String> = made
        .wrapping
        .iter()
        .map(|encoding| {
            let word = serde_json::to_value(encoding).expect("a word");
            word.as_str().expect("a word").to_owned()
        })
        .collect();
    let framework = model.frameworks.iter().find(|f| f.id == made.framework);
    let anywhere = framework.is_some_and(|f| f.serves.iter().any(|serve| serve.handler));
    made.channel.word() == wanted.channel
        && (name(&made.name) == name(&wanted.name) || made.channel == Channel::Body)
        && made.method == wanted.method
        && (made.path == wanted.path || anywhere)
        && wrapping == wanted.wrap
}

/// What is derived for the only handler of a small Flask application, whose body reads `value`.
fn of_flask(route: &str, value: &str) -> Result<Delivery, Obstacle> {
    let code = format!(
        "import base64, json, pickle, zlib\nfrom flask import Flask, request\nfrom flask_login import login_required\n\napp = Flask(__name__)\n\n\n{route}\ndef load(part=None):\n    return str(pickle.loads({value})[\"items\"])\n"
    );
    of_files(&[("app.py", &code)])
}

fn of_files(files: &[(&str, &str)]) -> Result<Delivery, Obstacle> {
    let files = files.iter();
    let files = files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    let project = Project::new(files, Vec::new());
    let model = Model::builtin().expect("packs");
    let order = depickle::plan::Order::default();
    let checked = depickle::migrate(&project, &model, &order, None);
    let [finding] = checked.findings.as_slice() else {
        panic!("{} findings", checked.findings.len());
    };
    let mut made = deliveries(&project, &model, finding);
    assert_eq!(made.len(), 1);
    made.remove(0)
}

const POST: &str = r#"@app.route("/a/<int:n>", methods=["POST"])"#;

#[test]
fn what_is_not_understood_is_not_derived() {
    let changed = |value: &str| match of_flask(POST, value) {
        Err(Obstacle::Changed(_)) => {}
        other => panic!("{value}: {other:?}"),
    };
    changed("request.get_data()[4:]");
    changed(r#"base64.b64decode(request.form["a"], b"-_")"#);
    changed("zlib.decompress(request.get_data(), 31)");
    changed(r#"request.form["a"].replace("x", "y").encode()"#);
    changed(r#"request.form["a"].split(".")[1].encode()"#);
    changed(r#"request.form["a"][1:].encode()"#);
    changed("unheard_of(request.get_data())");
    let obstacle = |route: &str, value: &str| of_flask(route, value).unwrap_err();
    assert_eq!(
        obstacle(&format!("{POST}\n@login_required"), "request.data"),
        Obstacle::Login("login_required".into())
    );
    assert_eq!(
        obstacle("@app.route(PREFIX + \"/a\")", "request.data"),
        Obstacle::NoRoute
    );
    assert_eq!(
        obstacle(POST, "request.form[request.args[\"k\"]].encode()"),
        Obstacle::NoName
    );
    changed(r#"request.get_json()["a"]["b"].encode()"#);
}

#[test]
fn a_field_of_a_json_body_is_derived() {
    for value in [
        "base64.b64decode(request.get_json()[\"cart\"])",
        "base64.b64decode(request.json.get(\"cart\", \"\"))",
        "base64.b64decode(json.loads(request.get_data())[\"cart\"])",
    ] {
        let made = of_flask(POST, value).expect("a delivery");
        assert_eq!(
            (made.channel, made.name.as_deref()),
            (Channel::Json, Some("cart")),
            "{value}"
        );
    }
}

#[test]
fn a_path_that_is_registered_twice_or_is_a_pattern_is_not_derived() {
    let view = "import pickle\nfrom django.views import View\n\n\nclass Load(View):\n    def post(self, request):\n        return pickle.loads(request.body)\n";
    let with = |urls: &str| of_files(&[("views.py", view), ("urls.py", urls)]);
    let once = "from django.urls import path\nfrom views import Load\nurlpatterns = [path(\"load/<uuid:a>\", Load.as_view())]\n";
    let made = with(once).expect("a delivery");
    assert_eq!(made.path, "/load/12345678-1234-4234-8234-123456789abc");
    let twice = format!("{once}urlpatterns += [path(\"more\", Load.as_view())]\n");
    assert_eq!(with(&twice).unwrap_err(), Obstacle::NoRoute);
    let pattern = once.replace("load/<uuid:a>", "/load/.*");
    assert_eq!(with(&pattern).unwrap_err(), Obstacle::NoRoute);
}

#[test]
fn the_form_of_the_value_is_read_off_its_uses() {
    let made = of_flask(POST, "request.data").expect("a delivery");
    assert_eq!((made.path.as_str(), made.method.as_str()), ("/a/1", "POST"));
    assert_eq!(made.sample.to_string(), r#"{"items":1}"#);
    let code = "import pickle\nfrom flask import Flask, request\napp = Flask(__name__)\n\ndef read(raw):\n    cart = pickle.loads(raw)\n    cart.setdefault(\"note\", \"\")\n    return cart\n\n@app.post(\"/a\")\ndef load():\n    cart = read(request.data)\n    for item in cart[\"items\"]:\n        print(item[\"price\"] * 2, item[\"name\"].upper())\n    return str(sum(cart.get(\"prices\")))\n";
    let made = of_files(&[("app.py", code)]).expect("a delivery");
    assert_eq!(
        made.sample.to_string(),
        r#"{"items":[{"name":"tea","price":1}],"note":1,"prices":[1]}"#
    );
}

/// Channel, name, method and path of what is derived.
fn briefly(files: &[(&str, &str)]) -> (&'static str, Option<String>, String, String) {
    let made = of_files(files).expect("a delivery");
    (made.channel.word(), made.name, made.method, made.path)
}

fn brief(
    channel: &'static str,
    name: Option<&str>,
    method: &str,
    path: &str,
) -> (&'static str, Option<String>, String, String) {
    let name = name.map(str::to_owned);
    (channel, name, method.to_owned(), path.to_owned())
}

#[test]
fn fields_that_the_code_takes_apart_itself_are_derived() {
    let server = |verb: &str, value: &str| {
        format!(
            "import base64, pickle\nfrom http.server import BaseHTTPRequestHandler\nfrom urllib.parse import parse_qs, urlparse\n\nclass Handler(BaseHTTPRequestHandler):\n    def do_{verb}(self):\n        {value}\n"
        )
    };
    let query = "fields = parse_qs(urlparse(self.path).query)\n        pickle.loads(base64.b64decode(fields[\"cart\"][0]))";
    let made = briefly(&[("app.py", &server("GET", query))]);
    assert_eq!(made, brief("query", Some("cart"), "GET", "/"));
    let body = "body = self.rfile.read(int(self.headers[\"Content-Length\"]))\n        pickle.loads(base64.b64decode(parse_qs(body.decode())[\"cart\"][-1]))";
    let made = briefly(&[("app.py", &server("POST", body))]);
    assert_eq!(made, brief("form", Some("cart"), "POST", "/"));
    // Which of several values, or what of all fields, is not guessed.
    for other in [
        "fields[\"cart\"][2]",
        "fields[\"cart\"][0][1:]",
        "fields[name][0]",
    ] {
        let code = server("GET", &query.replace("fields[\"cart\"][0]", other));
        of_files(&[("app.py", &code)]).expect_err(other);
    }
    let wsgi = "import base64, pickle\nfrom urllib.parse import parse_qs\n\ndef application(environ, start_response):\n    cart = parse_qs(environ[\"QUERY_STRING\"]).get(\"cart\", [\"\"])[0]\n    pickle.loads(base64.b64decode(cart))\n    start_response(\"200 OK\", [])\n    return []\n";
    let made = briefly(&[("app.py", wsgi)]);
    assert_eq!(made, brief("query", Some("cart"), "GET", "/"));
    let code = wsgi.replace(
        "parse_qs(environ[\"QUERY_STRING\"]).get(\"cart\", [\"\"])[0]",
        "environ[\"QUERY_STRING\"]",
    );
    of_files(&[("app.py", &code)]).expect_err("the query as a whole");
}

#[test]
fn names_lead_to_paths() {
    let view = "import pickle\nfrom pyramid.view import view_config\n\n@view_config(route_name=\"load\")\ndef load(request):\n    return pickle.loads(request.body)\n";
    let with = |routes: &str| {
        let main = format!(
            "from pyramid.config import Configurator\n\ndef main(global_config, **settings):\n    config = Configurator()\n    {routes}\n    return config.make_wsgi_app()\n"
        );
        of_files(&[("views.py", view), ("__init__.py", &main)]).map(|made| made.path)
    };
    assert_eq!(
        with("config.add_route(\"load\", \"/cart/{id}\")"),
        Ok("/cart/1".to_owned())
    );
    assert_eq!(
        with("config.add_route(\"load\", pattern=\"cart\")"),
        Ok("/cart".to_owned())
    );
    assert_eq!(
        with("config.add_route(\"other\", \"/cart\")"),
        Err(Obstacle::NoRoute)
    );
    assert_eq!(
        with("config.add_route(name, \"/cart\")"),
        Err(Obstacle::NoRoute)
    );
    let function = "import pickle\nimport azure.functions as func\napp = func.FunctionApp()\n\n@app.route(route=\"cart/{id}\", methods=[\"PUT\"])\ndef load(req: func.HttpRequest):\n    return str(pickle.loads(req.get_body()))\n";
    let made = briefly(&[("app.py", function)]);
    assert_eq!(made, brief("body", None, "PUT", "/cart/1"));
    // The class says where its methods begin.
    let class = "import pickle\nfrom litestar import Controller, Litestar, Request, post\n\nclass Carts(Controller):\n    path = \"/carts\"\n\n    @post(\"/load\")\n    async def load(self, request: Request) -> int:\n        return len(pickle.loads(await request.body()))\n\napp = Litestar([Carts])\n";
    let made = of_files(&[("app.py", class)]).expect("a delivery");
    assert_eq!(
        (made.path.as_str(), made.prefixes),
        ("/load", vec!["/carts".to_owned()])
    );
    // A method's name is its path, and that of an object of its class comes before.
    let mounted = "import pickle\nimport cherrypy\n\nclass Carts:\n    @cherrypy.expose\n    def load(self, cart):\n        return str(pickle.loads(cart.encode()))\n\nclass Root:\n    def __init__(self):\n        self.carts = Carts()\n\ncherrypy.tree.mount(Root(), \"/shop\")\n";
    let made = of_files(&[("app.py", mounted)]).expect("a delivery");
    assert_eq!(
        (made.path.as_str(), made.channel),
        ("/load", Channel::Query)
    );
    assert_eq!(
        made.prefixes,
        ["/carts", "/shop", "/carts/shop", "/shop/carts"]
    );
}

#[test]
fn arguments_come_from_where_their_decorator_says() {
    let with = |location: &str| {
        let code = format!(
            "import base64, pickle\nfrom flask import Flask\nfrom webargs import fields\nfrom webargs.flaskparser import use_args\n\napp = Flask(__name__)\n\n@app.post(\"/load\")\n@use_args({{\"cart\": fields.Str()}}{location})\ndef load(args):\n    return str(pickle.loads(base64.b64decode(args[\"cart\"])))\n"
        );
        of_files(&[("app.py", &code)])
    };
    for (location, channel) in [
        ("", Channel::Json),
        (", location=\"form\"", Channel::Form),
        (", location=\"headers\"", Channel::Header),
        (", location=\"cookies\"", Channel::Cookie),
    ] {
        let made = with(location).expect(location);
        assert_eq!(
            (made.channel, made.name.as_deref()),
            (channel, Some("cart"))
        );
    }
    with(", location=\"nowhere\"").expect_err("a location that is not known");
}

#[test]
fn the_field_of_a_message_is_derived_where_only_one_is_read() {
    let with = |body: &str| {
        let code = format!(
            "import pickle\nimport carts_pb2_grpc\nimport grpc\n\nclass Carts(carts_pb2_grpc.CartsServicer):\n    def Load(self, request, context):\n        {body}\n"
        );
        of_files(&[("app.py", &code)])
    };
    let made = with("return pickle.loads(request.cart)").expect("a delivery");
    assert_eq!(
        (made.path.as_str(), made.name.as_deref()),
        ("/Carts/Load", Some("cart"))
    );
    let made =
        with("print(request.user)\n        return pickle.loads(request.cart)").expect("a delivery");
    assert_eq!(made.name.as_deref(), Some("cart"));
    let two = "cart = request.cart\n        print(request.user)\n        return pickle.loads(cart)";
    assert_eq!(with(two).unwrap_err(), Obstacle::NoName);
}

#[test]
fn files_outside_of_the_copy_are_not_written() {
    let with = |path: &str| {
        let code = format!(
            "import pickle\nfrom flask import Flask\napp = Flask(__name__)\n\n@app.get(\"/a\")\ndef load():\n    with open({path:?}, \"rb\") as file:\n        return str(pickle.load(file))\n"
        );
        of_files(&[("app.py", &code)])
    };
    let made = with("state/cart.bin").expect("a delivery");
    assert_eq!(
        (made.channel, made.name.as_deref()),
        (Channel::Kept, Some("state/cart.bin"))
    );
    for path in ["/etc/cart.bin", "../cart.bin"] {
        with(path).expect_err(path);
    }
}

#[test]
fn what_is_derived_is_what_the_cases_send() {
    let model = Model::builtin().expect("packs");
    let (mut agree, mut all) = (0, 0);
    let mut wrong = Vec::new();
    let mut open: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    for case in case::all() {
        let case = case.expect("a case");
        let Some(wanted) = &case.request else {
            continue;
        };
        all += 1;
        let made = derived(&case, &model);
        let good: Vec<&Delivery> = made.iter().flatten().collect();
        if good.iter().any(|made| same(made, wanted, &model)) {
            agree += 1;
        } else if good.is_empty() {
            let why = made.iter().filter_map(|made| made.as_ref().err());
            let why: Vec<String> = why.map(Obstacle::message).collect();
            open.entry(why.join("; "))
                .or_default()
                .push(case.name.clone());
        } else {
            wrong.push(format!("{}: {good:?}\n  instead of {wanted:?}", case.name));
        }
    }
    println!("{agree} of {all} are derived; not derived are {open:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(agree >= DERIVED, "{agree} of {all}");
}
