"""Kamailio as a collector of SIP messages: what it is told by HEP it writes into a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

_CONFIG = """\
#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
dns=no
rev_dns=no
listen=udp:127.0.0.1:{port}
loadmodule "pv.so"
loadmodule "db_sqlite.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "sqlite:///{database}")
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "insert_retries", 1)
request_route {{ sip_capture(); drop; }}
onreply_route {{ sip_capture(); drop; }}
"""
# The table has no file among those of Debian: these are the module's default names of its columns.
_COLUMNS = """\
date micro_ts method reply_reason ruri ruri_user ruri_domain from_user from_domain from_tag to_user to_domain
to_tag pid_user contact_user auth_user callid callid_aleg via_1 via_1_branch cseq diversion reason
content_type auth user_agent source_ip source_port destination_ip destination_port contact_ip contact_port
originator_ip originator_port expires event custom_field1 custom_field2 custom_field3 correlation_id proto
family rtp_stat type node msg cval1 geo_lat geo_lng
"""


class Sipcapture(PeerProcess):
    """One that listens on a UDP port of the loopback."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.port = port or free_port()
        self.config = directory / "sipcapture.cfg"
        self.database = directory / "homer.db"
        argv = [find("kamailio"), "-f", str(self.config), "-m", "64", "-M", "8", "-DD", "-E"]
        super().__init__("sipcapture", directory, [*argv, "-Y", str(directory), "-w", str(directory)])

    def start(self) -> None:
        """Write its configuration and its table, and start it in the foreground."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(_CONFIG.format(port=self.port, database=self.database))
        if not self.database.exists():
            with closing(sqlite3.connect(self.database)) as made:
                made.execute("pragma journal_mode=wal")  # else who reads keeps it from writing a row
                made.execute(
                    f"create table sip_capture (id integer primary key, {', '.join(_COLUMNS.split())})"
                )
        super().start()

    def ready(self) -> None:
        """Wait until it listens."""
        self.wait_until(lambda: listening(self.port, udp=True), 30, f"listening port {self.port}")

    def rows(self) -> list[dict[str, Any]]:
        """What it has written, in that order."""
        with closing(sqlite3.connect(self.database, timeout=30)) as opened:
            opened.row_factory = sqlite3.Row
            return [dict(row) for row in opened.execute("select * from sip_capture order by id")]
