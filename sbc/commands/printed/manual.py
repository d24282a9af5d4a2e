"""The manual pages, made of what there is already: the command line's reference and docs/.

``python -m sbc.commands.printed.manual DOCS DIRECTORY`` writes ``man8/sbc.8``, ``man5/sbc.yaml.5`` and
``man5/routes.d.5`` there. ``make install`` and ``make deb`` do that.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from sbc.commands.printed.roff import escaped, roff
from sbc.commands.reference import commands
from sbc.release import release

WHERE = "/usr/share/doc/portcullis/docs"


@dataclass(frozen=True)
class Page:
    """A manual page: ``sources`` are files of docs/; without them it is the reference of the commands."""

    name: str
    section: int
    about: str
    synopsis: str
    sources: tuple[str, ...]
    see: str

    @property
    def path(self) -> str:
        """Where it lies below a directory of manuals."""
        return f"man{self.section}/{self.name}.{self.section}"


PAGES = (
    Page(
        "sbc", 8, "Portcullis, a SIP Session Border Controller",
        "`sbc` *COMMAND* [`-c` *DIR*] [*OPTIONS*]", (), "`sbc.yaml`(5), `routes.d`(5)",
    ),
    Page(
        "sbc.yaml", 5, "the configuration of Portcullis: listeners, certificates, trunks, media",
        "`/etc/portcullis/sbc.yaml`, `/etc/portcullis/trunks.d/*.yaml`", ("configuration.md",),
        "`sbc`(8), `routes.d`(5)",
    ),
    Page(
        "routes.d", 5, "the rules of Portcullis: where a call goes, and the language they are written in",
        "`/etc/portcullis/routes.d/*.yaml`", ("routing.md", "language.md"), "`sbc`(8), `sbc.yaml`(5)",
    ),
)  # fmt: skip


def manual(page: Page, docs: Path) -> str:
    """The page in roff; OSError where a source of it is missing."""
    texts = [(docs / name).read_text("utf-8") for name in page.sources] or [f"# sbc\n\n{commands()}"]
    head = (
        f'.TH "{escaped(page.name.upper())}" {page.section} "" "Portcullis {escaped(release())}" "Portcullis"'
    )
    body = "\n".join(_as_sections(text, first=at == 0) for at, text in enumerate(texts))
    return "\n".join(
        [
            "'\\\" t",  # tbl(1) is to read it first
            head,
            '.SH "NAME"',
            f"{escaped(page.name)} \\- {escaped(page.about)}",
            roff(
                f"## SYNOPSIS\n\n{page.synopsis}\n\n{body}\n\n## SEE ALSO\n\n{page.see}, `{WHERE}`"
            ).rstrip(),
            "",
        ]
    )


def _as_sections(text: str, first: bool) -> str:
    """A page of docs/; the title of the first one is ``DESCRIPTION``."""
    return re.sub(r"\A# .*", "## DESCRIPTION" if first else "", text, count=1) if first else text


def main(docs: Path, directory: Path) -> None:
    """Write every page below ``directory``."""
    for page in PAGES:
        path = directory / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(manual(page, docs), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
