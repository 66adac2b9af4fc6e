"""What people touch: the command line, the server, the pages and the fit worker."""
