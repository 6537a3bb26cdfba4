"""Reports for users: live view, trace, tables and HTML, from events and archive."""
