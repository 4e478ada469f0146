"""The edge for time: the worker with its queue and cron, the relay of the outbox, the rescue of stalled jobs."""
