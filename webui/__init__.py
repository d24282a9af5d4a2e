"""The web pages: what the SBC does, shown from frozen views; they decide and change nothing."""

from webui.pages import Admin, create_app, create_metrics_app

__all__ = ["Admin", "create_app", "create_metrics_app"]
