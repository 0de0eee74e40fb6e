"""The status: certificates, undecided requests and tokens, as `admission status` shows them."""
