"""Commands of their own modules, registered in `app.cli`."""
