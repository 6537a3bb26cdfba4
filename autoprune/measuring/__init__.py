"""What can be measured, by name, under which condition; everything that is measured is kept."""
