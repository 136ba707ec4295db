"""Orders, as clients send them."""

import pickle


def read_order(raw):
    order = pickle.loads(raw)
    order.setdefault("note", "")
    return order
