"""Reading of reports: from sentences to findings, tables and highlighted pages."""
