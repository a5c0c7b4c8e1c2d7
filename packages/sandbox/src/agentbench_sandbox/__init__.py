"""Run untrusted agent code in a hardened container or a local sandbox, in milliseconds."""
