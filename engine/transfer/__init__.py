"""In motion: plan, lanes, hosts, coordinator, frontier."""
