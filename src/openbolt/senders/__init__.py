"""`HttpSender` on a server: pick a module, import from it."""
