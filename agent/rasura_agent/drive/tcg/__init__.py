"""TCG storage security as far as an eraser needs it: what a drive supports, and the PSID; pure, no I/O."""
