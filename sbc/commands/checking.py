"""``sbc check``: every mistake in the configuration, before it runs."""

from __future__ import annotations

import argparse
import time

from sbc.commands.parser import Commands


def add(commands: Commands) -> None:
    """Add this command."""
    commands.add("check", _check, "say every mistake in the configuration")


def _check(options: argparse.Namespace) -> int:
    from sbc.config.load import build_snapshot
    from sbc.config.quarantine import told

    snapshot = build_snapshot(options.config, time.time())
    for each in (*snapshot.warnings, *told(snapshot)):
        print(each)
    broken = any(each.severity == "error" for each in snapshot.warnings)
    settings = snapshot.settings
    print(
        f"{options.config}: {'would run without what is broken' if broken else 'good'}:"
        f" {len(settings.listeners)} listeners, {len(snapshot.trunks)} trunks,"
        f" {len(snapshot.rules.rules)} rules, {len(snapshot.hooks.files)} hooks; version {snapshot.version}"
    )
    return 1 if broken else 0
