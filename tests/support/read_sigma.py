"""Reads Sigma rules, a list of texts in JSON, as pySigma does, and prints what its backends make of each of them."""

import json
import sys

from sigma.backends.elasticsearch import EqlBackend, LuceneBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection

made = []
for text in json.load(sys.stdin):
    rules = SigmaCollection.from_yaml(text)
    assert not rules.errors, rules.errors
    made.append({backend.__name__: backend().convert(rules) for backend in (SplunkBackend, LuceneBackend, EqlBackend)})
json.dump(made, sys.stdout)
