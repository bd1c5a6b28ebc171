"""One adapter a file; `workers.source` lists them."""
