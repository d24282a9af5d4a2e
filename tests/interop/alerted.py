"""In a namespace where hooks.slack.com is this machine: an SBC that has much to tell, and who hears of it.

What is told is printed as JSON, for tests/interop/test_alerted.py.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tls import Credentials, Refused, connect
from tests.edge.attacked import Attacked
from tests.edge.sbc_command import sbc
from tests.interop.natted import do
from tests.peers.lab import Lab
from tests.peers.ports import free_ports
from tests.peers.process import find
from tests.peers.sinks import MailServer, WebSink
from tests.peers.waiting import until

SECRETS = {"slack": "TIiajkdnlazkcOXrIdevi7FQ", "teams": "aSignatureThatNobodySees", "dead": "aDeadPassword"}
MANY = 12


class Told:
    """The SBC, its sinks, and what has happened to them."""

    def __init__(self, directory: Path) -> None:
        mail, teams, dead = free_ports(3)
        lab = Lab(directory / "web")
        lab.also = ("hooks.slack.com",)
        own = lab.issue("web")
        os.environ["REQUESTS_CA_BUNDLE"] = str(own.ca)
        self.mail, self.teams, self.slack = MailServer(mail), WebSink(teams, own), WebSink(443, own)
        files = {
            "slack": f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRETS['slack']}",
            "teams": f"workflows://{HOST}:{teams}/643e69f83c8944/{SECRETS['teams']}",
            "dead": f"mailtos://sbc:{SECRETS['dead']}@{HOST}:{dead}?from=sbc@lab.example&to=noc@lab.example",
        }
        where = directory / "sbc" / "secrets"
        where.mkdir(parents=True)
        for name, url in files.items():
            (where / name).write_text(url)
        names = [f"{name}: {{url_file: secrets/{name}}}" for name in files]
        names.append(f'mail: "mailto://{HOST}:{mail}?from=sbc@lab.example&to=noc@lab.example"')
        self.sbc = Attacked(directory / "sbc", more=f"alerts: {{to: {{{', '.join(names)}}}}}\n")
        self.right = (directory / "sbc" / "sbc.yaml").read_text()
        self.directory = directory

    def heard(self, what: str) -> list[str]:
        """The names of the sinks that were told so."""
        found = {
            "mail": [f"{each.subject}\n{each.text}" for each in self.mail.mails],
            "slack": [json.dumps(body) for _, body in self.slack.posts],
            "teams": [json.dumps(body) for _, body in self.teams.posts],
        }
        return sorted(name for name, texts in found.items() if any(what in each for each in texts))

    def all_hear(self, what: str) -> list[str]:
        """Wait until every sink that lives was told so."""
        return until(
            lambda: self.heard(what), what, 60.0, holds=lambda names: len(names) == 3, fail=self._failed
        )

    def _failed(self, reason: str) -> AssertionError:
        return AssertionError(f"{reason}\n{self.sbc.log()[-3000:]}")

    def fail_handshakes(self) -> None:
        """Somebody whose CA is not known, again and again."""
        other = Lab(self.directory / "stranger").issue("office")
        shown, trusted = Credentials(other.cert, other.key), self.sbc.directory / "tls" / "lab-ca.pem"
        for _ in range(MANY):
            with suppress(Refused, OSError):
                connect(self.sbc.address, SBC_NAME, trusted, shown).recv()

    def change(self, more: str) -> None:
        """Write sbc.yaml with more at its end, or without that."""
        path = self.sbc.directory / "sbc.yaml"
        path.write_text(self.right + more)


def main(directory: Path) -> dict[str, Any]:
    """All that happens, and what was heard of it."""
    do(find("ip"), "link", "set", "lo", "up")
    told = Told(directory)
    try:
        tried = sbc(told.sbc.directory, "alert", "test", "--json", seconds=90)
        told.fail_handshakes()
        spike = told.all_hear("unknown_ca")
        told.change("nonsense: true\n")
        refused = told.all_hear("a changed configuration was refused")
        told.change("")
        right = told.all_hear("the configuration is right again")
        told.change("nonsense: true\n")
        listed = until(lambda: sbc(told.sbc.directory, "alert"), holds=lambda done: "refused" in done.out)
        paths = [path for path, _ in told.slack.posts + told.teams.posts]
        return {
            "tried": [tried.status, json.loads(tried.out)["sinks"]],
            "heard": [spike, refused, right],
            "listed": listed.out,
            "paths": paths,
            "journal": told.sbc.log(),
            "said": tried.out + tried.err + listed.out + listed.err + told.sbc.log(),
        }
    finally:
        told.sbc.close()


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]))
    print(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)
