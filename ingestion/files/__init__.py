"""Files: CSV and XLSX through a preset into records, row by row, resumable, with a report that accounts for every row."""
