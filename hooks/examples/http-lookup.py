"""Ask a service to which carrier a number was ported; a rule then asks: when: call.tags == "ported-blue"."""

import json
from urllib.parse import quote
from urllib.request import urlopen

from sbc.hookapi import amend

URL = "http://127.0.0.1:8181/number/"
TIME_LIMIT = 1  # seconds; meanwhile other calls go on
ON_FAILURE = "skip"  # a service that is down must not stop the calls


def on_invite(facts):
    """Tag the call with the carrier's name."""
    with urlopen(URL + quote(facts.ruri_user, safe=""), timeout=0.8) as answer:
        carrier = json.loads(answer.read(4096))["carrier"]
    return amend(tags=(f"ported-{carrier}",))
