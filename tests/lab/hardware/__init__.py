"""Parts of machines that QEMU does not make by itself."""
