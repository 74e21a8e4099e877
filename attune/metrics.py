"""Prometheus metrics: workspaces, open jobs, running events and the process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector

from attune.bootstrap import App


class Metrics:
    """The metrics of an app in a registry of its own, as tests run several apps in a process."""

    def __init__(self, built: App) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.workspaces = self._gauge("attune_workspaces", "Workspaces known")
        self.open_jobs = self._gauge("attune_jobs_open", "Jobs confirmed and not over")
        events = self._gauge("attune_events_in_hand", "Events being worked on now")
        events.set_function(lambda: len(built.running_tasks))

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)
