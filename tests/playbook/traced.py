"""A stage whose messages are traced, from the tap to the lines that an operator reads."""

from __future__ import annotations

import io

from sbc.b2bua.commands import Command, Decided, Note
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.observe.tap import Rings, Seen, Tap
from sbc.observe.trace.frames import Decoder, Encoder, Remark
from sbc.observe.trace.ladder import Ladder
from sbc.observe.trace.masking import masked
from sbc.observe.trace.view import View
from sbc.sip.machine import Send
from sbc.sip.message import Message, serialize
from tests.playbook.stage import Stage


class Traced(Stage):
    """The engine, the peers around it, and who follows all of it: a ``view`` and the ``rings``."""

    def __init__(
        self, configuration: Snapshot | None = None, trunk: str = "", call: str = "", most: int = 0
    ) -> None:
        super().__init__(configuration)
        self.faults: list[str] = []
        self.count = 0
        self._read: dict[View, tuple[io.BytesIO, Decoder]] = {}
        self.tap = Tap(self.engine.dialogs.call_ids, self.faults.append)
        self.rings = Rings(200)
        self.view = View(Encoder(masked), trunk, call, most)
        self.tap.follow(self.rings)
        self.tap.follow(self.view)

    def play(self, flow: Flow, message: Message) -> None:
        commands = self.engine.receive(flow, message, self.now)
        self.tap.heard(flow, message, self._moment(), self.now)
        self.carry_out(commands)

    def _moment(self) -> float:
        """Some moment after all that was told before."""
        self.count += 1
        return self.now + self.count * 1e-6

    def _one(self, command: Command) -> list[Command]:
        if isinstance(command, Send) and command.flow.alive:
            self.tap.sent(command.flow, command.message, serialize(command.message), self._moment(), self.now)
        elif isinstance(command, Decided):
            self.tap.decided(command, self._moment(), self.now)
        elif isinstance(command, Note):
            self.tap.noted(command, self.now)
        return super()._one(command)

    def events(self, view: View | None = None) -> list[Seen | Remark]:
        """What a reader of ``view`` gets."""
        assert self.faults == []
        view = view or self.view
        if view not in self._read:
            buffer = io.BytesIO()
            self._read[view] = buffer, Decoder(buffer)
        source, decoder = self._read[view]
        at = source.tell()
        while not view.idle:
            source.write(view.frames(3))
        source.seek(at)
        return list(iter(decoder.next, None))

    def ladder(self, view: View | None = None, whole: bool = False, named: bool = False) -> list[str]:
        """The lines that are drawn of it, without their times."""
        drawn = Ladder(lambda style, text: text, False, whole, named)
        return [line[13:] for event in self.events(view) for line in drawn.lines(event)]

    def arrows(self, view: View | None = None) -> list[str]:
        """Of the ladder only what was said, and the peer's trunk."""
        lines = [line for line in self.ladder(view) if line.startswith("|")]
        return [" ".join(line.rpartition(":")[0].rpartition(" ")[0].split()) for line in lines]

    def again(self, call: str = "", trunk: str = "", most: int = 0) -> View:
        """A view of what the rings have kept."""
        view = View(Encoder(masked), trunk, call, most)
        view.replay(self.rings.last())
        return view
