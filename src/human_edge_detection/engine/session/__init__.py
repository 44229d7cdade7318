"""One run from config to result.json: prepare, execute, report the status."""
