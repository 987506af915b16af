"""What an operator sees: tables, progress, results. No decisions."""
