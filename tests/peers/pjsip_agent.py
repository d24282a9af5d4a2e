"""A PJSIP user agent that is driven by JSON lines: run as ``python pjsip_agent.py SETTINGS.json``.

One line in is one command, ``{"do": NAME, "n": 7, ...}``; it is answered by one line
``{"reply": 7, ...}``. What happens by itself comes as ``{"event": NAME, "call": 0, ...}``. PJSIP runs
in this process's main thread alone; a second thread only reads lines.
"""

from __future__ import annotations

import json
import os
import queue
import re
import sys
import threading
from typing import Any

import pjsua2 as pj

_TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
_SRTP = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "mandatory": pj.PJMEDIA_SRTP_MANDATORY,
}
_PRACK = {
    "off": pj.PJSUA_100REL_NOT_USED,
    "optional": pj.PJSUA_100REL_OPTIONAL,
    "mandatory": pj.PJSUA_100REL_MANDATORY,
}
_TIMER = {
    "off": pj.PJSUA_SIP_TIMER_INACTIVE,
    "optional": pj.PJSUA_SIP_TIMER_OPTIONAL,
    "required": pj.PJSUA_SIP_TIMER_REQUIRED,
}
# PJSIP prints to file descriptor 1 before its log is configured: the driver gets a copy, PJSIP the log.
_driver = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

_SUITE = re.compile(r"SRTP status: (\w+)(?: Crypto-suite: (\S+))?")


def say(**line: object) -> None:
    """Write one line to the driver."""
    _driver.write(json.dumps(line) + "\n")
    _driver.flush()


class AgentCall(pj.Call):  # type: ignore[misc]
    """A call: plays the tone to the peer, records the peer, reports what happens."""

    def __init__(self, agent: Agent, account: Any, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.agent = agent
        self.recorder: Any = None
        self.number = agent.number(self)

    def onCallState(self, prm: Any) -> None:
        """Report the state; the end of the call closes the recording first."""
        info = self.getInfo()
        ended = info.state == pj.PJSIP_INV_STATE_DISCONNECTED
        if ended:
            self.recorder = None
        state, status, reason = info.stateText, info.lastStatusCode, info.lastReason
        self.tell("state", state=state, status=status, reason=reason, id=info.callIdString)
        if ended:
            self.agent.ended.append(self.number)

    def onCallMediaState(self, prm: Any) -> None:
        """Connect the tone and the recorder to every active audio stream."""
        info = self.getInfo()  # kept: its members live no longer than it does
        for media in info.media:
            active = media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
            if media.type == pj.PJMEDIA_TYPE_AUDIO and active:
                self.connect_audio(self.getAudioMedia(media.index))
            self.tell("media", index=media.index, status=media.status, direction=media.dir, srtp=self.srtp())

    def connect_audio(self, audio: Any) -> None:
        """Send the tone, and record into ``call-N.wav``."""
        if self.agent.player is not None:
            self.agent.player.startTransmit(audio)
        if self.recorder is None:
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(f"call-{self.number}.wav")
        audio.startTransmit(self.recorder)

    def srtp(self) -> str:
        """The negotiated suite, or an empty text where the media is in the clear."""
        found = _SUITE.search(self.dump(True, ""))
        return (found[2] or "") if found and found[1] == "Active" else ""

    def onDtmfDigit(self, prm: Any) -> None:
        """Report a digit."""
        self.tell("dtmf", digit=prm.digit)

    def onCallTransferRequest(self, prm: Any) -> None:
        """Report a REFER, and dial whom it names: PJSIP sends the INVITE, and the NOTIFYs."""
        made = AgentCall(self.agent, self.agent.account)
        self.tell("refer", to=prm.dstUri, made=made.number)
        prm.newCall = made

    def onCallTransferStatus(self, prm: Any) -> None:
        """Report what a NOTIFY says of a transfer of ours."""
        self.tell("transfer", status=prm.statusCode, final=bool(prm.finalNotify))

    def onCallReplaced(self, prm: Any) -> None:
        """Report that another call took the place of this one (RFC 3891)."""
        made = AgentCall(self.agent, self.agent.account, prm.newCallId)
        prm.newCall = made
        self.tell("replaced", made=made.number)

    def tell(self, event: str, **facts: object) -> None:
        """Report an event of this call."""
        say(event=event, call=self.number, **facts)


class AgentAccount(pj.Account):  # type: ignore[misc]
    """The agent's only account."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def onIncomingCall(self, prm: Any) -> None:
        """Report the INVITE, then ring or answer as the settings say."""
        call = AgentCall(self.agent, self, prm.callId)
        info = call.getInfo()
        call.tell("incoming", source=info.remoteUri, to=info.localUri, message=prm.rdata.wholeMsg)
        if self.agent.settings["answer"]:
            call.answer(_parameters(self.agent.settings["answer"]))

    def onInstantMessage(self, prm: Any) -> None:
        """Report a MESSAGE; PJSIP has answered it."""
        say(event="message", kind=prm.contentType, body=prm.msgBody, whole=prm.rdata.wholeMsg)

    def onMwiInfo(self, prm: Any) -> None:
        """Report that messages wait, or not (RFC 3842)."""
        say(event="waiting", whole=prm.rdata.wholeMsg)

    def onInstantMessageStatus(self, prm: Any) -> None:
        """Report what became of a MESSAGE of ours."""
        say(event="message status", status=prm.code, reason=prm.reason)

    def onRegState(self, prm: Any) -> None:
        """Report the result of a registration."""
        say(event="registration", status=prm.code, reason=prm.reason)


class AgentEndpoint(pj.Endpoint):  # type: ignore[misc]
    """The library; reports its transports, which is how a TLS failure becomes known."""

    def onTransportState(self, prm: Any) -> None:
        """Report a transport that connected or was lost, and how TLS judged its certificate."""
        verify = prm.tlsInfo.verifyStatus if prm.type.upper().startswith("TLS") else 0
        say(event="transport", type=prm.type, state=prm.state, error=prm.lastError, verify=verify)


class Agent:
    """The user agent: its settings, its calls by number, and its commands."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: dict[int, AgentCall] = {}
        self.ended: list[int] = []
        self.buddies: dict[str, Any] = {}  # whom a MESSAGE went to
        self.count = 0
        self.player: Any = None
        self.endpoint = AgentEndpoint()
        self.start_library()
        self.account = AgentAccount(self)
        self.account.create(self.account_settings())

    def number(self, call: AgentCall) -> int:
        """Keep ``call`` and give it the next number."""
        self.count += 1
        self.calls[self.count] = call
        return self.count

    def start_library(self) -> None:
        """Bring PJSIP up: no threads of its own, no sound card, an 8 kHz bridge, one transport."""
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = self.settings["user_agent"]
        config.logConfig.level = config.logConfig.msgLogging = 5
        config.logConfig.consoleLevel = 0
        config.logConfig.filename = "pjsip.log"
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True
        self.endpoint.libInit(config)
        self.endpoint.transportCreate(_TRANSPORTS[self.settings["transport"]], self.transport_settings())
        if self.settings["also_tcp"]:
            self.endpoint.transportCreate(_TRANSPORTS["tcp"], self.transport_settings())
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            chosen = codec.codecId.rpartition("/")[0] in self.settings["codecs"]
            self.endpoint.codecSetPriority(codec.codecId, 128 if chosen else 0)
        if self.settings["tone"]:
            self.player = pj.AudioMediaPlayer()
            self.player.createPlayer(self.settings["tone"])

    def transport_settings(self) -> Any:
        """The one transport, with both sides' TLS policy."""
        settings = pj.TransportConfig()
        settings.port = self.settings["port"]
        settings.boundAddress = self.settings["address"]
        tls = settings.tlsConfig
        tls.CaListFile = self.settings["ca"]
        tls.certFile = self.settings["cert"]
        tls.privKeyFile = self.settings["key"]
        tls.verifyServer = self.settings["verify_server"]
        tls.verifyClient = tls.requireClientCert = self.settings["verify_client"]
        tls.msecTimeout = 5000
        return settings

    def account_settings(self) -> Any:
        """The account: identity, registration, SRTP, proxy and media ports."""
        settings = pj.AccountConfig()
        settings.idUri = self.settings["uri"]
        settings.regConfig.registrarUri = self.settings["registrar"]
        settings.regConfig.registerOnAdd = bool(self.settings["registrar"])
        again = settings.regConfig.retryIntervalSec = self.settings["register_again"]
        settings.regConfig.firstRetryIntervalSec = min(again, settings.regConfig.firstRetryIntervalSec)
        if self.settings["proxy"]:
            settings.sipConfig.proxies.append(self.settings["proxy"])
        if self.settings["user"]:
            login = pj.AuthCredInfo("digest", "*", self.settings["user"], 0, self.settings["password"])
            settings.sipConfig.authCreds.append(login)
        settings.mediaConfig.srtpUse = _SRTP[self.settings["srtp"]]
        settings.mediaConfig.srtpSecureSignaling = self.settings["secure_signalling"]
        for suite in self.settings["suites"]:
            crypto = pj.SrtpCrypto()
            crypto.name = suite
            settings.mediaConfig.srtpOpt.cryptos.append(crypto)
        settings.mediaConfig.transportConfig.port = self.settings["media_port"]
        settings.mediaConfig.transportConfig.boundAddress = self.settings["address"]
        if self.settings["instance"]:
            settings.natConfig.sipOutboundInstanceId = f"<{self.settings['instance']}>"
        settings.natConfig.sdpNatRewriteUse = settings.natConfig.contactRewriteUse = 0
        settings.callConfig.timerUse = _TIMER[self.settings["session_timer"]]
        settings.callConfig.timerSessExpiresSec = self.settings["session_interval"]
        settings.callConfig.prackUse = _PRACK[self.settings["prack"]]
        return settings

    def run(self) -> None:
        """Carry out commands until stdin ends or ``quit`` comes."""
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
        say(event="ready")
        while True:
            self.endpoint.libHandleEvents(10)
            for number in self.ended:
                self.calls.pop(number, None)
            self.ended.clear()
            while not lines.empty():
                line = lines.get()
                if not line:
                    return
                self.obey(json.loads(line))

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one command and reply."""
        try:
            result = getattr(self, "do_" + order["do"])(order)
        except pj.Error as error:
            say(reply=order["n"], error=f"{error.title}: {error.reason}")
        except (KeyError, ValueError) as error:
            say(reply=order["n"], error=repr(error))
        else:
            say(reply=order["n"], **(result or {}))

    def do_call(self, order: dict[str, Any]) -> dict[str, Any]:
        """Dial ``uri``, with further ``headers``."""
        call = AgentCall(self, self.account)
        try:
            parameters = _offering(_parameters(0, order.get("headers")), order)
            call.makeCall(order["uri"], _divided(parameters, order.get("parts") or []))
        except pj.Error:
            self.calls.pop(call.number, None)
            raise
        return {"call": call.number}

    def do_answer(self, order: dict[str, Any]) -> None:
        """Answer with ``status``."""
        self.calls[order["call"]].answer(_parameters(order["status"], order.get("headers")))

    def do_hangup(self, order: dict[str, Any]) -> None:
        """BYE, CANCEL or refuse with ``status`` (0: whatever fits the state); a call may be over already."""
        call = self.calls.get(order["call"])
        if call is not None:
            call.hangup(_parameters(order["status"]))

    def do_hold(self, order: dict[str, Any]) -> None:
        """Put the peer on hold with a re-INVITE."""
        self.calls[order["call"]].setHold(_parameters(0))

    def do_reinvite(self, order: dict[str, Any]) -> None:
        """Send a re-INVITE that takes a hold back; with ``move`` its media is on another port."""
        parameters = _parameters(0)
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        if order.get("move"):
            parameters.opt.flag |= pj.PJSUA_CALL_REINIT_MEDIA
        self.calls[order["call"]].reinvite(_offering(parameters, order))

    def do_update(self, order: dict[str, Any]) -> None:
        """Send an UPDATE with an offer."""
        self.calls[order["call"]].update(_parameters(0))

    def do_dtmf(self, order: dict[str, Any]) -> None:
        """Send ``digits`` as RFC 4733 events."""
        self.calls[order["call"]].dialDtmf(order["digits"])

    def do_refer(self, order: dict[str, Any]) -> None:
        """Ask the peer to call ``uri``."""
        self.calls[order["call"]].xfer(order["uri"], _parameters(0))

    def do_message(self, order: dict[str, Any]) -> None:
        """Send ``text`` to ``uri`` as a MESSAGE."""
        settings = pj.BuddyConfig()
        settings.uri, settings.subscribe = order["uri"], False
        buddy = self.buddies[order["uri"]] = pj.Buddy()
        buddy.create(self.account, settings)
        parameters = pj.SendInstantMessageParam()
        parameters.contentType, parameters.content = "text/plain", order["text"]
        buddy.sendInstantMessage(parameters)

    def do_refer_replaces(self, order: dict[str, Any]) -> None:
        """Ask the peer of ``call`` to take our place in ``other`` (an attended transfer)."""
        self.calls[order["call"]].xferReplaces(self.calls[order["other"]], _parameters(0))

    def do_dump(self, order: dict[str, Any]) -> dict[str, Any]:
        """PJSIP's own description of a call: media, SRTP, packets and losses."""
        return {"text": self.calls[order["call"]].dump(True, "  ")}

    def close(self) -> None:
        """Hang up, end the recordings and bring PJSIP down."""
        self.endpoint.hangupAllCalls()
        for _ in range(20):
            self.endpoint.libHandleEvents(10)
        for call in self.calls.values():
            call.recorder = None
        self.calls.clear()
        self.buddies.clear()
        self.player = None
        self.account.shutdown()
        self.endpoint.libDestroy()


def _parameters(status: int, headers: dict[str, str] | None = None) -> Any:
    parameters = pj.CallOpParam(True)
    parameters.statusCode = status
    for name, value in (headers or {}).items():
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        parameters.txOption.headers.append(header)
    return parameters


def _offering(parameters: Any, order: dict[str, Any]) -> Any:
    if not order.get("offer", True):
        parameters.opt.flag |= pj.PJSUA_CALL_NO_SDP_OFFER
    return parameters


def _divided(parameters: Any, parts: list[dict[str, str]]) -> Any:
    """Let the body have ``parts`` beside the SDP, each with its ``id``, ``type`` and ``body``."""
    if parts:
        option = parameters.txOption
        option.multipartContentType.type, option.multipartContentType.subType = "multipart", "mixed"
        for each in parts:
            part, header = pj.SipMultipartPart(), pj.SipHeader()
            part.contentType.type, _, part.contentType.subType = each["type"].partition("/")
            header.hName, header.hValue = "Content-ID", f"<{each['id']}>"
            part.headers.append(header)
            part.body = each["body"]
            option.multipartParts.append(part)
    return parameters


def _read_lines(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def main() -> None:
    """Run the agent whose settings are in the file named by the first argument."""
    with open(sys.argv[1], encoding="utf-8") as source:
        agent = Agent(json.load(source))
    try:
        agent.run()
    finally:
        agent.close()


if __name__ == "__main__":
    main()
