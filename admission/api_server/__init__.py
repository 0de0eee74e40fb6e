"""The API server's side: a connection, requests, watches, access reviews, errors."""
