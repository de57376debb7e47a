"""How many files a process may have open: every client, every guest and every host takes one or more."""

from __future__ import annotations

import resource

#: Enough for some thousands of clients; a login shell often gives no more than 1024.
MOST_OF_CONTROL_PLANE = 65536
#: Programs that an agent starts inherit it, and dnsmasq looks at each number up to it when it starts.
MOST_OF_AGENT = 8192


def allow(most: int) -> None:
    """Raise this process's limit to `most`, or as far as it may; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
