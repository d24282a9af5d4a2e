"""Mistakes in ``limits``: what the operator is told, and where."""

from __future__ import annotations

import pytest

from tests.unit.config.configuration import FILES, Write
from tests.unit.config.test_config_wrong import TRUNK, Case, told

CASES: dict[str, Case] = {
    "rates of users where there are none": (
        TRUNK, "srtp: accept", "limits: {rates_per_user: {invite: 1/s}}",
        [
            "trunks.d/carrier.yaml:11:10: error: nobody proves here to be a user of ours"
            " | write rates_per_source, or `phones: true` if they are users of the registrar"
        ],
    ),
    "a rate of what has none": (
        TRUNK, "srtp: accept", "limits: {rates: {bye: 1/s}}",
        [
            "trunks.d/carrier.yaml:11:18: error: 'bye' has no rate"
            " | write invite, register, options, message, notify, subscribe, publish, refer, info or other"
        ],
    ),
    "a limit that has another name": (
        TRUNK, "srtp: accept", "limits: {messages: 10}",
        [
            "trunks.d/carrier.yaml:11:10: error: unknown key 'messages'"
            " | write rates: {message: 10/s, notify: 10/s}"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_mistake(write: Write, case: Case) -> None:
    path, right, wrong, expected = case
    assert FILES[path].count(right) == 1, "the case does not fit the file"
    assert told(write, {path: FILES[path].replace(right, wrong)}) == expected
