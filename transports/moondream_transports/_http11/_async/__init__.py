"""The source of the HTTP/1.1 client. The sync form is generated from it: `make generate`."""
