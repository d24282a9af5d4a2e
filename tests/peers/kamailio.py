"""Kamailio as a carrier: a stateful proxy that demands certificates and forwards to one address."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.peers.lab import Credentials
from tests.peers.ports import free_port
from tests.peers.process import MissingProgram, PeerProcess, find, listening

_CONFIG = """\
#!KAMAILIO
debug=1
log_stderror=yes
children={children}
tcp_children={children}
tcp_connection_lifetime=3605
tcp_max_connections=4096
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=yes
enable_tls={enable_tls}
disable_tcp=no
server_signature=no
listen={protocol}:127.0.0.1:{port}
{extra_listen}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "nathelper.so"
{load_tls}
modparam("tm", "fr_timer", 10000)
modparam("rr", "enable_full_lr", 1)

{load_registrar}
request_route {{
    {registrar}
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag() && loose_route()) {{ {back} t_relay(); exit; }}
    if (is_method("OPTIONS") && !has_totag()) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("ACK") && !t_check_trans() && !has_totag()) {{ exit; }}
    {answer}
    {record_route}
    $du = "{forward}";
    if (!t_relay()) {{ sl_reply_error(); }}
    exit;
}}
"""

# Who registers, and sends INVITE and BYE over TLS, proves who it is; who calls over UDP is put through to
# where the called user has registered: on the connection that it registered on and on no other, or on one
# that Kamailio opens.
_REGISTRAR = """\
if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "{password}", "0")) {{ www_challenge("{realm}", "1"); exit; }}
        {keep}
        save("location");
        exit;
    }}
    if ($proto == "tls" && is_method("INVITE|BYE")) {{
        if (!pv_proxy_authenticate("{realm}", "{password}", "0")) {{ proxy_challenge("{realm}", "1"); exit; }}
        consume_credentials();
    }}
    if ($proto == "udp" && is_method("INVITE")) {{
        if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
        {connect}
        {record_route}
        t_relay();
        exit;
    }}
"""
_LOAD_REGISTRAR = """\
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("usrloc", "db_mode", {db_mode})
{load_database}
modparam("registrar", "min_expires", {min_expires})
modparam("nathelper|registrar", "received_avp", "$avp(received)")
"""

# Debian's tables, and the journal that costs SQLite least.
_TABLES = Path("/usr/share/kamailio/db_sqlite")
_LOAD_DATABASE = """\
loadmodule "db_sqlite.so"
modparam("db_sqlite", "db_set_journal_mode", "{path}=WAL;")
modparam("usrloc", "db_url", "sqlite:///{path}")
"""

_TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = {key}
certificate = {cert}
ca_list = {ca}

[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = {key}
certificate = {cert}
ca_list = {ca}
"""


@dataclass(frozen=True, slots=True)
class RegistrarSettings:
    """The one password that is asked for, in which realm and by which algorithm (MD5 for an empty one).

    With ``dials`` it brings calls over a connection of its own, one for all that it has to the same address.
    With ``writes`` it writes each binding into a database before it confirms it (``db_mode`` 1).
    """

    realm: str
    password: str
    algorithm: Literal["", "MD5", "SHA-256"] = ""
    min_expires: int = 60
    dials: bool = False
    writes: bool = False


@dataclass(frozen=True, slots=True)
class KamailioSettings:
    """A proxy: where it listens, where it forwards to (a port of the loopback), and its certificates.

    With ``record_route`` it stays in the dialog and sends the callee's requests back over the
    caller's own connection, which a caller behind stunnel needs.

    ``memory`` is the manager of its memory, shared and private; "" leaves it to Debian, which takes qm.
    With ``registrar`` it asks for a password, and keeps who has registered.
    With ``answer``, a word and pseudo-variables, it answers each INVITE with 486 and what it has read.
    With OpenSSL 3 two of its processes that shake hands at once may free the same memory, and it ends;
    so there is one. ``port`` 0 takes a free one; ``credentials`` and ``ca`` are needed as soon as one side is
    TLS.
    """

    forward_port: int
    forward_transport: Literal["udp", "tcp", "tls"] = "tls"
    transport: Literal["udp", "tcp", "tls"] = "tls"
    port: int = 0
    credentials: Credentials | None = None
    ca: Path | None = None
    record_route: bool = False
    children: int = 1
    memory: Literal["", "fm", "qm", "tlsf"] = ""
    registrar: RegistrarSettings | None = None
    answer: str = ""


class Kamailio(PeerProcess):
    """A Kamailio process (2 GB of shared memory address space, or it runs out of it under load)."""

    def __init__(
        self, name: str, directory: Path, settings: KamailioSettings, *, cpu: int | None = None
    ) -> None:
        self.settings = settings
        self.port = settings.port or free_port()
        self.second_port = free_port()  # where it takes the transport that it forwards by
        self.config = directory / f"{name}.cfg"
        argv = [find("kamailio"), "-f", str(self.config), "-m", "2048", "-M", "16", "-DD", "-E"]
        argv += ["-x", settings.memory, "-X", settings.memory] if settings.memory else []
        super().__init__(name, directory, [*argv, "-Y", str(directory), "-w", str(directory)], cpu=cpu)

    def start(self) -> None:
        """Write the configuration and start Kamailio in the foreground."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._config_text())
        if self.settings.registrar is not None and self.settings.registrar.writes:
            self._make_tables()
        super().start()

    def ready(self) -> None:
        """Wait until it listens."""
        udp = self.settings.transport == "udp"
        self.wait_until(lambda: listening(self.port, udp=udp), 30, f"listening port {self.port}")

    def _config_text(self) -> str:
        chosen = self.settings
        tls = "tls" in (chosen.transport, chosen.forward_transport)
        return _CONFIG.format(
            children=chosen.children,
            enable_tls="yes" if tls else "no",
            protocol=chosen.transport,
            port=self.port,
            extra_listen=self._second_socket(),
            load_tls=self._load_tls() if tls else "",
            load_registrar=self._registrar(_LOAD_REGISTRAR),
            registrar=self._registrar(_REGISTRAR),
            record_route=self._record_route(),
            back="handle_ruri_alias();" if chosen.record_route else "",
            answer=f'sl_send_reply("486", "{chosen.answer}"); exit;' if chosen.answer else "",
            forward=f"sip:127.0.0.1:{chosen.forward_port};transport={chosen.forward_transport}",
        )

    def _record_route(self) -> str:
        return "record_route(); add_contact_alias();" if self.settings.record_route else ""

    def _registrar(self, text: str) -> str:
        chosen = self.settings.registrar
        if chosen is None:
            return ""
        return text.format(
            realm=chosen.realm, password=chosen.password, algorithm=chosen.algorithm,
            min_expires=chosen.min_expires, db_mode=1 if chosen.writes else 0,
            load_database=_LOAD_DATABASE.format(path=self.database) if chosen.writes else "",
            keep="" if chosen.dials else "fix_nated_register();",
            connect="" if chosen.dials else "set_forward_no_connect();", record_route=self._record_route(),
        )  # fmt: skip

    @property
    def database(self) -> Path:
        """Where a registrar that ``writes`` has its bindings."""
        return self.directory / f"{self.name}.db"

    def _make_tables(self) -> None:
        if not _TABLES.exists():
            raise MissingProgram("kamailio's SQLite is missing: apt-get install kamailio-sqlite-modules")
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            for name in ("standard", "usrloc"):
                db.executescript((_TABLES / f"{name}-create.sql").read_text())

    def _second_socket(self) -> str:
        """A socket of the other transport: Kamailio sends only from a transport that it has."""
        chosen = self.settings
        if chosen.forward_transport == chosen.transport:
            return ""
        return f"listen={chosen.forward_transport}:127.0.0.1:{self.second_port}"

    def _load_tls(self) -> str:
        chosen = self.settings
        if chosen.credentials is None:
            raise ValueError("TLS needs credentials")
        path = self.directory / f"{self.name}.tls.cfg"
        own = chosen.credentials
        path.write_text(_TLS.format(key=own.key, cert=own.cert, ca=chosen.ca or own.ca))
        return f'loadmodule "tls.so"\nmodparam("tls", "config", "{path}")'
