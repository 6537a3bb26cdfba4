"""What people read: live view, trace, tables, drawn from events and archive alone."""
