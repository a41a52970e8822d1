"""A release from afar: who decides, the thread that fetches it, the request to the device's updater."""
