"""What may be asked of a running SBC: by ``sbc`` over the control socket, by the pages as frozen views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sbc.admin import acl, limits
from sbc.admin.certificates import Certificates
from sbc.admin.phones import phones
from sbc.admin.running import Running
from sbc.admin.status import picture, registrations, to_json
from sbc.admin.trace import Trace
from sbc.base import LocalError
from sbc.observe.metrics import exposition
from sbc.observe.trust import TrustView, trust_views
from sbc.observe.views import StatusView


class Verbs:
    """The questions and orders of an operator; ``certificates`` are those of ``sbc``."""

    def __init__(self, sbc: Running, certificates: Certificates) -> None:
        self._sbc = sbc
        self._certificates = certificates

    def status(self) -> StatusView:
        """The whole picture, for the page, the health endpoint and ``sbc status``."""
        return picture(self._sbc, self._certificates.views())

    def trust(self) -> tuple[TrustView, ...]:
        """Who trusts whom, for the page and ``sbc trust``."""
        recorder = self._sbc.recorder
        now, soft_passes = self._sbc.clock.now(), recorder.soft_passes.of
        return trust_views(self._sbc.store.current, recorder.ledger, now, soft_passes)

    def metrics(self) -> str:
        """The counters as Prometheus text."""
        return exposition(self.status())

    def by_name(self) -> dict[str, Callable[..., object]]:
        """The verbs of the control socket; each answers with JSON types, or by a stream."""
        rotator, blocking = self._sbc.rotator, self._sbc.blocking
        return {
            "status": lambda: to_json(self.status()),
            "calls": lambda: to_json(self.status())["calls"],
            "calls-end": self._end_call,
            "trunks-show": self._trunk_now,
            "limits": self._limits,
            "limits-reset": self._reset_limit,
            "trunks-disable": self._sbc.switches.disable,
            "trunks-enable": self._sbc.switches.enable,
            "registrations": self._registrations,
            "acl": self._acl,
            "reload": self._reload,
            "certs": self._certificates.table,
            "certs-renew": self._sbc.acme.renew,
            "trust": self._trust,
            "trace": Trace(self._sbc),
            "certs-staged": rotator.staged,
            "certs-bind": rotator.bind,
            "certs-ready": rotator.ready,
            "certs-retire": rotator.retire,
            "certs-rollback": rotator.rollback,
            "blocklist": blocking.table,
            "blocklist-add": blocking.add,
            "blocklist-remove": blocking.remove,
            "alerts": self._alerts,
            "alert-test": self._sbc.alerting.test,
        }

    def _reload(self, force: bool = False) -> dict[str, Any]:
        """Read the files again, and ask DNS again: whoever says so knows that something has changed."""
        answer = self._sbc.reload(force)
        self._sbc.names.refresh()
        return answer

    def _alerts(self) -> dict[str, Any]:
        return {"now": self._sbc.clock.now(), **asdict(self._sbc.alerting.view())}

    def _end_call(self, call: str, by: str = "") -> dict[str, Any]:
        """Hang up on both sides of a call, or withdraw it where nobody has answered yet."""
        found = self._sbc.engine.calls.get(call)
        if found is None:
            raise LocalError(f"there is no call {call!r} now; `sbc calls` shows those that there are")
        caller, called = found.caller, found.called
        self._sbc.end_call(call, by)
        return {"call": call, "caller": caller, "called": called}

    def _acl(self) -> dict[str, Any]:
        snapshot, now = self._sbc.store.current, self._sbc.clock.now()
        rules = acl.table(snapshot.acl, now)
        return {"now": now, "running": True, "version": snapshot.version, "rules": rules}

    def _registrations(self) -> dict[str, Any]:
        found = registrations(self._sbc)
        at_us = [asdict(each) for each in phones(self._sbc)]
        told = [asdict(each) for each in found]
        return {"now": self._sbc.clock.now(), "registrations": told, "phones": at_us}

    def _trunk_now(self, trunk: str) -> dict[str, Any]:
        """One trunk as it is: its row of the status, and what the other tables of the status say of it."""
        whole = to_json(self.status())
        found = [each for each in whole["trunks"] if each["name"] == trunk]
        if not found:
            raise LocalError(
                f"the configuration in force has no trunk {trunk!r}; `sbc reload` reads it again"
            )
        of_it = {
            table: [each for each in whole[table] if each["trunk"] == trunk]
            for table in ("registrations", "phones")
        }
        domains = [each for each in whole["names"] if trunk in each["trunks"]]
        return {
            "now": whole["now"],
            "version": whole["version"],
            "trunk": found[0],
            "names": domains,
            **of_it,
        }

    def _limits(self) -> dict[str, Any]:
        found = limits.spent(self._sbc.engine, self._sbc.clock)
        rows = [{**each._asdict(), "share": each.share} for each in found]
        return {"now": self._sbc.clock.now(), "limits": rows}

    def _reset_limit(self, key: str, by: str = "") -> dict[str, Any]:
        """Give a caller, trunk or other key the whole of its allowance again."""
        answer = limits.reset(self._sbc.engine, self._sbc.clock, key)
        fields = {"act": "limits reset", "allowance": key, "by": by or None}
        self._sbc.recorder.journal.event("INF", "[operator]", fields, self._sbc.clock.now())
        self._sbc.saved.wait()
        return answer

    def _trust(self, trunk: str = "") -> dict[str, Any]:
        views = [each for each in self.trust() if trunk in ("", each.trunk)]
        if trunk and not views:
            known = trunk in self._sbc.store.current.trunks
            raise LocalError(f"trunk {trunk} has no TLS" if known else f"there is no trunk {trunk}")
        return {"now": self._sbc.clock.now(), "trunks": [asdict(each) for each in views]}
