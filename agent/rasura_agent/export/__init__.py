"""A machine and its drives for other programs: JSON, spreadsheets, GLPI."""
