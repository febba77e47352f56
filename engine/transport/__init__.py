"""On the wire: addresses, pools, redirects, credentials, ranges, retry rules."""
