"""What the machine has: udev, sysfs and files in, frozen descriptions out."""
