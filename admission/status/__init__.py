"""The status: certificates, undecided requests and tokens, as `ktb status` shows them."""
