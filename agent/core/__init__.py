"""Pure rules: no clock, thread, disk, log or socket."""
