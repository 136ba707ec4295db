import base64
import pickle

from flask import Flask, jsonify, request

from store.cache import price_list
from store.orders import read_order

app = Flask(__name__)


@app.route("/cart", methods=["POST"])
def save_cart():
    data = request.get_data()
    cart = pickle.loads(data)
    return jsonify(saved=len(cart["items"]))


@app.route("/cart")
def show_cart():
    raw = request.cookies.get("cart", "")
    return jsonify(total=sum(pickle.loads(base64.b64decode(raw))["prices"]))


@app.route("/import", methods=["POST"])
def import_catalogue():
    upload = request.files["catalogue"]
    catalogue = pickle.load(upload)
    return jsonify(imported=len(catalogue))


@app.route("/orders", methods=["POST"])
def place_order():
    order = read_order(request.get_data())
    return jsonify(ordered=order["items"], prices=price_list())
