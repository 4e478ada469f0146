"""The edge for data sources: files (``ingestion/files``) and partners (``ingestion/partners``)."""
