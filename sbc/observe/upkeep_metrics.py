"""The families of samples about the machine's disks, the files in force, and alerts."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.observe.families import family, one
from sbc.observe.views import StatusView

_URGENCIES = ("info", "warning", "urgent")


def upkeep(status: StatusView) -> Iterator[str]:
    """How much room there is, whether the files are in force, and what is told where."""
    known = [({"disk": each.what}, each) for each in status.disks if not each.problem]
    free = [(labels, float(each.free)) for labels, each in known]
    yield from family("sbc_disk_free_bytes", "gauge", "Room on the disk of what is written.", free)
    size = [(labels, float(each.size)) for labels, each in known]
    yield from family("sbc_disk_size_bytes", "gauge", "How large that disk is.", size)
    refused = float(bool(status.refused))
    yield from one("sbc_configuration_refused", "gauge", "1 where changed files are not in force.", refused)
    standing = [each.urgency for each in status.alerts.standing]
    counts = [({"urgency": each}, float(standing.count(each))) for each in _URGENCIES]
    yield from family("sbc_alerts", "gauge", "What is wrong now, by how urgent it is.", counts)
    sinks = [({"sink": each.name}, each) for each in status.alerts.sinks]
    up = [(labels, float(not each.problem)) for labels, each in sinks]
    yield from family("sbc_alert_sink_up", "gauge", "1 where alerts were taken the last time.", up)
    waiting = [(labels, float(each.waiting)) for labels, each in sinks]
    yield from family("sbc_alert_notices_waiting", "gauge", "Notices that are not sent yet.", waiting)
    sent = [(labels, float(each.sent)) for labels, each in sinks]
    yield from family("sbc_alert_notices_sent_total", "counter", "Notices that were taken.", sent)
    lost = [(labels, float(each.lost)) for labels, each in sinks]
    yield from family("sbc_alert_notices_lost_total", "counter", "Notices that never will be.", lost)
