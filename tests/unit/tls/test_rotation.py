"""The steps of a rotation: staged, bound, ready, retired, and back."""

from __future__ import annotations

import json

import pytest

from sbc.tls.lifetime.rotation import AGAIN, HOSTS_KEPT, WINDOW, Key, Rotation
from sbc.tls.marks import DAY

NOW = 1_800_000_000.0
OURS: Key = ("identities", "sbc")
THEIRS: Key = ("trust", "acme-ca")


@pytest.fixture
def rotation() -> Rotation:
    made = Rotation()
    assert made.notice({OURS: {"n1"}, THEIRS: {"c1", "c2"}}, NOW) == [OURS, THEIRS]
    return made


def states(rotation: Rotation, key: Key, *trunks: str) -> list[str]:
    return [each.state for each in rotation.readiness(key, trunks)]


class TestStaging:
    def test_a_window_of_thirty_days_begins(self, rotation: Rotation) -> None:
        entry = rotation.entries[OURS]
        assert (entry.staged, entry.until) == (NOW, NOW + WINDOW) and WINDOW == 30 * DAY
        assert entry.days_left(NOW) == 30 and entry.days_left(NOW + 30.5 * DAY) == -1

    def test_of_what_lasts_a_short_time_it_is_a_third_of_that(self) -> None:
        rotation, lives = Rotation(), {OURS: 47 * DAY, THEIRS: 398 * DAY}
        rotation.notice({OURS: {"n1"}, THEIRS: {"c1"}}, NOW, lives)
        assert rotation.entries[OURS].until == NOW + 47 * DAY / 3
        assert rotation.entries[THEIRS].until == NOW + 30 * DAY
        rotation.retire(OURS)
        rotation.restore(OURS, {"n1"}, NOW + DAY, 6 * DAY)
        assert rotation.entries[OURS].until == NOW + 3 * DAY

    def test_the_same_material_again_is_nothing_new(self, rotation: Rotation) -> None:
        assert rotation.notice({OURS: ["n1"], THEIRS: ["c2", "c1"]}, NOW + DAY) == []
        assert rotation.entries[OURS].staged == NOW

    def test_other_material_begins_anew_and_keeps_the_bindings(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", True, NOW)
        assert states(rotation, OURS, "a") == ["ready"]
        assert rotation.notice({OURS: {"n2"}}, NOW + DAY) == [OURS]
        assert rotation.entries[OURS].bound == {"a": NOW + DAY}
        assert states(rotation, OURS, "a") == ["not seen"]

    def test_what_is_taken_away_is_over(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        assert rotation.notice({}, NOW) == [] and rotation.entries == {}
        assert rotation.bindings() == {}


class TestIdentity:
    def test_a_trunk_is_ready_once_it_has_accepted_the_new_one(self, rotation: Rotation) -> None:
        assert states(rotation, OURS, "a") == ["not bound"]
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", False, NOW)
        rotation.bind("sbc", ["a"], NOW + 1)
        assert rotation.bindings() == {"sbc": frozenset({"a"})}
        assert states(rotation, OURS, "a") == ["waiting"]
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", True, NOW + 2)
        assert states(rotation, OURS, "a", "b") == ["ready", "not bound"]

    def test_each_address_of_a_peer_counts(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", True, NOW)
        rotation.hear(OURS, "a", "inbound", "10.0.0.2", False, NOW)
        (found,) = rotation.readiness(OURS, ["a"])
        assert found.state == "waiting" and found.detail.startswith("inbound 10.0.0.2: not seen")

    def test_a_refusal_is_told_until_it_is_bound_again_or_accepts(self, rotation: Rotation) -> None:
        rotation.hear_refusal(OURS, "a", "unknown_ca", NOW)
        assert states(rotation, OURS, "a") == ["not bound"], "who is not bound refused the old one"
        rotation.bind("sbc", ["a"], NOW)
        rotation.hear(OURS, "a", "outbound", "10.0.0.1", True, NOW)
        rotation.hear_refusal(OURS, "a", "received alert unknown_ca", NOW + 1)
        (found,) = rotation.readiness(OURS, ["a"])
        assert (found.state, found.ready) == ("refused", False) and "unknown_ca" in found.detail
        rotation.hear(OURS, "a", "outbound", "10.0.0.1", True, NOW + 2)
        assert states(rotation, OURS, "a") == ["ready"]

    def test_one_trunk_steps_back_and_the_other_stays(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a", "b"], NOW)
        rotation.unbind("sbc", ["a", "never"])
        assert rotation.bindings() == {"sbc": frozenset({"b"})}

    def test_binding_again_does_not_count_as_new(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        rotation.bind("sbc", ["a", "b"], NOW + 5)
        assert rotation.entries[OURS].bound == {"a": NOW, "b": NOW + 5}

    def test_nothing_can_be_bound_to_what_is_not_staged(self, rotation: Rotation) -> None:
        with pytest.raises(KeyError):
            rotation.bind("other", ["a"], NOW)

    def test_who_holds_a_trunk_up_is_named(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        (waiting,) = rotation.readiness(OURS, ["a"])
        assert waiting.held_up(["b", "c"]).detail.endswith("once b, c is bound too: same addresses")
        assert waiting.held_up([]) == waiting
        rotation.hear(OURS, "a", "outbound", "10.0.0.1", True, NOW)
        (ready,) = rotation.readiness(OURS, ["a"])
        assert ready.held_up(["b"]) == ready


class TestTrust:
    def test_the_latest_handshake_of_each_address_decides(self, rotation: Rotation) -> None:
        assert states(rotation, THEIRS, "a") == ["not seen"]
        rotation.hear(THEIRS, "a", "inbound", "10.0.0.1", False, NOW)
        assert states(rotation, THEIRS, "a") == ["waiting"]
        rotation.hear(THEIRS, "a", "inbound", "10.0.0.1", True, NOW + 1)
        assert states(rotation, THEIRS, "a") == ["ready"]
        rotation.hear(THEIRS, "a", "inbound", "10.0.0.1", False, NOW + 2)
        assert states(rotation, THEIRS, "a") == ["waiting"], "it went back to the old one"


class TestBackwards:
    def test_what_was_retired_comes_back_bound_as_it_was(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a", "b"], NOW)
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", True, NOW)
        rotation.retire(OURS)
        assert OURS not in rotation.entries
        rotation.restore(OURS, {"n1"}, NOW + DAY)
        assert rotation.bindings() == {"sbc": frozenset({"a", "b"})}
        assert states(rotation, OURS, "a", "b") == ["ready", "not seen"], "what was seen is still true"
        assert rotation.entries[OURS].until == NOW + DAY + WINDOW
        assert rotation.notice({OURS: {"n1"}}, NOW + DAY) == [], "the next reload finds it as it is"

    def test_other_material_that_comes_back_is_bound_to_nobody(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        rotation.retire(OURS)
        rotation.restore(OURS, {"n7"}, NOW)
        assert rotation.bindings() == {"sbc": frozenset()}


class TestMemory:
    def test_a_handshake_that_tells_nothing_new_is_not_written_again_at_once(
        self, rotation: Rotation
    ) -> None:
        def heard(at: float, good: bool = True) -> bool:
            return rotation.hear(OURS, "a", "inbound", "10.0.0.1", good, at)

        assert [heard(NOW), heard(NOW + 1), heard(NOW + 2, False), heard(NOW + 3)] == [
            True,
            False,
            True,
            True,
        ]
        assert heard(NOW + 3 + AGAIN)
        assert not rotation.hear(("trust", "other"), "a", "inbound", "10.0.0.1", True, NOW)

    def test_a_thousand_addresses_do_not_fill_it(self, rotation: Rotation) -> None:
        for number in range(1000):
            rotation.hear(OURS, "a", "inbound", f"10.0.{number // 256}.{number % 256}", True, NOW + number)
        seen = rotation.entries[OURS].seen["a"]
        assert len(seen) == HOSTS_KEPT and "inbound 10.0.3.231" in seen and "inbound 10.0.0.0" not in seen

    def test_it_survives_as_json(self, rotation: Rotation) -> None:
        rotation.bind("sbc", ["a"], NOW)
        rotation.hear(OURS, "a", "inbound", "10.0.0.1", True, NOW)
        rotation.hear_refusal(OURS, "a", "why", NOW)
        rotation.retire(THEIRS)
        again = Rotation.from_json(json.loads(json.dumps(rotation.to_json())))
        assert again.entries == rotation.entries and again.retired == rotation.retired
        assert again.notice({OURS: {"n1"}}, NOW) == []

    @pytest.mark.parametrize(
        ("key", "data"),
        [
            ("entries identities x", {}),
            ("entries identities x", 3),
            ("entries", {}),
            ("entries cities x", {}),
        ],
    )
    def test_what_cannot_be_understood_is_nothing_under_way(self, key: str, data: object) -> None:
        assert Rotation.from_json({key: data}).entries == {}
        with pytest.raises(ValueError, match="no rotation"):
            Rotation().restore_entry(key, data)
