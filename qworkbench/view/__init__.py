"""Drawing without a browser: layout, SVG, PNG, tables, plots and the report, from plain data."""
