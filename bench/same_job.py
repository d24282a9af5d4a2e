"""Kamailio doing an SBC's job: topology hidden, dialogs, one record a call, media through rtpengine.

It is what Portcullis does for a call: neither side sees the other's addresses, Call-ID or media, and each
call leaves a line that bills it. Kamailio asks rtpengine to offer, answer and delete; no packet is sent.
"""

from __future__ import annotations

from pathlib import Path

from bench.measure import SERVER_CORE
from bench.relay import rtpengine
from tests.peers.kamailio import Kamailio, KamailioSettings

# A record goes where Portcullis's goes: to a file, here the log. The masked address is one that nobody has.
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
enable_tls=yes
disable_tcp=no
server_signature=no
listen=tls:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "dialog.so"
loadmodule "acc.so"
loadmodule "rtpengine.so"
loadmodule "topoh.so"
{load_tls}
modparam("tm", "fr_timer", 10000)
modparam("rr", "enable_full_lr", 1)
modparam("acc", "cdr_enable", 1)
modparam("acc", "cdr_extra", "callid=$ci;caller=$fu;called=$tu")
modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:{ng}")
modparam("topoh", "mask_key", "benchmark")
modparam("topoh", "mask_ip", "192.0.2.1")
modparam("topoh", "mask_callid", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ rtpengine_delete(); t_relay(); }} exit; }}
    if (has_totag()) {{
        if (!loose_route()) {{
            if (!is_method("ACK")) {{ sl_send_reply("481", "No Such Call"); }}
            exit;
        }}
        if (is_method("BYE")) {{ rtpengine_delete(); }}
        t_relay();
        exit;
    }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    record_route();
    dlg_manage();
    if (!rtpengine_offer("{media}")) {{ sl_send_reply("488", "Not Acceptable Here"); exit; }}
    t_on_reply("ANSWER");
    t_on_failure("OVER");
    $du = "sip:127.0.0.1:{forward};transport=tls";
    if (!t_relay()) {{ rtpengine_delete(); sl_reply_error(); }}
    exit;
}}

onreply_route[ANSWER] {{
    if (status =~ "^(18[0-9]|2[0-9][0-9])$" && has_body("application/sdp")) {{ rtpengine_answer("{media}"); }}
}}

failure_route[OVER] {{
    rtpengine_delete();
}}
"""
_MEDIA = "replace-origin ICE=remove RTP/AVP"


class KamailioSbc(Kamailio):
    """A Kamailio with the rtpengine that serves it, on the server's core; one ends with the other."""

    def __init__(self, name: str, directory: Path, settings: KamailioSettings) -> None:
        self.media = rtpengine(directory)
        super().__init__(name, directory, settings, cpu=SERVER_CORE)

    @property
    def leaders(self) -> tuple[int, ...]:
        """Both: what the call costs is what both spend."""
        return (self.pid, *self.media.leaders)

    def start(self) -> None:
        """Start rtpengine first: Kamailio gives up for a minute on one that does not answer."""
        self.media.start()
        try:
            self.media.ready()
            super().start()
        except BaseException:
            self.media.stop()
            raise

    def stop(self) -> None:
        """End Kamailio, then rtpengine."""
        super().stop()
        self.media.stop()

    def _config_text(self) -> str:
        return _CONFIG.format(
            children=self.settings.children,
            port=self.port,
            load_tls=self._load_tls(),
            ng=self.media.port,
            media=_MEDIA,
            forward=self.settings.forward_port,
        )
