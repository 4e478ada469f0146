"""What the worker counts."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

RELAYED = Counter("diandi_relayed_events_total", "Outbox events seen by the relay")
RELAY_FAILURES = Counter("diandi_relay_failures_total", "Outbox events that a listener failed on")
JOBS = Counter("diandi_jobs_total", "Jobs that ended", ["task", "outcome"])
JOB_SECONDS = Histogram("diandi_job_seconds", "How long a job ran", ["task"], buckets=(0.01, 0.1, 0.5, 2, 10, 60, 600))
RESCUED = Counter("diandi_jobs_rescued_total", "Jobs whose worker died and that were given back", ["outcome"])
