"""Files: CSV and XLSX through a preset into records, row by row, resumable, every row accounted for."""
