#!/bin/sh
# Makes docs/summary-page.png: a run over repositories in every state, as its summary page shows it.
# Usage: docs/summary-page.sh [DEPICKLE]; needs git, Chromium and, to make the picture smaller, pngquant if it is there.
set -eu

depickle=$(realpath "${1:-target/release/depickle}")
picture=$(realpath "$(dirname "$0")")/summary-page.png
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export DEPICKLE_STATE_DIR="$folder/state" SOURCE_DATE_EPOCH=1795392000

repository() {
    git -C "$1" init -q -b main
    git -C "$1" add .
    git -C "$1" -c user.name=A -c user.email=a@example.org commit -q -m start
}

mkdir -p shop/store pay reports billing wiki
cat > shop/app.py <<'PY'
import base64
import pickle

from flask import Flask, jsonify, make_response, request

from store.orders import read_order

app = Flask(__name__)


@app.route("/save", methods=["POST"])
def save():
    response = make_response("saved")
    cart = {"items": request.form.getlist("item")}
    response.set_cookie("cart", base64.b64encode(pickle.dumps(cart)).decode())
    return response


@app.route("/cart")
def cart():
    cart = pickle.loads(base64.b64decode(request.cookies["cart"]))
    return jsonify(n=len(cart["items"]))


@app.route("/orders", methods=["POST"])
def orders():
    order = read_order(request.get_data())
    return jsonify(total=order["total"])
PY
touch shop/store/__init__.py
cat > shop/store/orders.py <<'PY'
import pickle


def read_order(raw):
    order = pickle.loads(raw)
    return order
PY
cat > pay/app.py <<'PY'
import yaml
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/rules")
async def rules(request: Request):
    rules = yaml.load(await request.body(), Loader=yaml.Loader)
    return {"n": len(rules)}
PY
cat > reports/worker.py <<'PY'
import pickle
import socketserver


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        job = pickle.load(self.rfile)
        job.run()
PY
cp pay/app.py billing/app.py
printf 'import pickle\nprint pickle.loads(x)\n' > billing/old.py
printf 'print("nothing to see")\n' > wiki/app.py
for name in shop pay reports billing wiki; do repository "$name"; done

"$depickle" stage shop pay reports billing wiki gone -q --report html=run.html > /dev/null || test $? = 3
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 --window-size=1280,1500 \
    --user-data-dir="$folder/browser" --screenshot="$picture" "file://$folder/run.html" 2> /dev/null
if command -v pngquant > /dev/null; then
    pngquant --force --output "$picture" 64 "$picture"
fi
