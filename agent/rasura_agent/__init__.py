"""What boots on the machine: finds drives, erases them, proves it."""
