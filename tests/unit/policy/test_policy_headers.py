"""The allow-list: what passes, what does not however it is spelled, and what is masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.policy.headers import pass_headers

TRUST = [(False, False), (False, True), (True, False), (True, True)]
EVERYWHERE = [
    "Subject", "Accept", "Accept-Encoding", "Accept-Language",
    "Priority", "Reason", "User-to-User", "Session-ID", "Privacy",
]  # fmt: skip
WITHIN_TRUST = ["P-Early-Media", "Resource-Priority"]
NEVER = """
    Via Record-Route Route Contact Call-ID CSeq From To Max-Forwards Allow Supported Require
    Proxy-Require Session-Expires Min-SE RSeq RAck Event Refer-To Replaces Join Authorization
    Proxy-Authorization WWW-Authenticate Content-Type Content-Length Content-Disposition
    User-Agent Server Organization Date Warning Timestamp Call-Info Error-Info Reply-To
    In-Reply-To Retry-After Identity P-Asserted-Identity P-Preferred-Identity Remote-Party-ID
    P-Charging-Vector     X-Anything v i m f t k l c o r b x
""".split()


def passed(fields: list[tuple[str, str]], trusted_in: bool, trusted_out: bool) -> list[tuple[str, str]]:
    """What passes where hosts are shown to whom is trusted, as it is by certificates."""
    return pass_headers(fields, trusted_in, trusted_out, not trusted_out)


@pytest.mark.parametrize(("trusted_in", "trusted_out"), TRUST)
def test_what_concerns_the_users_passes_everywhere(trusted_in: bool, trusted_out: bool) -> None:
    fields = [(name, "value") for name in EVERYWHERE]
    assert passed(fields, trusted_in, trusted_out) == fields


@pytest.mark.parametrize(("trusted_in", "trusted_out"), TRUST)
@pytest.mark.parametrize("name", WITHIN_TRUST)
def test_assertions_pass_only_between_trusted_legs(name: str, trusted_in: bool, trusted_out: bool) -> None:
    found = passed([(name, "value")], trusted_in, trusted_out)
    assert found == ([(name, "value")] if trusted_in and trusted_out else [])


@pytest.mark.parametrize("name", NEVER)
def test_what_belongs_to_one_leg_never_passes(name: str) -> None:
    assert passed([(name, "value"), (name.upper(), "value"), (name.lower(), "value")], True, True) == []


@pytest.mark.parametrize(
    "name", ["X-Secret ", " Subject", "P-Asserted-Identity ", "Subject\t", "", "subj\u0435ct"]
)
def test_odd_spellings_of_names_are_unknown_names(name: str) -> None:
    assert passed([(name, "value")], True, True) == []


def test_names_are_spelled_anew_and_the_order_is_kept() -> None:
    fields = [
        ("REASON", "Q.850;cause=16"),
        ("s", "hello"),
        ("via", "x"),
        ("priority", "emergency"),
        ("Reason", "b"),
    ]
    assert passed(fields, False, False) == [
        ("Reason", "Q.850;cause=16"), ("Subject", "hello"), ("Priority", "emergency"), ("Reason", "b"),
    ]  # fmt: skip


class TestDiversion:
    VALUE = '"Bob" <sip:+1555@pbx.internal.example:5060;user=phone?Reason=SIP%3Bcause%3D302>;index=1'
    MASKED = '"Bob" <sip:+1555@anonymous.invalid;user=phone?Reason=SIP%3Bcause%3D302>;index=1'

    @pytest.mark.parametrize("name", ["History-Info", "Diversion"])
    def test_hosts_are_masked_for_a_leg_that_is_not_trusted(self, name: str) -> None:
        assert passed([(name, self.VALUE)], True, False) == [(name, self.MASKED)]

    @pytest.mark.parametrize("name", ["History-Info", "Diversion"])
    def test_a_trusted_leg_gets_it_whole(self, name: str) -> None:
        assert passed([(name, self.VALUE)], False, True) == [(name, self.VALUE)]

    def test_an_entry_that_asks_for_privacy_stays_within_trust(self) -> None:
        field = ("History-Info", "<sip:+1555@a.example?Privacy=history>;index=1")
        assert passed([field], True, False) == []
        assert passed([field], True, True) == [field]

    @pytest.mark.parametrize(
        ("value", "masked"),
        [
            (
                "<sip:1@10.0.0.1>,<sip:2@[2001:db8::1]:5061>",
                "<sip:1@anonymous.invalid>,<sip:2@anonymous.invalid>",
            ),
            ("<sip:10.0.0.1:5060;transport=tls>", "<sip:anonymous.invalid;transport=tls>"),
            ("<sips:[2001:db8::1]>;index=1", "<sips:anonymous.invalid>;index=1"),
            ("sip:pbx.internal", "sip:anonymous.invalid"),
            ("<sip:1@[fe80::1%25eth0]>", "<sip:1@anonymous.invalid>"),
            ("<sip:1@[2001:db8::1>;index=1", "<sip:1@anonymous.invalid>;index=1"),
            ("<sip:[2001:db8::1>;index=1", "<sip:anonymous.invalid>;index=1"),
            (
                "<sip:[,<sip:[,<sip:1@[::1]>",
                "<sip:anonymous.invalid,<sip:anonymous.invalid,<sip:1@anonymous.invalid>",
            ),
            ("<tel:+15551234>;index=1", "<tel:+15551234>;index=1"),
        ],
    )
    def test_every_form_of_host_is_masked(self, value: str, masked: str) -> None:
        assert passed([("History-Info", value)], False, False) == [("History-Info", masked)]

    @given(
        st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
        st.from_regex(r"\+?[0-9]{1,12}", fullmatch=True),
    )
    def test_no_host_survives(self, host: str, user: str) -> None:
        host = f"{host}.secret"
        found = passed([("Diversion", f"<sip:{user}@{host}>;reason=no-answer")], True, False)
        assert found == [("Diversion", f"<sip:{user}@anonymous.invalid>;reason=no-answer")]


class TestAlertInfo:
    @pytest.mark.parametrize(
        "value", ["<urn:alert:service:call-waiting>", "<urn:alert:source:internal>,<URN:ALERT:tone:x>"]
    )
    def test_urns_pass(self, value: str) -> None:
        assert passed([("Alert-Info", value)], False, False) == [("Alert-Info", value)]

    @pytest.mark.parametrize(
        "value",
        [
            "<http://10.0.0.1/ring.wav>",
            "<urn:alert:x>,<http://10.0.0.1/a>",
            "http://10.0.0.1/a",
            "",
            "<urn:alert",
        ],
    )
    def test_urls_do_not(self, value: str) -> None:
        assert passed([("Alert-Info", value)], True, True) == []
