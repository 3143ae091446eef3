"""Who is in which channel, as told by gateways: pure rules, with the time passed in."""
